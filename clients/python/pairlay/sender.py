"""The sender of a session: who shows a code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from .api import Api, Registered
from .channel import Channel
from .code import PairingCode
from .connection import Connection
from .conversation import Conversation
from .errors import HandshakeError, PairlayError, RelayError, SessionEndedError
from .handshake import SUITE, Keys, Pairing, Secrets, SenderRun
from .role import Background, Options, Step, conversation_of, courtesy, repeated
from .wire import HANDSHAKE_MAX_SEQ, BreachError, ReceiverRow, View, from_base64url, shown

WRONG_GUESSES_MAX = 5
HANDSHAKES_MAX = 32
HANDSHAKES_EVER = 1_024
_GOODBYE_SECONDS = 10.0


@dataclass(slots=True)
class Request:
    """A device that has proved that it knows the code. A person compares its match number."""

    receiver_code: str
    name: str
    keys: Keys = field(repr=False)


class _Device:
    """A receiver as the sender keeps it, from its pending row on."""

    def __init__(self, row: ReceiverRow, channel: Channel) -> None:
        self.row = row
        self.channel = channel
        self.run: SenderRun | None = None
        self.step: Step | None = None
        self.is_counted = False
        self.decided = False
        self.request: Request | None = None
        self.talk: Conversation | None = None

    def end_run(self) -> None:
        self.run = None
        if self.step is not None:
            self.step.over()
            self.step = None


class Sender:
    """Shows a code, and lets devices in. Use it as `async with await Sender.open(…)`."""

    def __init__(self, api: Api, code: PairingCode, place: Registered, receivers: int, options: Options) -> None:
        self._api, self.code, self._place, self._options = api, code, place, options
        self.receivers = min(receivers, place.limits.max_receivers)
        self._background = Background()
        self._devices: dict[int, _Device] = {}
        self._nonces: set[bytes] = set()
        self._requests: asyncio.Queue[Request | PairlayError] = asyncio.Queue()
        #: Devices that gave a wrong code; that did not answer in time; that broke the handshake.
        self.wrong_codes = self.timed_out = self.invalid = 0
        self.verified = 0
        self._handshakes = self._handshakes_ever = self._approved = 0
        self._retired = False
        self._closed = False
        self._error: PairlayError | None = None
        self._gone = asyncio.Event()
        self._connection = Connection(api, place, self, only_http=options.only_http)
        self._connection.start()

    @classmethod
    async def open(
        cls,
        relay: str,
        *,
        receivers: int = 1,
        ttl_seconds: int | None = None,
        access_token: str | None = None,
        options: Options | None = None,
    ) -> Sender:
        """Registers a new code. Raises RelayError: `unauthorized` where the operator's access token is missing."""
        api = Api(relay)
        client_id = os.urandom(12).hex()
        try:
            for attempt in range(6):
                code = PairingCode.new()
                try:
                    place = await api.create(client_id, code.locator, ttl_seconds, receivers, access_token)
                    return cls(api, code, place, receivers, options or Options())
                except RelayError as error:
                    if attempt == 5 or not (error.retryable or error.code == "code_in_use"):
                        raise
                    await asyncio.sleep(error.wait or 0.25 * 2**attempt)
        except BaseException:
            await api.close()
            raise
        raise AssertionError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def link(self) -> str:
        return f"{self._api.base}/#{self.code}"

    @property
    def unproven(self) -> int:
        """Devices that wait and have not proved that they know the code."""
        return sum(device.row.state == "pending" and device.request is None for device in self._devices.values())

    @property
    def must_type(self) -> bool:
        """Whether approving takes typing the number that the right device shows (9.6)."""
        return self.verified > 1 or self.wrong_codes + self.timed_out + self.invalid + self.unproven > 0

    async def requests(self) -> AsyncIterator[Request]:
        """Yields devices that have proved that they know the code, until others have used the code up.

        Raises what ends the session, and `used_up` where nobody was let in.
        """
        while True:
            request = await self._requests.get()
            if isinstance(request, PairlayError):
                if request.code == "used_up" and self._approved > 0:
                    return
                raise request
            yield request

    async def approve(self, request: Request) -> Conversation:
        """Lets a device in, and returns when both have greeted."""
        device = self._device_of(request)
        numbers = [d.request.keys.match_number for d in self._devices.values() if d.request is not None]
        if numbers.count(request.keys.match_number) > 1:
            raise PairlayError("equal_numbers", "Two devices show one number: none of them can be let in.")
        device.decided = True
        await repeated(lambda: self._api.decide(self._place.session_id, self._place.token, request.receiver_code, None))
        self._approved += 1
        if device.talk is None or self._error is not None:
            raise self._error or SessionEndedError("left", "The device has left.")
        device.talk.open(device.channel)
        device.talk.greet()
        if self._approved >= self.receivers:
            self._stop_joins()
        await device.talk.ready()
        return device.talk

    async def deny(self, request: Request) -> None:
        """Says no to a device, and retires the code."""
        self._deny(self._device_of(request), "rejected")
        await self.retire()

    async def retire(self) -> None:
        """Lets nobody new come."""
        self._stop_joins()
        await courtesy(self._api.call("DELETE", f"sessions/{self._place.session_id}/code", token=self._place.token))

    async def close(self) -> None:
        """Ends the session, when the devices that said goodbye have left or ten seconds later."""
        if self._closed:
            return
        if any(device.talk is not None and device.talk.over for device in self._live()):
            try:
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    while any(device.talk is not None and device.talk.over for device in self._live()):
                        await self._gone.wait()
            except TimeoutError:
                pass
        self._closed = True
        await courtesy(self._api.call("DELETE", f"sessions/{self._place.session_id}", token=self._place.token))
        await self._connection.close()
        self._fail(SessionEndedError("closed", "This session was closed."))
        await self._background.ended()
        await self._api.close()

    # Views.

    def on_view(self, view: View) -> None:
        if view.role != "sender":
            raise BreachError("The relay showed this device a view that is not its own.")
        for row in view.receivers:
            device = self._devices.get(row.channel)
            if device is None:
                if row.live and not view.closed:
                    self._meet(row)
            else:
                self._look(device, row, view)
        self._gone.set()
        self._gone = asyncio.Event()

    def _look(self, device: _Device, row: ReceiverRow, view: View) -> None:
        if row.receiver_code != device.row.receiver_code or (
            row.live and not view.closed and row.pinned != device.row.pinned
        ):
            raise BreachError("The relay showed another key of a device than before.")
        if row.state in ("denied", "revoked", "approved") and not device.decided:
            raise BreachError("The relay decided about a device by itself.")
        was_live = device.row.live
        device.row = row if row.live else replace(device.row, state=row.state)
        if device.step is not None:
            device.step.presence(row.present)
        if was_live and not row.live:
            self._end(device, SessionEndedError(row.state, "The other device has left."))

    def _meet(self, row: ReceiverRow) -> None:
        if row.state != "pending":
            raise BreachError("The relay let a device in by itself.")
        channel = self._connection.channel(row.channel, lambda seq, data: self._on_frame(row.channel, seq, data))
        device = self._devices[row.channel] = _Device(row, channel)
        self._handshakes_ever += 1
        if self._handshakes_ever > HANDSHAKES_EVER:
            self._use_up()
        if self._retired or self._handshakes_ever > HANDSHAKES_EVER:
            return self._deny(device, "rejected")
        if row.profile[0] != SUITE:
            return self._deny(device, "unsupported")
        pairing = Pairing(
            locator=self.code.locator,
            secret=self.code.secret,
            receiver_code=row.receiver_code,
            session_id=from_base64url(self._place.session_id, 16, 16),
            receiver_profile=row.profile,
        )
        try:
            device.run = SenderRun(pairing, row.public_key or b"", Secrets())
        except HandshakeError as error:
            return self._deny(device, error.reason)
        self._step(device)

    def _step(self, device: _Device) -> None:
        if device.step is not None:
            device.step.over()
        device.step = Step(lambda: self._on_late(device))
        device.step.presence(device.row.present)

    def _on_late(self, device: _Device) -> None:
        self.timed_out += 1
        self._deny(device, "handshake_timeout")

    # Frames.

    def _on_frame(self, number: int, seq: int, ciphertext: bytes) -> None:
        device = self._devices[number]
        if seq > HANDSHAKE_MAX_SEQ:
            if device.talk is None:
                raise HandshakeError("handshake_invalid")
            return device.talk.take_frame(ciphertext)
        if device.run is None:
            # Its run has ended, and so will it.
            return
        if seq == 1:
            m2 = device.run.on_m1(ciphertext)
            if device.run.nonce in self._nonces:
                raise HandshakeError("handshake_invalid")
            self._nonces.add(device.run.nonce)
            self._handshakes += 1
            device.is_counted = True
            device.channel.send(m2)
            self._step(device)
            if self._handshakes >= HANDSHAKES_MAX:
                self._use_up()
        else:
            m4, keys = device.run.on_m3(ciphertext)
            device.is_counted = False
            device.end_run()
            device.channel.send(m4)
            device.talk = conversation_of(keys, self._options, self._place.limits.max_frame_bytes, is_sender=True)
            device.request = Request(device.row.receiver_code, shown(device.row.name or ""), keys)
            self.verified += 1
            self._requests.put_nowait(device.request)

    def on_channel_error(self, channel: int, error: PairlayError) -> None:
        device = self._devices[channel]
        if device.row.state == "approved" or device.decided:
            if device.talk is not None:
                device.talk.fail(error)
            path = f"sessions/{self._place.session_id}/receivers/{device.row.receiver_code}"
            self._background.start(self._api.call("DELETE", path, token=self._place.token))
            return
        reason = error.reason if isinstance(error, HandshakeError) else "handshake_invalid"
        if reason == "handshake_failed":
            self.wrong_codes += 1
            device.is_counted = False
            if self.wrong_codes >= WRONG_GUESSES_MAX:
                self._use_up()
        else:
            self.invalid += 1
        self._deny(device, reason)

    def on_end(self, error: PairlayError) -> None:
        self._fail(error)

    def on_status(self, status: str) -> None:
        self._options.on_status(status)

    # Ends.

    def _deny(self, device: _Device, reason: str) -> None:
        device.decided = True
        self._end(device, SessionEndedError("denied", "This device was denied."))
        session, token = self._place.session_id, self._place.token
        self._background.start(self._api.decide(session, token, device.row.receiver_code, reason))

    def _end(self, device: _Device, error: PairlayError) -> None:
        device.end_run()
        device.channel.end()
        if device.is_counted:
            # A run that ends without a T_R gives its place back.
            device.is_counted = False
            self._handshakes -= 1
        if device.talk is not None:
            device.talk.fail(error)

    def _use_up(self) -> None:
        """Retires the code that strangers have tried too often."""
        if not self._retired:
            self._retired = True
            self._background.start(self.retire())
            self._requests.put_nowait(PairlayError("used_up", "Other devices used this code up. Get a new code."))

    def _stop_joins(self) -> None:
        """Wipes every run that is not verified: no further m1 is answered."""
        self._retired = True
        for device in self._devices.values():
            if device.run is not None:
                self._deny(device, "rejected")

    def _live(self) -> list[_Device]:
        return [device for device in self._devices.values() if device.row.live and self._error is None]

    def _device_of(self, request: Request) -> _Device:
        for device in self._devices.values():
            if device.request is request and device.row.live:
                return device
        raise SessionEndedError("left", "The device has left.")

    def _fail(self, error: PairlayError) -> None:
        if self._error is not None:
            return
        self._error = error
        for device in self._devices.values():
            self._end(device, error)
        self._requests.put_nowait(error)
        self._gone.set()
