"""One role's resumable connection to a relay, over a WebSocket or over HTTP: sections 5 and 5.9 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from .api import Api, Registered, retry_after
from .channel import Channel
from .errors import PairlayError, RelayError, SessionEndedError
from .http_link import HttpLink
from .wire import ACK, DATA, BreachError, View, decode_frame, encode_frame, parse_view

#: Close codes after which a client gives up: those of section 6 that are not retryable, and those of RFC 6455.
_FINAL_CLOSES = {
    1000: "the relay closed the connection",
    1002: "the relay says that this program broke the WebSocket protocol",
    1003: "the relay says that this program broke the WebSocket protocol",
    1007: "the relay says that this program broke the WebSocket protocol",
    1009: "the relay says that a frame is too large",
    4001: "another connection took over",
    4002: "the relay says that its window was exceeded",
    4400: "the relay says that a frame was wrong",
    4401: "the relay does not know this device any more",
    4403: "the relay says that this is not allowed",
    4404: "the relay does not know this session any more",
    4410: "the session has ended",
}
_OWN_CLOSES = range(4000, 5000)
_SUPERSEDED = 4001
_UNAUTHORIZED = 4401
_FIRST_VIEW_SECONDS = 10.0
_SILENCE_SECONDS = 60.0
_LIVED_SECONDS = 3.0
_ABANDONED_SECONDS = 60.0
_PAUSE_SECONDS, _PAUSE_MOST_SECONDS = 0.25, 10.0
_FAILURES_BEFORE_HTTP, _FAILURES_AFTER_WORK_BEFORE_HTTP = 2, 8


class Owner(Protocol):
    """A role, as its connection knows it. Calls come one at a time, and return at once."""

    def on_view(self, view: View) -> None: ...

    def on_channel_error(self, channel: int, error: PairlayError) -> None:
        """A peer broke the protocol on this channel (C1 to C5), which has ended."""

    def on_end(self, error: PairlayError) -> None:
        """The connection has ended for good."""

    def on_status(self, status: str) -> None:
        """Takes `connected`, `reconnecting`, `fallback` or `small_frames`."""


class Connection:
    """Connects, resumes, and falls back to HTTP, until it is closed or the session has ended."""

    def __init__(self, api: Api, place: Registered, owner: Owner, *, only_http: bool = False) -> None:
        self.api = api
        self.place = place
        self._owner = owner
        self.channels: dict[int, Channel] = {}
        self.wake = asyncio.Event()
        self.most_ciphertext: int | None = None
        self.view: View | None = None
        self._http = only_http
        self._deadline = self._now() + place.expires_in_ms / 1000
        self._task: asyncio.Task[None] | None = None
        self._ended: PairlayError | None = None
        self._has_worked = False
        self._failures = 0
        self._attempt = 0
        self._brought_news = False
        self._abandoned: list[float] = []

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends the connection without a word to the relay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def channel(self, number: int, on_frame: Callable[[int, bytes], None]) -> Channel:
        self.channels[number] = Channel(number, on_frame, self.wake.set)
        self.channels[number].most_ciphertext = self.most_ciphertext
        return self.channels[number]

    # What comes in, over either transport.

    def take_view(self, view: View, *, is_first: bool = False) -> None:
        self.view = view
        self._deadline = min(self._deadline, self._now() + view.expires_in_ms / 1000)
        # The role opens and ends channels by the view, before their rows are taken.
        self._owner.on_view(view)
        for row in view.channels:
            self.for_channel(
                row.channel,
                lambda channel, row=row: channel.take_row(  # type: ignore[misc]
                    row, self.place.limits.window_bytes, is_first=is_first
                ),
            )
        if view.closed:
            raise SessionEndedError(f"session_{view.reason or 'closed_by_sender'}", _why_closed(view.reason))

    def for_channel(self, number: int, take: Callable[[Channel], bool]) -> None:
        """Gives something to a live channel. What its peer broke ends that channel alone."""
        channel = self.channels.get(number)
        if channel is None or channel.ended:
            return
        try:
            self._brought_news = take(channel) or self._brought_news
        except BreachError:
            raise
        except PairlayError as error:
            self.break_channel(channel, error)

    def break_channel(self, channel: Channel, error: PairlayError) -> None:
        channel.end()
        self._owner.on_channel_error(channel.number, error)

    def cut_frames(self, most: int) -> None:
        """Makes frames smaller from the next attach on, which says what the relay has taken."""
        if self.most_ciphertext is None:
            self._owner.on_status("small_frames")
        self.most_ciphertext = most
        for channel in self.channels.values():
            channel.most_ciphertext = most

    def entries(self) -> list[dict[str, int]]:
        """What an attach says of each live channel."""
        live = [channel for channel in self.channels.values() if not channel.ended]
        return [{"channel": c.number, "received": c.received, "acked": c.acked} for c in live][-16:]

    # Connecting, again and again.

    async def _run(self) -> None:
        try:
            while True:
                await self._connect()
                self._owner.on_status("reconnecting")
        except PairlayError as error:
            self._end(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # C8: anything that nobody foresaw ends this connection, with its cause.
            failure = PairlayError("internal", f"This program failed: {error!r}")
            failure.__cause__ = error
            self._end(failure)

    def _end(self, error: PairlayError) -> None:
        for channel in self.channels.values():
            channel.end()
        self._owner.on_end(error)

    async def _connect(self) -> None:
        """One attempt, and the pause before it. Returns when another one is due, raises what ends it for good."""
        if self._now() > self._deadline:
            raise SessionEndedError("session_expired", "The time of this session is over.")
        if self._attempt > 0:
            most = min(_PAUSE_SECONDS * 2 ** (self._attempt - 1), _PAUSE_MOST_SECONDS)
            await asyncio.sleep(random.uniform(0, most))
        self._attempt += 1
        self._brought_news = False
        if self._http or self._failures >= self._patience:
            await self._over_http()
        else:
            await self._over_socket()

    @property
    def _patience(self) -> int:
        return _FAILURES_AFTER_WORK_BEFORE_HTTP if self._has_worked else _FAILURES_BEFORE_HTTP

    async def _over_http(self) -> None:
        link = HttpLink(self)
        try:
            await link.attach()
        except RelayError as error:
            if error.retryable and error.code == "unreachable":
                self._abandoned.append(self._now())
            self._failures = 0
            await self._pause_or_raise(error)
            return
        if not self._http:
            self._http = True
            self._owner.on_status("fallback")
        self._owner.on_status("connected")
        begun = self._now()
        try:
            await link.run()
        except RelayError as error:
            if error.code == "superseded" and self._was_own_attach():
                return
            await self._pause_or_raise(error)
        finally:
            self._judge(begun)

    async def _pause_or_raise(self, error: RelayError) -> None:
        if not error.retryable:
            raise error
        if error.wait:
            await asyncio.sleep(error.wait)

    def _was_own_attach(self) -> bool:
        """Whether an attach that was given up can be what took over (5.9)."""
        self._abandoned = [at for at in self._abandoned if self._now() - at < _ABANDONED_SECONDS]
        return bool(self._abandoned and self._abandoned.pop())

    def _judge(self, begun: float | None) -> bool:
        """Decides whether a connection that began then has worked."""
        worked = self._brought_news or (begun is not None and self._now() - begun >= _LIVED_SECONDS)
        if worked:
            self._has_worked = True
            self._failures = self._attempt = 0
        return worked

    async def _over_socket(self) -> None:
        begun: float | None = None
        code: int | None = None
        try:
            async with asyncio.timeout(_FIRST_VIEW_SECONDS) as limit:
                socket = await self.api.socket(self.place.session_id)
                try:
                    await socket.send_str(_attach(self.place.token, self.entries()))
                    first = await socket.receive()
                    if first.type is aiohttp.WSMsgType.TEXT:
                        limit.reschedule(None)
                        self.take_view(parse_view(first.data), is_first=True)
                        begun = self._now()
                        self._owner.on_status("connected")
                        await self._serve(socket)
                    elif first.type is aiohttp.WSMsgType.BINARY:
                        raise BreachError("The relay sent a frame before its first view.")
                finally:
                    code = socket.close_code
                    await socket.close()
                    code = code or socket.close_code
        except aiohttp.WSServerHandshakeError as error:
            if 300 <= error.status < 400:
                raise RelayError("redirected", "The relay redirects: use its other address.") from error
            await asyncio.sleep(retry_after(error.headers))
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        if not self._judge(begun) and code not in _OWN_CLOSES:
            self._failures += 1
        if code == _SUPERSEDED and self._was_own_attach():
            return
        # 1000 is what this side closes with; one of the relay's comes with a view that was closed, or never.
        if code in _FINAL_CLOSES and code != 1000:
            name = "unauthorized" if code == _UNAUTHORIZED else "session_lost"
            raise SessionEndedError(name, f"The connection has ended: {_FINAL_CLOSES[code]}.")

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Reads and writes until the socket has ended."""
        writing = asyncio.create_task(self._write(socket))
        try:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    message = await socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.take_view(parse_view(message.data))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._take_frame(message.data)
                else:
                    return
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def _take_frame(self, frame: bytes) -> None:
        kind, number, seq, ciphertext = decode_frame(frame)
        if kind == ACK:
            self.for_channel(number, lambda channel: channel.take_ack(seq))
        else:
            self.for_channel(number, lambda channel: channel.take_data(seq, ciphertext))

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async def ack(channel: Channel) -> None:
            await socket.send_bytes(encode_frame(ACK, channel.number, channel.received))

        async def frame(channel: Channel, seq: int, ciphertext: bytes) -> None:
            channel.mark_sent()
            await socket.send_bytes(encode_frame(DATA, channel.number, seq, ciphertext))

        self.wake.set()
        await self.write(ack, frame)

    async def write(
        self,
        ack: Callable[[Channel], Awaitable[None]],
        frame: Callable[[Channel, int, bytes], Awaitable[None]],
    ) -> None:
        """Writes what is due, acks before frames and a frame of each channel in turn, for ever."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            busy = True
            while busy:
                busy = False
                for channel in [c for c in self.channels.values() if not c.ended]:
                    if channel.ack_due:
                        channel.ack_due = False
                        await ack(channel)
                    due = channel.peek()
                    if due is not None:
                        busy = True
                        await frame(channel, *due)


def _attach(token: str, entries: list[dict[str, int]]) -> str:
    return json.dumps({"type": "attach", "token": token, "channels": entries}, separators=(",", ":"))


def _why_closed(reason: str | None) -> str:
    return {
        "completed": "The session is over.",
        "expired": "The time of this session is over.",
        "shutting_down": "The relay has stopped.",
    }.get(reason or "", "The sender has ended the session.")
