"""What two paired devices say to each other: section 10 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from .assembly import KNOWN, Assembly
from .channel import Channel
from .errors import CorruptError, PairlayError
from .incoming import IncomingOffer
from .messages import (
    ENTRIES_MAX,
    Entry,
    check_entries,
    decode_lines,
    encode_lines,
    encode_message,
    hint_of,
    number_of,
    text_of,
)
from .outgoing import OutgoingOffer, Source
from .posts import Post, Posts
from .stream import SEALED_CHUNK, Sealer
from .wire import HEADER_BYTES, to_base64url

OFFERS_OPEN_MAX = 4
_LAST_ACKS_SECONDS = 10.0


class Conversation:
    """Both directions of one paired channel.

    It starts with `greet` at the sender, and with the other's hello at the receiver.
    """

    def __init__(
        self,
        *,
        sending: bytes,
        reading: bytes,
        resume: bytes,
        max_frame_bytes: int,
        takes_offers: bool,
        takes_posts: bool,
        answers_hello: bool,
        digest: Callable[[Source, int], Awaitable[bytes]],
    ) -> None:
        self._sealer = Sealer(sending, (max_frame_bytes - HEADER_BYTES - 1) // SEALED_CHUNK)
        self._assembly = Assembly(reading, begin=self._begin, content=self._hand_on)
        self._resume = resume
        self._takes_offers = takes_offers
        self._posts = Posts(takes=takes_posts, say=self._say)
        self._answers_hello = answers_hello
        self._digest = digest
        self._channel: Channel | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = asyncio.Event()
        self._changed = asyncio.Event()
        self.error: PairlayError | None = None
        # Writing.
        self._replies: deque[bytes] = deque()
        self._greeted = False
        self._said_bye = self._heard_bye = self._closing = False
        self._outgoing: dict[int, OutgoingOffer] = {}
        self._offered = 0
        # Reading.
        self.peer: dict[str, Any] | None = None
        self._incoming: dict[int, IncomingOffer] = {}
        self._heard_offers = 0
        self._asked: deque[IncomingOffer] = deque()

    # For the app.

    async def ready(self) -> None:
        """Returns when both have greeted."""
        await self._until(lambda: self.peer is not None and self._greeted)

    async def offer(self, sources: Sequence[Source], tokens: Sequence[bytes] = ()) -> tuple[OutgoingOffer, bytes]:
        """Offers these. Returns the offer, and the token to keep for going on with it later."""
        await self.ready()
        if self._closing or self._heard_bye:
            raise PairlayError("closing", "This pairing is about to end.")
        await self._until(lambda: len(self._open_outgoing()) < OFFERS_OPEN_MAX)
        await self._until(lambda: all(offer.answered.done() for offer in self._open_outgoing()))
        self._offered += 1
        token = os.urandom(16)
        entries = [source.entry for source in sources]
        head: dict[str, Any] = {"kind": "offer", "offer": self._offered, "count": len(entries)}
        if all(entry.size is not None or entry.is_folder for entry in entries):
            head["bytes"] = sum(entry.stream_bytes for entry in entries)
        head["token"] = to_base64url(token)
        if tokens:
            head["resumes"] = [to_base64url(hint_of(each, self._resume)) for each in tokens[:8]]
        offer = OutgoingOffer(self._offered, sources, tokens[:8], self._resume, self._say, self._due.set, self._digest)
        self._outgoing[self._offered] = offer
        self._say(head, encode_lines(entry.to_json() for entry in entries))
        return offer, token

    async def next_offer(self) -> IncomingOffer | None:
        """Returns the next offer of the other device, or None when it makes no more."""
        await self._until(lambda: bool(self._asked) or self._heard_bye)
        return self._asked.popleft() if self._asked else None

    async def offers(self) -> AsyncIterator[IncomingOffer]:
        while (offer := await self.next_offer()) is not None:
            yield offer

    async def post(self, data: bytes, type: str | None = None, re: int | None = None) -> int:
        """Sends a post when there is room for it, and returns its number."""
        await self.ready()
        if self._closing or self._heard_bye:
            raise PairlayError("closing", "This pairing is about to end.")
        if self.peer is None or self.peer["posts"] == 0:
            raise PairlayError("unsupported", "The other device takes no posts.")
        number = self._posts.add(data, type, re)
        self._due.set()
        return number

    async def ask(self, data: bytes, type: str | None = None) -> Post:
        """Sends a post, and returns the one that answers it."""
        number = await self.post(data, type)
        answer = self._posts.answer_to(number)
        if self.error is not None:
            raise self.error
        return await answer

    async def next_post(self) -> Post | None:
        """Returns the next post that answers no question, or None when no more come."""
        await self._until(lambda: bool(self._posts.inbox) or self._heard_bye)
        return self._posts.take()

    async def posts(self) -> AsyncIterator[Post]:
        while (post := await self.next_post()) is not None:
            yield post

    async def bye(self) -> None:
        """Says goodbye, lets what is under way end, and returns when the other has said it too and has all."""
        await self.ready()
        self._close()
        await self._until(lambda: self.over)
        channel = self._channel
        if channel is not None:
            try:
                async with asyncio.timeout(_LAST_ACKS_SECONDS):
                    await channel.all_acked()
            except TimeoutError:
                pass

    @property
    def over(self) -> bool:
        return self._said_bye and self._heard_bye and not self._open_outgoing() and not self._open_incoming()

    # For the role.

    def open(self, channel: Channel) -> None:
        """Takes the channel whose handshake is over. Frames go out from `greet` on."""
        self._channel = channel
        self._task = asyncio.create_task(self._write(channel))

    def greet(self) -> None:
        """Says hello: at the sender after the 204 to its approval."""
        hello = {"kind": "hello", "offers": self._takes_offers, "posts": self._posts.allowed, "features": []}
        self._replies.appendleft(encode_message(hello))
        self._greeted = True
        self._change()

    def take_frame(self, ciphertext: bytes) -> None:
        """Takes the next frame. Raises CorruptError, after which the channel has to be ended."""
        message = self._assembly.take(ciphertext)
        if message is not None:
            self._complete(*message)

    def fail(self, error: PairlayError) -> None:
        """Ends everything that is not over: the connection has ended for good."""
        if self.error is not None:
            return
        self.error = error
        if self._task is not None:
            self._task.cancel()
        self._posts.stop()
        self._posts.fail(error)
        for offer in self._open_outgoing():
            offer.fail(error)
        for incoming in self._incoming.values():
            incoming.fail(error)
        self._change()

    # Writing.

    def _say(self, head: dict[str, Any], body: bytes = b"") -> None:
        self._replies.append(encode_message(head, body))
        self._change()

    async def _write(self, channel: Channel) -> None:
        while True:
            await channel.all_sent()
            message = self._next_message()
            if message is None:
                self._due.clear()
                await self._due.wait()
                continue
            for frame in self._sealer.seal(message):
                channel.send(frame)

    def _next_message(self) -> bytes | None:
        if not self._greeted or (self.peer is None and not self._is_hello_due()):
            return None
        if self._replies:
            return self._replies.popleft()
        if (post := self._posts.next_message()) is not None:
            return post
        for number, offer in list(self._outgoing.items()):
            if offer.over:
                continue
            content = offer.next_message(self._sealer.frame_plaintext)
            if content is not None:
                # The next one is another offer's turn.
                self._outgoing[number] = self._outgoing.pop(number)
                return content
        if self._closing and not self._said_bye and self._posts.all_sent and not self._open_outgoing():
            self._said_bye = True
            self._change()
            return encode_message({"kind": "bye"})
        return None

    def _is_hello_due(self) -> bool:
        return self._sealer.messages == 0

    def _close(self) -> None:
        self._closing = True
        for offer in list(self._asked):
            offer.decline("closing")
        self._asked.clear()
        self._change()

    # Reading.

    def _begin(self, head: dict[str, Any]) -> bool:
        """Looks at the head of the next message. Says whether its body is to be kept."""
        kind = head["kind"]
        if (self.peer is None) != (kind == "hello"):
            raise CorruptError("The other device did not greet first, or twice.")
        if self._heard_bye and kind in ("offer", "post", "bye"):
            raise CorruptError("The other device began something after its goodbye.")
        return not (kind == "offer" and self._is_unread(head))

    def _is_unread(self, head: dict[str, Any]) -> bool:
        """Says whether an offer is refused by its head alone."""
        return self._refusal_of(head) in ("too_many", "unsupported")

    def _hand_on(self, head: dict[str, Any], plain: bytes) -> None:
        self._incoming_of(head).take_content(plain)

    def _complete(self, head: dict[str, Any], body: bytes) -> None:
        take = getattr(self, f"_take_{head['kind']}", None) if head["kind"] in KNOWN else None
        if take is not None:
            take(head, body)
            self._change()

    def _take_hello(self, head: dict[str, Any], _: bytes) -> None:
        posts = number_of(head, "posts")
        if not isinstance(head.get("offers"), bool) or not isinstance(head.get("features"), list):
            raise CorruptError("The other device sent a greeting of a wrong form.")
        self.peer = head
        self._posts.hear_allowance(posts)
        if self._answers_hello:
            self.greet()

    def _take_offer(self, head: dict[str, Any], body: bytes) -> None:
        number, count = number_of(head, "offer", 1), number_of(head, "count", 1)
        self._heard_offers += 1
        waiting = any(offer.state == "asked" for offer in self._open_incoming())
        if number != self._heard_offers or waiting or len(self._open_incoming()) >= OFFERS_OPEN_MAX:
            raise CorruptError("The other device made more offers than it may.")
        refusal = self._refusal_of(head)
        is_unread = self._is_unread(head)
        entries = [] if is_unread else [Entry.from_json(row) for row in decode_lines(body)]
        if not is_unread and len(entries) != count:
            raise CorruptError("The other device announced another number of files.")
        check_entries(entries)
        offer = IncomingOffer(number, entries, head, self._resume, self._say)
        announced = number_of(head, "bytes") if "bytes" in head else None
        if announced != offer.bytes and not is_unread:
            raise CorruptError("The other device announced another size.")
        self._incoming[number] = offer
        if refusal is not None:
            offer.decline(refusal)
        else:
            self._asked.append(offer)

    def _refusal_of(self, head: dict[str, Any]) -> str | None:
        """Returns why an offer gets a no without anybody being asked."""
        if not self._takes_offers:
            return "unsupported"
        if number_of(head, "count", 1) > ENTRIES_MAX:
            return "too_many"
        return "closing" if self._closing else None

    def _take_answer(self, head: dict[str, Any], body: bytes) -> None:
        self._outgoing_of(head).take_answer(head, body)

    def _take_check(self, head: dict[str, Any], body: bytes) -> None:
        self._incoming_of(head).take_check(body)

    def _take_start(self, head: dict[str, Any], body: bytes) -> None:
        self._outgoing_of(head).take_start(body)

    def _take_skip(self, head: dict[str, Any], _: bytes) -> None:
        self._incoming_of(head).take_skip(number_of(head, "entry"), text_of(head, "reason", 64))

    def _take_sent(self, head: dict[str, Any], _: bytes) -> None:
        self._incoming_of(head).take_sent(number_of(head, "bytes"))

    def _take_take(self, head: dict[str, Any], _: bytes) -> None:
        if "posts" in head:
            self._posts.hear_allowance(number_of(head, "posts"))
        else:
            offer = self._outgoing_of(head)
            if not offer.over:
                offer.take_take(number_of(head, "taken"), number_of(head, "through"))

    def _take_receipt(self, head: dict[str, Any], _: bytes) -> None:
        self._last_word_of(head).take_receipt(head)

    def _take_stop(self, head: dict[str, Any], _: bytes) -> None:
        self._last_word_of(head).take_stop(text_of(head, "reason", 64))

    def _take_withdraw(self, head: dict[str, Any], _: bytes) -> None:
        offer = self._incoming_of(head)
        offer.withdraw()
        if offer.over and offer in self._asked:
            self._asked.remove(offer)

    def _take_post(self, head: dict[str, Any], body: bytes) -> None:
        self._posts.hear(head, body)

    def _take_bye(self, _: dict[str, Any], __: bytes) -> None:
        self._heard_bye = True
        self._closing = True
        self._posts.close()
        self._posts.fail(PairlayError("closing", "The other device has said goodbye."))

    # Inside.

    def _incoming_of(self, head: dict[str, Any]) -> IncomingOffer:
        offer = self._incoming.get(number_of(head, "offer", 1))
        if offer is None:
            raise CorruptError("The other device spoke of an offer that it never made.")
        return offer

    def _outgoing_of(self, head: dict[str, Any]) -> OutgoingOffer:
        offer = self._outgoing.get(number_of(head, "offer", 1))
        if offer is None:
            raise CorruptError("The other device spoke of an offer that was never made.")
        return offer

    def _last_word_of(self, head: dict[str, Any]) -> OutgoingOffer:
        offer = self._outgoing_of(head)
        if offer.over:
            raise CorruptError("The other device said two last words about an offer.")
        return offer

    def _open_outgoing(self) -> list[OutgoingOffer]:
        return [offer for offer in self._outgoing.values() if not offer.over]

    def _open_incoming(self) -> list[IncomingOffer]:
        return [offer for offer in self._incoming.values() if not offer.over]

    def _change(self) -> None:
        self._due.set()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            if self.error is not None:
                raise self.error
            await self._changed.wait()
