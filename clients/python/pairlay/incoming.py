"""An offer of the other device, at its taker: 10.3 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import CorruptError, PairlayError
from .messages import ALLOWED, Entry, answered_of, bytes_of, decode_lines, encode_lines, hint_of, number_of
from .wire import to_base64url

T = TypeVar("T")
_TAKE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Data:
    """The next bytes of an entry."""

    entry: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that is left out. What came of it is dropped."""

    entry: int
    reason: str


class NotReceivedError(PairlayError):
    """An offer that did not come to its end."""


class IncomingOffer:
    """What the other device offers. Exactly one of `decline`, `stop` and `finish` is its end."""

    def __init__(
        self, number: int, entries: Sequence[Entry], head: dict[str, Any], resume: bytes, say: Callable[..., None]
    ) -> None:
        self.number = number
        self.entries = tuple(entries)
        self.bytes = (
            None if any(e.size is None and not e.is_folder for e in entries) else sum(e.stream_bytes for e in entries)
        )
        self.token = bytes_of(head.get("token"), 16)
        hints = head.get("resumes", [])
        if not isinstance(hints, list) or len(hints) > 8:
            raise CorruptError("The other device sent hints of a wrong form.")
        self._hints = [bytes_of(hint, 16) for hint in hints]
        self._resume = resume
        self._say = say
        self.state = "asked"
        self._named: dict[int, int] = {}
        self._offsets: dict[int, int] = {}
        self._events: deque[Data | Skipped | None] = deque()
        self._changed = asyncio.Event()
        self._error: PairlayError | None = None
        self._checked: list[tuple[int, int, bytes]] | None = None
        self._at, self._position = 0, 0
        self.skipped: set[int] = set()
        self._came = self._taken = self._through = self._said = 0
        self._sent: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    # For the app.

    @property
    def over(self) -> bool:
        return self.state == "over"

    def knows(self, token: bytes) -> bool:
        """Whether the offerer goes on with the transfer of this token."""
        return hint_of(token, self._resume) in self._hints

    def decline(self, reason: str = "declined") -> None:
        if self.state == "asked":
            self._end("answer", accepted=False, reason=reason)

    def accept(self, token: bytes | None = None, have: Sequence[tuple[int, int]] = ()) -> None:
        """Says yes. With the token of an earlier transfer, `have` is how many bytes of which entry are there."""
        self._open()
        if self.state != "asked":
            raise PairlayError("usage", "This offer was answered.")
        self._through = self._said = ALLOWED
        if token is None:
            self.state = "running"
            self._enter(0)
            self._say({"kind": "answer", "offer": self.number, "accepted": True, "through": self._through})
            return
        self.state = "checking"
        self.token = token
        self._named = dict(have)
        answered = to_base64url(answered_of(token, self._resume))
        head = {"kind": "answer", "offer": self.number, "accepted": True, "through": self._through, "resume": answered}
        self._say(head, encode_lines({"entry": e, "bytes": b} for e, b in sorted(self._named.items())))

    async def checked(self) -> list[tuple[int, int, bytes]]:
        """Returns entry, bytes and the offerer's digest of each line of `accept`."""
        while self._checked is None:
            self._open()
            await self._changed.wait()
        return self._checked

    def start(self, equal: Sequence[tuple[int, int]]) -> None:
        """Begins the stream behind what is equal; everything else begins at 0."""
        self._open()
        self._offsets = dict(equal)
        self.state = "running"
        self._enter(0)
        self._say(
            {"kind": "start", "offer": self.number},
            encode_lines({"entry": e, "bytes": b} for e, b in sorted(self._offsets.items())),
        )

    async def events(self) -> AsyncIterator[Data | Skipped]:
        """Yields what comes, until all of it has. What was yielded counts as taken when the next is asked for."""
        while True:
            while not self._events:
                self._open()
                await self._changed.wait()
            event = self._events.popleft()
            if event is None:
                return
            yield event
            if isinstance(event, Data):
                self._taken += len(event.data)
                self._allow()

    def finish(self) -> int:
        """Says that everything is final here. Returns the bytes of the receipt."""
        self._open()
        if self._sent is None:
            raise PairlayError("usage", "This offer has not come to its end.")
        skipped = {"skipped": len(self.skipped)} if self.skipped else {}
        self._end("receipt", bytes=self._sent, **skipped)
        return self._sent

    def stop(self, reason: str = "cancelled") -> None:
        if self.state == "asked":
            self.decline("declined" if reason == "cancelled" else reason)
        elif not self.over:
            self._end("stop", reason=reason)

    async def unless_over(self, work: Awaitable[T]) -> T:
        """Returns what the work gives. Raises what ends this offer before, such as a question that is taken back."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                self._open()
                change = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait({task, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
            return task.result()
        finally:
            task.cancel()

    # For the conversation.

    def fail(self, error: PairlayError) -> None:
        """Ends it without a word: the connection has ended."""
        if not self.over and self._sent is None:
            # What is whole can still be made final.
            self.state = "over"
            self._error = error
            self._change()

    def withdraw(self) -> None:
        if self.over or self._sent is not None:
            return
        self._end("stop", reason="withdrawn")
        self._error = NotReceivedError("withdrawn", "The other device took its offer back.")

    def take_check(self, body: bytes) -> None:
        if self.over:
            return
        lines = [
            (number_of(r, "entry"), number_of(r, "bytes"), bytes_of(r.get("sha256"), 32)) for r in decode_lines(body)
        ]
        if self.state != "checking" or self._checked is not None or any(self._named.get(e) != b for e, b, _ in lines):
            raise CorruptError("The other device sent digests that were not asked for.")
        self._checked = lines
        self._change()

    def take_content(self, data: bytes) -> None:
        if self.over:
            return
        self._came += len(data)
        if self.state != "running" or self._sent is not None or self._came > self._through:
            raise CorruptError("The other device sent content that was not allowed.")
        while data:
            if self._at >= len(self.entries):
                raise CorruptError("The other device sent more than it announced.")
            size = self.entries[self._at].size
            if self.entries[self._at].is_folder:
                size = 0
            room = len(data) if size is None else size - self._position
            if room == 0 or self._at in self.skipped:
                self._enter(self._at + 1)
                continue
            piece, data = data[:room], data[room:]
            self._position += len(piece)
            self._events.append(Data(self._at, piece))
        self._change()

    def take_skip(self, entry: int, reason: str) -> None:
        if self.over:
            return
        is_form = self.state == "running" and self._sent is None and len(self.entries) > 1
        if not is_form or entry >= len(self.entries) or entry in self.skipped:
            raise CorruptError("The other device left out what it cannot leave out.")
        self.skipped.add(entry)
        self._events.append(Skipped(entry, reason))
        self._change()

    def take_sent(self, length: int) -> None:
        if self.over:
            return
        while self._at < len(self.entries) and self._is_whole(length):
            self._enter(self._at + 1)
        if self.state != "running" or self._sent is not None or self._at < len(self.entries) or length != self._came:
            raise CorruptError("The other device ended its offer before its end.")
        self._sent = length
        self._events.append(None)
        self._change()

    # Inside.

    def _is_whole(self, length: int) -> bool:
        entry = self.entries[self._at]
        is_pipe = entry.size is None and not entry.is_folder
        return is_pipe or self._at in self.skipped or self._position == entry.stream_bytes

    def _enter(self, entry: int) -> None:
        self._at, self._position = entry, self._offsets.get(entry, 0)

    def _open(self) -> None:
        if self._error is not None:
            raise self._error
        if self.over:
            raise NotReceivedError("over", "This offer is over.")

    def _allow(self) -> None:
        """Says what was taken: at a quarter of the allowance at once, else soon."""
        if self.over or self._sent is not None:
            return
        if self._taken + ALLOWED - self._said >= ALLOWED // 4:
            self._say_taken()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TAKE_SECONDS, self._say_taken)

    def _say_taken(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.over:
            return
        self._said = self._through = self._taken + ALLOWED
        self._say({"kind": "take", "offer": self.number, "taken": self._taken, "through": self._through})

    def _end(self, kind: str, **fields: Any) -> None:
        self.state = "over"
        if self._timer is not None:
            self._timer.cancel()
        self._events.clear()
        self._say({"kind": kind, "offer": self.number, **fields})
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
