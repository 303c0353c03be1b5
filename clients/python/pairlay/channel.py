"""One channel as a client keeps it over all its connections: sections 5.3 to 5.5 of PROTOCOL.md. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .errors import CorruptError
from .stream import PIECE
from .wire import SEQ_MAX, BreachError, ChannelRow, cost


def cut(ciphertext: bytes, most: int) -> list[bytes]:
    """Cuts a frame into pieces of at most so many bytes (10.1)."""
    if len(ciphertext) <= most:
        return [ciphertext]
    flag, rest = ciphertext[:1], ciphertext[1:]
    parts = [rest[at : at + most - 1] for at in range(0, len(rest), most - 1)]
    return [bytes([PIECE]) + part for part in parts[:-1]] + [flag + parts[-1]]


class Channel:
    """Both directions of a channel.

    `on_frame` processes an inbound frame before it returns, and keeps what it needs: the frame is acked then.
    """

    def __init__(self, number: int, on_frame: Callable[[int, bytes], None], wake: Callable[[], None]) -> None:
        self.number = number
        self.on_frame = on_frame
        self._wake = wake
        #: Frames that are not acked, from seq `acked + 1` on.
        self._frames: deque[bytes] = deque()
        self.acked = 0
        self.sent = 0
        self._ever_sent = 0
        self._in_flight = 0
        self.window = 0
        self.received = 0
        self.available = 0
        self.ack_due = False
        self.ended = False
        self.most_ciphertext: int | None = None
        #: Over HTTP: how often a seq was refused, and how often a frame of one size got a cut connection.
        self.refusals: dict[int, int] = {}
        self.cut_size = self.cuts = 0
        self._changed = asyncio.Event()

    # Outbound.

    @property
    def last(self) -> int:
        return self.acked + len(self._frames)

    def send(self, ciphertext: bytes) -> None:
        """Appends a data frame. It goes out when the window has room."""
        if self.last >= SEQ_MAX:
            raise CorruptError("This channel has no frame left.")
        self._frames.extend([ciphertext] if self.most_ciphertext is None else cut(ciphertext, self.most_ciphertext))
        self._wake()

    def peek(self) -> tuple[int, bytes] | None:
        """Returns the next frame to send on this connection, if the window has room for it."""
        if self.ended or self.sent >= self.last:
            return None
        ciphertext = self._frames[self.sent - self.acked]
        return (self.sent + 1, ciphertext) if self._in_flight + cost(ciphertext) <= self.window else None

    def mark_sent(self) -> None:
        self._in_flight += cost(self._frames[self.sent - self.acked])
        self.sent += 1
        self._ever_sent = max(self._ever_sent, self.sent)
        self._change()

    def take_ack(self, seq: int) -> bool:
        """Takes a cumulative ack, and returns whether it is new. Raises CorruptError for one beyond what was sent."""
        if seq > self._ever_sent:
            raise CorruptError("The other device broke the protocol: it acked what was not sent.")
        is_new = seq > self.acked
        while self.acked < seq:
            gone = self._frames.popleft()
            self.acked += 1
            if self.acked <= self.sent:
                self._in_flight -= cost(gone)
        self.sent = max(self.sent, self.acked)
        if is_new:
            self._change()
            self._wake()
        return is_new

    def take_row(self, row: ChannelRow, most_window: int, *, is_first: bool) -> bool:
        """Takes a row of a view, the first of a connection or a later one. Returns whether it acked something."""
        if row.received > self._ever_sent:
            raise CorruptError("The other device broke the protocol: it claims what was not sent.")
        if is_first:
            if row.received < self.acked:
                raise BreachError("The relay forgot what it had acked.")
            self.sent = row.received
            self._in_flight = sum(cost(self._frames[i]) for i in range(self.sent - self.acked))
            self.cut_rest()
        self.window = min(row.window, most_window)
        if row.available is not None:
            self.available = max(self.available, row.available)
        is_new = self.take_ack(row.acked)
        self._wake()
        return is_new

    def cut_rest(self) -> None:
        """Cuts the frames that the relay has not taken, above `sent`, to the size that passes."""
        if self.most_ciphertext is None:
            return
        frames, kept = list(self._frames), self.sent - self.acked
        rest = [piece for frame in frames[kept:] for piece in cut(frame, self.most_ciphertext)]
        self._frames = deque(frames[:kept] + rest)

    # Inbound.

    def take_data(self, seq: int, ciphertext: bytes) -> bool:
        """Processes an inbound frame, and returns whether it is new. Raises CorruptError for a gap."""
        if self.ended or seq <= self.received:
            return False
        if seq != self.received + 1:
            raise CorruptError("The other device broke the protocol: a frame is missing.")
        self.on_frame(seq, ciphertext)
        self.received = seq
        self.ack_due = True
        self._wake()
        return True

    # Waiting.

    def end(self) -> None:
        self.ended = True
        self._frames.clear()
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def all_sent(self) -> None:
        """Returns when everything has gone out on this connection, or the channel has ended."""
        while not self.ended and self.sent < self.last:
            await self._changed.wait()

    async def all_acked(self) -> None:
        """Returns when the other device has acked everything, or the channel has ended."""
        while not self.ended and self._frames:
            await self._changed.wait()
