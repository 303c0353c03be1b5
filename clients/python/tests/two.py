"""Two conversations over a network that is not there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from pairlay import BytesSource, Conversation, Data, Entry, IncomingOffer, PairlayError
from pairlay.channel import Channel
from pairlay.handshake import Keys
from pairlay.messages import MIB
from pairlay.role import Options, conversation_of

from .test_known_answers import HANDSHAKES, hand_shake

KEYS: Keys = hand_shake(HANDSHAKES[0])[0]
BOTH = Options(takes_offers=True, takes_posts=True)
MAX_FRAME = 262_272


class Network:
    """Joins the two ends of a channel. `frames` are the SHA-256 of what each has sent."""

    def __init__(self, sender: Conversation, receiver: Conversation) -> None:
        self.frames: dict[str, list[str]] = {"s2r": [], "r2s": []}
        self.errors: list[PairlayError] = []
        self._wake = asyncio.Event()
        self._ends = [self._end("s2r", sender), self._end("r2s", receiver)]
        self._task = asyncio.create_task(self._carry())

    def _end(self, name: str, conversation: Conversation) -> tuple[str, Channel, Conversation]:
        channel = Channel(1, lambda seq, data: conversation.take_frame(data), self._wake.set)
        channel.window = 4 * MIB
        conversation.open(channel)
        return name, channel, conversation

    async def _carry(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for (name, channel, _), (_, other, listener) in (self._ends, self._ends[::-1]):
                while (due := channel.peek()) is not None:
                    channel.mark_sent()
                    self.frames[name].append(hashlib.sha256(due[1]).hexdigest())
                    try:
                        other.take_data(*due)
                    except PairlayError as error:
                        self.errors.append(error)
                        listener.fail(error)
                    channel.take_ack(due[0])
                    await asyncio.sleep(0)

    async def close(self) -> None:
        self._task.cancel()
        for _, _, conversation in self._ends:
            conversation.fail(PairlayError("closed", "over"))
        await asyncio.sleep(0)


class Two:
    def __init__(self, sender: Options = BOTH, receiver: Options = BOTH, keys: Keys = KEYS) -> None:
        self.sender = conversation_of(keys, sender, MAX_FRAME, is_sender=True)
        self.receiver = conversation_of(keys, receiver, MAX_FRAME, is_sender=False)

    async def __aenter__(self) -> Two:
        self.network = Network(self.sender, self.receiver)
        self.sender.greet()
        await asyncio.gather(self.sender.ready(), self.receiver.ready())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.network.close()


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def limited() -> None:
            async with asyncio.timeout(60):
                await test()

        asyncio.run(limited())

    run.__name__ = test.__name__
    return run


def source(path: str, data: bytes) -> BytesSource:
    return BytesSource(Entry(path, size=len(data)), data)


async def until(is_so: Callable[[], bool]) -> None:
    """Lets the others run until something is so."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def asked(conversation: Conversation) -> IncomingOffer:
    """Returns the next offer, which nobody has answered."""
    offer = await conversation.next_offer()
    assert offer is not None
    return offer


async def taken(conversation: Conversation) -> dict[str, bytes]:
    """Takes the next offer whole."""
    offer = await asked(conversation)
    offer.accept()
    files: dict[str, bytes] = {entry.path: b"" for entry in offer.entries}
    async for event in offer.events():
        path = offer.entries[event.entry].path
        if isinstance(event, Data):
            files[path] += event.data
        else:
            del files[path]
    offer.finish()
    return files
