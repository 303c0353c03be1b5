"""An offer of this device, at its offerer: 10.3 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from .errors import CorruptError, NotDeliveredError, PairlayError
from .messages import Entry, answered_of, bytes_of, decode_lines, encode_lines, encode_message, number_of
from .wire import to_base64url


class SourceError(Exception):
    """A source that gives no more. `reason` is `changed` or `unreadable`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reader(Protocol):
    async def read(self, most: int) -> bytes:
        """Returns at least one byte and at most so many, or none at the end. Raises SourceError."""

    def close(self) -> None: ...


class Source(Protocol):
    """Something to offer."""

    @property
    def entry(self) -> Entry: ...

    def open(self, offset: int) -> Reader: ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """The other device's word that it has everything, but so many entries."""

    bytes: int
    skipped: int


class OutgoingOffer:
    """An offer until the taker's last word: `await offer.result`."""

    def __init__(
        self,
        number: int,
        sources: Sequence[Source],
        tokens: Sequence[bytes],
        resume: bytes,
        say: Callable[..., None],
        wake: Callable[[], None],
        digest: Callable[[Source, int], Awaitable[bytes]],
    ) -> None:
        self.number = number
        self._sources = sources
        self._tokens = tokens
        self._resume = resume
        self._say = say
        self._wake = wake
        self._digest = digest
        self.result: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.state = "asked"
        self._withdrawn = False
        self.taken = 0
        self.skipped: list[tuple[int, str]] = []
        self.on_progress: Callable[[int], None] = lambda taken: None
        self._position = self._through = 0
        self._offsets: dict[int, int] = {}
        self._lines: list[tuple[int, int]] = []
        self._piece: bytes | None = None
        self._room = asyncio.Event()
        self._most = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        return self.result.done()

    def withdraw(self, reason: str = "cancelled") -> None:
        """Asks the taker to give it back. What the taker says then is the last word."""
        if not self.over and not self._withdrawn:
            self._stop()
            self._withdrawn = True
            self._say({"kind": "withdraw", "offer": self.number, "reason": reason})

    # What the taker says.

    def take_answer(self, head: dict[str, Any], body: bytes) -> None:
        if self.answered.done():
            raise CorruptError("The other device answered twice.")
        if head.get("accepted") is not True:
            if head.get("accepted") is not False:
                raise CorruptError("The other device sent an answer of a wrong form.")
            reason = str(head.get("reason"))
            self.answered.set_result(None)
            return self._fail(NotDeliveredError(reason, _DECLINED.get(reason, _DECLINED["declined"])))
        self._through = number_of(head, "through")
        token: bytes | None = None
        if "resume" in head:
            said = bytes_of(head["resume"], 16)
            token = next((t for t in self._tokens if answered_of(t, self._resume) == said), None)
            if token is None:
                raise CorruptError("The other device goes on with what was not named.")
            self._lines = _ascending(body)
            for entry, count in self._lines:
                size = self._sources[entry].entry.size if entry < len(self._sources) else None
                if size is None or not 0 < count <= size:
                    raise CorruptError("The other device has more than there is.")
        self.answered.set_result(token)
        if not self._withdrawn:
            self.state = "running" if token is None else "checking"
            self._task = asyncio.create_task(self._run())

    def take_start(self, body: bytes) -> None:
        if self._withdrawn or self.over:
            return
        lines = _ascending(body)
        if self.state != "starting" or not set(lines) <= set(self._lines):
            raise CorruptError("The other device begins at what was not compared.")
        self._offsets = dict(lines)
        self.state = "running"
        self._room.set()

    def take_take(self, taken: int, through: int) -> None:
        if through < self._through or taken < self.taken or taken > self._position:
            raise CorruptError("The other device took back what it had allowed.")
        self.taken, self._through = taken, through
        self.on_progress(taken)
        self._room.set()

    def take_stop(self, reason: str) -> None:
        self._stop()
        text = "The other device took the offer back." if reason == "withdrawn" else "The other device stopped."
        self._fail(NotDeliveredError(reason, text, self.taken))

    def take_receipt(self, head: dict[str, Any]) -> None:
        if number_of(head, "bytes") != self._position or self.state != "sent":
            raise CorruptError("The other device has more or less than was sent.")
        self.taken = self._position
        skipped = number_of(head, "skipped") if "skipped" in head else 0
        self.state = "over"
        self.on_progress(self.taken)
        self.result.set_result(Receipt(self.taken, skipped))

    def fail(self, error: PairlayError) -> None:
        """Ends it without the taker's word: the connection has ended."""
        self._stop()
        if self.state == "sent":
            text = "All was sent, and the last word of the other device did not come: look there."
            self._fail(NotDeliveredError("unconfirmed", text, self.taken))
        else:
            self._fail(NotDeliveredError(error.code, str(error), self.taken))

    # Content.

    def next_message(self, plaintext: int) -> bytes | None:
        """Returns the next message of content, at most so long, when there is one."""
        head = {"kind": "content", "offer": self.number}
        self._most = plaintext - len(encode_message(head))
        piece, self._piece = self._piece, None
        self._room.set()
        return None if piece is None else encode_message(head, piece)

    async def _run(self) -> None:
        try:
            if self.state == "checking":
                await self._check()
            for index, source in enumerate(self._sources):
                await self._send(index, source)
            await self._until(lambda: self._piece is None)
            self.state = "sent"
            self._say({"kind": "sent", "offer": self.number, "bytes": self._position})
        except SourceError as error:
            reason = "source_changed" if error.reason == "changed" else "failed"
            self.withdraw(reason)

    async def _check(self) -> None:
        rows = []
        for entry, count in self._lines:
            try:
                digest = await self._digest(self._sources[entry], count)
            except SourceError:
                # It begins at 0.
                continue
            rows.append({"entry": entry, "bytes": count, "sha256": to_base64url(digest)})
        self.state = "starting"
        self._say({"kind": "check", "offer": self.number}, encode_lines(rows))
        await self._until(lambda: self.state == "running")

    async def _send(self, index: int, source: Source) -> None:
        offset, size = self._offsets.get(index, 0), source.entry.size
        if source.entry.is_folder or size == offset:
            return
        left = None if size is None else size - offset
        try:
            reader = source.open(offset)
            try:
                while left != 0:
                    await self._until(lambda: self._piece is None and self._position < self._through and self._most > 0)
                    most = min(self._most, self._through - self._position)
                    data = await reader.read(most if left is None else min(most, left))
                    if not data:
                        if left is None:
                            return
                        raise SourceError("changed")
                    left = None if left is None else left - len(data)
                    self._position += len(data)
                    self._piece = data
                    self._wake()
            finally:
                reader.close()
        except SourceError as error:
            if len(self.skipped) == len(self._sources) - 1:
                # An offer of which nothing would be left is none.
                raise
            await self._until(lambda: self._piece is None)
            self.skipped.append((index, error.reason))
            self._say({"kind": "skip", "offer": self.number, "entry": index, "reason": error.reason})

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._room.clear()
            self._wake()
            await self._room.wait()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._piece = None

    def _fail(self, error: NotDeliveredError) -> None:
        if not self.answered.done():
            self.answered.set_result(None)
        if not self.result.done():
            self.result.set_exception(error)
            # Nobody has to ask for it.
            self.result.exception()


_DECLINED = {
    "declined": "The other device declined.",
    "no_space": "The other device has no room for it.",
    "too_many": "The other device takes not so many files at once.",
    "unsupported": "The other device takes no files.",
    "closing": "The other device was about to leave.",
    "failed": "The other device could not take it.",
}


def _ascending(body: bytes) -> list[tuple[int, int]]:
    lines = [(number_of(row, "entry"), number_of(row, "bytes", 1)) for row in decode_lines(body)]
    if any(a[0] >= b[0] for a, b in pairwise(lines)):
        raise CorruptError("The other device sent lines in no order.")
    return lines
