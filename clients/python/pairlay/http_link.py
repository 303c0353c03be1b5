"""A connection without a WebSocket: section 5.9 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .channel import Channel
from .errors import CorruptError, RelayError
from .wire import BreachError, ChannelRow, View, parse_view

if TYPE_CHECKING:
    from .connection import Connection

_POLL_MS = 25_000
_POLL_SECONDS = 60.0
_SMALLEST_CIPHERTEXT = 16_384
_REFUSED_AT_MOST = 3


class HttpLink:
    """One attach over HTTP: it polls, fetches, sends and acks until a call says that another attach is due."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._place = connection.place
        self._attachment = ""
        self._fetch_due = asyncio.Event()
        self._rows: dict[int, ChannelRow] = {}

    async def attach(self) -> None:
        body = {"channels": self._connection.entries()}
        view = await self._view("PUT", f"{self._path}/attachment", body=body)
        if view.attachment is None:
            raise BreachError("The relay gave no name of an attach.")
        self._attachment = view.attachment
        for channel in self._connection.channels.values():
            channel.available = 0
        self._take_view(view, is_first=True)

    async def run(self) -> None:
        """Serves until it raises: RelayError, or what ends the session."""
        self._connection.wake.set()
        tasks = [asyncio.create_task(work) for work in (self._poll(), self._fetch(), self._write())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        except RelayError as error:
            if error.code in ("session_gone", "receiver_gone"):
                # The view says how it ended, and raises that.
                self._take_view(await self._view("GET", self._path))
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _path(self) -> str:
        return f"sessions/{self._place.session_id}"

    def _frame_path(self, channel: Channel, seq: int) -> str:
        return f"{self._path}/channels/{channel.number}/frames/{seq}?attachment={self._attachment}"

    async def _view(self, method: str, path: str, *, body: dict[str, Any] | None = None, seconds: float = 30.0) -> View:
        _, content = await self._connection.api.call(method, path, token=self._place.token, body=body, seconds=seconds)
        return parse_view(content)

    def _take_view(self, view: View, *, is_first: bool = False) -> None:
        self._connection.take_view(view, is_first=is_first)
        rows = {row.channel: row for row in view.channels}
        for number, before in self._rows.items():
            channel, row = self._connection.channels.get(number), rows.get(number)
            if channel is None or channel.ended:
                continue
            if row is None or (row.available or 0) < (before.available or 0) or row.received < before.received:
                raise RelayError("resume_required", "The relay has forgotten frames.", retryable=True)
        self._rows = rows
        self._fetch_due.set()

    async def _poll(self) -> None:
        while True:
            view = self._connection.view
            version = quote(view.version, safe="") if view else ""
            live = [channel for channel in self._connection.channels.values() if not channel.ended]
            known = ",".join(f"{c.number}.{max(c.received, c.available)}.{c.acked}" for c in live)
            query = f"version={version}&waitMs={_POLL_MS}&channels={known}&attachment={self._attachment}"
            self._take_view(await self._view("GET", f"{self._path}?{query}", seconds=_POLL_SECONDS))

    async def _fetch(self) -> None:
        while True:
            await self._fetch_due.wait()
            self._fetch_due.clear()
            for channel in list(self._connection.channels.values()):
                while not channel.ended and channel.received < channel.available:
                    seq = channel.received + 1
                    status, ciphertext = await self._frame_call("GET", channel, seq)
                    if status == 204:
                        break
                    if not ciphertext:
                        raise BreachError("The relay gave an empty frame.")
                    self._connection.for_channel(
                        channel.number,
                        lambda c, s=seq, data=ciphertext: c.take_data(s, data),  # type: ignore[misc]
                    )

    async def _write(self) -> None:
        async def ack(channel: Channel) -> None:
            await self._frame_call("DELETE", channel, channel.received)

        async def frame(channel: Channel, seq: int, ciphertext: bytes) -> None:
            channel.mark_sent()
            _, content = await self._frame_call("PUT", channel, seq, ciphertext)
            try:
                at = json.loads(content)
                row = ChannelRow(channel.number, int(at["received"]), int(at["acked"]), int(at["window"]), None)
            except (KeyError, TypeError, ValueError) as error:
                raise BreachError("The relay gave an answer of no documented form.") from error
            most = self._place.limits.window_bytes
            self._connection.for_channel(channel.number, lambda c: c.take_row(row, most, is_first=False))

        await self._connection.write(ack, frame)

    async def _frame_call(
        self, method: str, channel: Channel, seq: int, frame: bytes | None = None
    ) -> tuple[int, bytes]:
        try:
            answer = await self._connection.api.call(
                method, self._frame_path(channel, seq), token=self._place.token, frame=frame, seconds=60.0
            )
            channel.refusals.pop(seq, None)
            return answer
        except RelayError as error:
            if error.code == "receiver_gone":
                return 204, b""
            if error.code == "frame_refused":
                channel.refusals[seq] = channel.refusals.get(seq, 0) + 1
                if channel.refusals[seq] >= _REFUSED_AT_MOST:
                    self._connection.break_channel(
                        channel, CorruptError("The other device broke the protocol: a frame is refused.")
                    )
            if frame is not None and self._is_too_large(error, channel, len(frame)):
                most = max(_SMALLEST_CIPHERTEXT, len(frame) // 2)
                self._connection.cut_frames(most)
                raise RelayError("resume_required", "Smaller frames follow.", retryable=True) from error
            raise

    def _is_too_large(self, error: RelayError, channel: Channel, size: int) -> bool:
        """Whether what stands between does not take a body of this size."""
        if size <= _SMALLEST_CIPHERTEXT:
            return False
        if error.code == "unreachable":
            channel.cuts = channel.cuts + 1 if channel.cut_size == size else 1
            channel.cut_size = size
            return channel.cuts >= 2
        return error.status in (408, 413) or (error.status == 400 and error.code == "http")
