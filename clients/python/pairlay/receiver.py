"""The receiver of a session: who enters a code."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self

from .api import Api, Registered
from .channel import Channel
from .code import PairingCode, random_symbols
from .connection import Connection
from .conversation import Conversation
from .errors import CorruptError, HandshakeError, PairlayError, RelayError, SessionEndedError
from .handshake import SUITE, Keys, Pairing, ReceiverRun, Secrets
from .role import Background, Options, Step, conversation_of, courtesy
from .wire import HANDSHAKE_MAX_SEQ, BreachError, ReceiverRow, View, from_base64url

#: Guesses that this program has sent, by code: a fourth would let somebody test another one (9.5).
_GUESSES: Counter[PairingCode] = Counter()
GUESSES_MAX = 3
_REJOIN_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)


class Receiver:
    """Enters a code, shakes hands, and waits for the approval. Use it as `async with await Receiver.join(…)`."""

    def __init__(self, api: Api, code: PairingCode, name: str | None, options: Options) -> None:
        self._api, self._code, self._name, self._options = api, code, name, options
        self._background = Background()
        loop = asyncio.get_running_loop()
        self._keys: asyncio.Future[Keys] = loop.create_future()
        self._conversation: asyncio.Future[Conversation] = loop.create_future()
        self._talk: Conversation | None = None
        self._left = False
        self._rejoins = 0
        self._rejoining = False

    @classmethod
    async def join(
        cls, relay: str, code: PairingCode, *, name: str | None = None, options: Options | None = None
    ) -> Receiver:
        """Joins. Raises RelayError, with `session_not_found` for a code that the relay does not know."""
        if _GUESSES[code] >= GUESSES_MAX:
            raise PairlayError("used_up", "This code was tried too often here. Get a new code.")
        receiver = cls(Api(relay), code, name, options or Options(takes_offers=True))
        try:
            await receiver._enter()
        except BaseException:
            await receiver._api.close()
            raise
        return receiver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()

    async def number(self) -> Keys:
        """Returns the keys when the handshake has succeeded: a person compares their match number."""
        return await asyncio.shield(self._keys)

    async def approved(self) -> Conversation:
        """Returns the conversation when the sender has approved this device, and both have greeted."""
        conversation = await asyncio.shield(self._conversation)
        await conversation.ready()
        return conversation

    async def leave(self) -> None:
        """Ends this device's part in the session, as `done` or `left`."""
        if self._left:
            return
        self._left = True
        await courtesy(self._delete())
        await self._connection.close()
        self._fail(SessionEndedError("left", "This device has left."))
        await self._background.ended()
        await self._api.close()

    # Joining.

    async def _enter(self) -> None:
        secrets, self._receiver_code, place = await self._join()
        if place.profile[0] != SUITE:
            await courtesy(self._delete_at(place))
            raise PairlayError("unsupported", "The other device speaks another version.")
        pairing = Pairing(
            locator=self._code.locator,
            secret=self._code.secret,
            receiver_code=self._receiver_code,
            session_id=from_base64url(place.session_id, 16, 16),
            sender_profile=place.profile,
        )
        self._place = place
        self._public_key = secrets.public_key
        self._run: ReceiverRun | None = ReceiverRun(pairing, secrets)
        self._answered = False
        self._step: Step | None = None
        self._sender_present = True
        self._connection = Connection(self._api, place, self, only_http=self._options.only_http)
        self._channel: Channel = self._connection.channel(place.channel, self._on_frame)
        self._channel.send(self._run.m1)
        self._connection.start()

    async def _join(self) -> tuple[Secrets, str, Registered]:
        for attempt in range(6):
            secrets, receiver_code = Secrets(), random_symbols(6)
            try:
                place = await self._api.join(self._code.locator, receiver_code, secrets.public_key, self._name)
                return secrets, receiver_code, place
            except RelayError as error:
                if attempt == 5 or not (error.retryable or error.code == "receiver_code_in_use"):
                    raise
                await asyncio.sleep(error.wait or 0.25 * 2**attempt)
        raise AssertionError

    async def _delete(self) -> None:
        await self._delete_at(self._place)

    async def _delete_at(self, place: Registered) -> None:
        path = f"sessions/{place.session_id}/receivers/{self._receiver_code}"
        await self._api.call("DELETE", path, token=place.token)

    # What comes in.

    def _on_frame(self, seq: int, ciphertext: bytes) -> None:
        if seq > HANDSHAKE_MAX_SEQ:
            if self._talk is None:
                raise CorruptError("The other device sent something before its handshake.")
            self._talk.take_frame(ciphertext)
        elif self._run is None:
            raise CorruptError("The other device went on with a handshake that is over.")
        elif seq == 1:
            m3 = self._run.on_m2(ciphertext)
            _GUESSES[self._code] += 1
            self._channel.send(m3)
            self._answered = True
            self._step = Step(self._on_late)
            self._step.presence(self._sender_present)
        else:
            keys = self._run.on_m4(ciphertext)
            self._run = None
            if self._step is not None:
                self._step.over()
            self._talk = conversation_of(keys, self._options, self._place.limits.max_frame_bytes, is_sender=False)
            self._talk.open(self._channel)
            self._keys.set_result(keys)

    def on_view(self, view: View) -> None:
        row = next((row for row in view.receivers if row.receiver_code == self._receiver_code), None)
        if view.role != "receiver" or (row is None and not view.closed):
            raise BreachError("The relay showed this device a view that is not its own.")
        self._sender_present = view.sender_present
        if self._step is not None:
            self._step.presence(view.sender_present)
        if row is not None:
            self._on_row(row, view)

    def _on_row(self, row: ReceiverRow, view: View) -> None:
        if (
            row.live
            and not view.closed
            and row.pinned[:3] != (self._receiver_code, self._place.channel, self._public_key)
        ):
            raise BreachError("The relay showed another key than this device has.")
        if row.state == "approved" and self._talk is not None and not self._conversation.done():
            self._conversation.set_result(self._talk)
        if row.live or view.closed or self._left:
            return
        if row.state == "left" and not self._answered:
            raise _Displaced
        raise SessionEndedError(*_ENDED.get(row.state, _ENDED["left"]))

    def on_channel_error(self, channel: int, error: PairlayError) -> None:
        self._background.start(self._delete())
        if isinstance(error, HandshakeError) and self._step is not None:
            self._step.over()
        self._fail(error)

    def on_end(self, error: PairlayError) -> None:
        is_lost = isinstance(error, _Displaced) or (error.code == "unauthorized" and not self._answered)
        if is_lost and not self._left:
            # Its place was given away before any guess was spent: it joins again by itself (3.3).
            self._background.start(self._rejoin())
        else:
            self._fail(error)

    def on_status(self, status: str) -> None:
        self._options.on_status(status)

    async def _rejoin(self) -> None:
        pause = _REJOIN_SECONDS[min(self._rejoins, len(_REJOIN_SECONDS) - 1)]
        self._rejoins += 1
        await asyncio.sleep(pause)
        try:
            await self._enter()
            self._options.on_status("rejoined")
        except PairlayError as error:
            self._fail(error)

    def _on_late(self) -> None:
        self._background.start(self._delete())
        self._fail(PairlayError("handshake_timeout", "The other device did not answer in time."))

    def _fail(self, error: PairlayError) -> None:
        if self._step is not None:
            self._step.over()
        if self._talk is not None:
            self._talk.fail(error)
        for future in (self._keys, self._conversation):
            if not future.done():
                future.set_exception(error)
                # Nobody has to ask for it.
                future.exception()


class _Displaced(PairlayError):
    def __init__(self) -> None:
        super().__init__("left", "The relay gave this device's place away.")


_ENDED = {
    "denied": ("denied", "The relay says that the sender denied this device."),
    "revoked": ("revoked", "The sender has ended the pairing with this device."),
    "done": ("done", "This device has left."),
    "left": ("left", "The relay gave this device's place away."),
}
