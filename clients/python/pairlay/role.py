"""What both roles share: background work, and the time that a step of a handshake may take (9.5 of PROTOCOL.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .conversation import Conversation
from .errors import PairlayError, RelayError
from .handshake import Keys
from .messages import MIB, BlockDigest
from .outgoing import Source, SourceError

_STEP_SECONDS = 20.0
_STEP_IN_ALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What an app takes from the other device, and how it hears of the connection."""

    takes_offers: bool = False
    takes_posts: bool = False
    on_status: Callable[[str], None] = lambda status: None
    #: Uses no WebSocket, as where none passes.
    only_http: bool = False


class Step:
    """Calls `on_late` when a step took 20 s with both devices there, or 60 s in all."""

    def __init__(self, on_late: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_late = on_late
        self._left = _STEP_SECONDS
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_all = self._loop.call_later(_STEP_IN_ALL_SECONDS, on_late)

    def presence(self, present: bool) -> None:
        if present and self._since is None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(self._left, self._on_late)
        elif not present and self._since is not None:
            self._left -= self._loop.time() - self._since
            self._since = None
            if self._timer is not None:
                self._timer.cancel()

    def over(self) -> None:
        self._in_all.cancel()
        if self._timer is not None:
            self._timer.cancel()


class Background:
    """Work that nobody waits for, such as a courtesy call. A failure of the relay is none of this device."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(courtesy(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def courtesy(call: Awaitable[Any]) -> None:
    """Awaits a call that may fail."""
    with suppress(PairlayError):
        await call


async def repeated(call: Callable[[], Awaitable[Any]], times: int = 4) -> Any:
    """Makes a call that may be repeated, until it is answered or refused for good."""
    for attempt in range(times):
        try:
            return await call()
        except RelayError as error:
            if not error.retryable or attempt == times - 1:
                raise
            await asyncio.sleep(max(error.wait, 0.25 * 2**attempt))
    raise AssertionError


async def digest_of(source: Source, count: int) -> bytes:
    """Digest of the first bytes of a source. Raises SourceError when there are fewer."""
    digest = BlockDigest()
    reader = source.open(0)
    try:
        while count > 0:
            data = await reader.read(min(count, MIB))
            if not data:
                raise SourceError("changed")
            digest.update(data)
            count -= len(data)
    finally:
        reader.close()
    return digest.digest()


def conversation_of(keys: Keys, options: Options, max_frame_bytes: int, *, is_sender: bool) -> Conversation:
    return Conversation(
        sending=keys.s2r if is_sender else keys.r2s,
        reading=keys.r2s if is_sender else keys.s2r,
        resume=keys.resume,
        max_frame_bytes=max_frame_bytes,
        takes_offers=options.takes_offers,
        takes_posts=options.takes_posts,
        answers_hello=not is_sender,
        digest=digest_of,
    )
