"""Two conversations over a network that is not there: section 10 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from pairlay import (
    BytesSource,
    Conversation,
    CorruptError,
    Data,
    Entry,
    IncomingOffer,
    NotDeliveredError,
    NotReceivedError,
    PairlayError,
)
from pairlay.channel import Channel
from pairlay.handshake import Keys
from pairlay.messages import MIB, BlockDigest, answered_of, encode_message
from pairlay.outgoing import Reader, SourceError
from pairlay.role import Options, conversation_of
from pairlay.stream import Sealer
from pairlay.wire import to_base64url

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


def test_the_pairing_of_section_12_1_has_the_known_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pairing() -> dict[str, list[str]]:
        async with Two(Options(), Options(takes_offers=True)) as two:
            monkeypatch.setattr("os.urandom", lambda count: bytes(range(0xF0, 0xF0 + count)))
            offer, _ = await two.sender.offer([source("hello.txt", b"hello\n")])
            assert await taken(two.receiver) == {"hello.txt": b"hello\n"}
            await offer.result
            await asyncio.gather(two.sender.bye(), two.receiver.bye())
            return two.network.frames

    frames = asyncio.run(pairing())
    assert frames["s2r"] == [
        "f5cc12f571e50b17783dad1ac058640c06ad8ff09f5e18b9ef2c814f9f7cfc2b",
        "fe51d3804fe65cf55946ed6ae4e2f85cee025d79881a13655a53a60bfe7ac62e",
        "b6300af3c1c39c830373e24fb3af66601f2a800bfc14fd78e34f9496746b80e0",
        "728e50c5edd5a53d00243cba1fc4293c3bcf1088bee6731fb75a69f26b61b3e1",
        "15d0ec888accfa6c2184303d8fdad296a0fd3a77246e02666d3b97719d06b9b3",
    ]
    assert frames["r2s"] == [
        "6f3c5760e34f6840bb751c41594bfe3f6162ad06c45edb9ac61b334f05dec794",
        "aa1e5d45806aaf2464196ac8da81e512c4156606bd7d758a2cf10a51d1f8befc",
        "0dec30d6e556677f722e54e1f3477855322eaf488501d7789b304ffafa76e5ae",
        "bcd57484dafb27dd952fdb0bc22bec674c3c169bc2f4dee853d759e2e0dbdc56",
    ]


def test_the_digest_of_section_11_is_of_blocks_of_a_mebibyte() -> None:
    digest = BlockDigest()
    digest.update(b"hello\n")
    assert digest.digest().hex() == "ecb65bb98f9d905b70458986c39fcbad7715e5f2fcc3b1f07767d7c83e2438cc"
    digest = BlockDigest()
    digest.update(b"a" * 1_000_000)
    digest.update(b"a" * 48_577)
    assert digest.digest().hex() == "8dd49bbc6297567fac3852c2deddcdbc57358bc403c10d4f6dc64b143ad9b27b"


@in_loop
async def test_either_side_offers_more_than_the_allowance_at_once() -> None:
    async with Two() as two:
        large = bytes(range(256)) * 40_000
        files = [source("a", large), source("b/zero", b""), BytesSource(Entry("c", is_folder=True))]
        for offerer, taker in ((two.sender, two.receiver), (two.receiver, two.sender)):
            offer, _ = await offerer.offer(files)
            assert await taken(taker) == {"a": large, "b/zero": b"", "c": b""}
            assert (await offer.result).bytes == len(large)


@in_loop
async def test_a_no_and_a_withdrawal_are_the_last_words_and_leave_the_devices_paired() -> None:
    async with Two() as two:
        declined, _ = await two.sender.offer([source("a", b"a")])
        incoming = await asked(two.receiver)
        incoming.decline("no_space")
        withdrawn, _ = await two.sender.offer([source("b", b"b")])
        withdrawn.withdraw()
        stopped, _ = await two.sender.offer([source("c", b"c")])
        taking = await asked(two.receiver)
        assert taking.entries[0].path == "c"
        taking.accept()
        taking.stop()
        reasons = []
        for offer in (declined, withdrawn, stopped):
            with pytest.raises(NotDeliveredError) as error:
                await offer.result
            reasons.append(error.value.code)
        assert reasons == ["no_space", "withdrawn", "cancelled"]
        await two.sender.offer([source("d", b"d")])
        assert await taken(two.receiver) == {"d": b"d"}


@in_loop
async def test_a_question_is_taken_back_with_its_offer() -> None:
    async with Two() as two:
        offer, _ = await two.sender.offer([source("a", b"a")])
        incoming = await asked(two.receiver)
        question: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(incoming.unless_over(question))
        offer.withdraw()
        with pytest.raises(NotReceivedError):
            await asking
        assert question.cancelled()


@in_loop
async def test_a_side_that_takes_no_offers_says_so_by_itself() -> None:
    async with Two(receiver=Options()) as two:
        offer, _ = await two.sender.offer([source("a", b"a")])
        with pytest.raises(NotDeliveredError) as error:
            await offer.result
        assert error.value.code == "unsupported"
        with pytest.raises(PairlayError):
            await two.sender.post(b"a")


class _Failing:
    """A source that gives half of its bytes."""

    entry = Entry("folder/failing", size=10)

    def open(self, offset: int) -> Reader:
        return self

    def __init__(self) -> None:
        self._pieces: Iterator[bytes] = iter([b"12345"])

    async def read(self, most: int) -> bytes:
        for piece in self._pieces:
            return piece
        raise SourceError("changed")

    def close(self) -> None:
        pass


@in_loop
async def test_a_file_that_changes_is_left_out_of_its_folder_and_withdraws_an_offer_of_its_own() -> None:
    async with Two() as two:
        offer, _ = await two.sender.offer([source("folder/a", b"a"), _Failing(), source("folder/z", b"z")])
        assert await taken(two.receiver) == {"folder/a": b"a", "folder/z": b"z"}
        assert (await offer.result).skipped == 1
        assert offer.skipped == [(1, "changed")]
        alone, _ = await two.sender.offer([_Failing()])
        with pytest.raises(NotReceivedError):
            await taken(two.receiver)
        with pytest.raises(NotDeliveredError):
            await alone.result


@in_loop
async def test_an_offer_goes_on_behind_what_is_equal_at_both() -> None:
    files = {"a": b"a" * 3_000_000, "b": b"b" * 500, "c": b"c" * 10}
    sources = [source(path, data) for path, data in files.items()]
    async with Two() as two:
        _, token = await two.sender.offer(sources)
    async with Two() as two:
        again, fresh = await two.sender.offer(sources, [bytes(16), token])
        offer = await asked(two.receiver)
        assert offer.knows(token) and not offer.knows(fresh)
        offer.accept(token, [(0, 1_500_000), (1, 100)])
        checked = await offer.checked()
        assert [(entry, count) for entry, count, _ in checked] == [(0, 1_500_000), (1, 100)]
        offer.start([(0, 1_500_000)])
        pieces = [event async for event in offer.events() if isinstance(event, Data)]
        assert {e: sum(len(p.data) for p in pieces if p.entry == e) for e in range(3)} == {0: 1_500_000, 1: 500, 2: 10}
        offer.finish()
        assert await again.answered == token
        assert (await again.result).bytes == 1_500_510


@in_loop
async def test_posts_come_in_order_within_an_allowance_and_answers_find_their_question() -> None:
    async with Two() as two:
        posting = [await two.sender.post(bytes([i]) * MIB) for i in range(5)]
        assert posting == [1, 2, 3, 4, 5]
        got = [await two.receiver.next_post() for _ in range(5)]
        assert [(p.number, p.data[:1], len(p.data)) for p in got if p] == [(i + 1, bytes([i]), MIB) for i in range(5)]
        asking = asyncio.create_task(two.receiver.ask(b"what", "ask"))
        question = await two.sender.next_post()
        assert question is not None and question.type == "ask"
        await two.sender.post(b"that", re=question.number)
        assert (await asking).data == b"that"
        await two.sender.bye() if two.receiver.over else await asyncio.gather(two.sender.bye(), two.receiver.bye())
        assert await two.receiver.next_post() is None


@in_loop
async def test_the_end_of_a_connection_says_what_is_known_of_each_offer() -> None:
    async with Two() as two:
        unanswered, _ = await two.sender.offer([source("a", b"a")])
    with pytest.raises(NotDeliveredError) as not_delivered:
        await unanswered.result
    async with Two() as two:
        whole, _ = await two.sender.offer([source("a", b"a")])
        offer = await asked(two.receiver)
        offer.accept()
        assert [event async for event in offer.events()] == [Data(0, b"a")]
    with pytest.raises(NotDeliveredError) as unconfirmed:
        await whole.result
    assert [not_delivered.value.code, unconfirmed.value.code] == ["closed", "unconfirmed"]
    # Everything was here: it can still be made final.
    assert offer.finish() == 1


HELLO: dict[str, Any] = {"kind": "hello", "offers": True, "posts": 0, "features": []}
OFFER: dict[str, Any] = {"kind": "offer", "offer": 1, "count": 1, "bytes": 1, "token": "A" * 22}
LINE = b'{"path":"a","size":1}\n'

BREACHES: dict[str, list[tuple[dict[str, Any], bytes]]] = {
    "no hello": [({"kind": "bye"}, b"")],
    "two hellos": [(HELLO, b""), (HELLO, b"")],
    "a hello without posts": [({"kind": "hello", "offers": True, "features": []}, b"")],
    "an offer out of turn": [(HELLO, b""), (OFFER | {"offer": 2}, LINE)],
    "two offers without an answer": [(HELLO, b""), (OFFER, LINE), (OFFER | {"offer": 2}, LINE)],
    "another count": [(HELLO, b""), (OFFER | {"count": 2}, LINE)],
    "another sum": [(HELLO, b""), (OFFER | {"bytes": 2}, LINE)],
    "a short token": [(HELLO, b""), (OFFER | {"token": "AAAA"}, LINE)],
    "a path upwards": [(HELLO, b""), (OFFER, b'{"path":"../a","size":1}\n')],
    "an absolute path": [(HELLO, b""), (OFFER, b'{"path":"/a","size":1}\n')],
    "a name of 256 bytes": [(HELLO, b""), (OFFER, b'{"path":"%s","size":1}\n' % (b"a" * 256))],
    "an empty path": [(HELLO, b""), (OFFER, b'{"path":"","size":1}\n')],
    "a path twice": [(HELLO, b""), (OFFER | {"count": 2, "bytes": 2}, LINE + LINE)],
    "a path under a file": [(HELLO, b""), (OFFER | {"count": 2, "bytes": 2}, LINE + b'{"path":"a/b","size":1}\n')],
    "a thing in two parts": [
        (HELLO, b""),
        (OFFER | {"count": 3, "bytes": 3}, b"".join(b'{"path":"%s","size":1}\n' % p for p in (b"a/1", b"b", b"a/2"))),
    ],
    "a folder with a size": [(HELLO, b""), (OFFER, b'{"path":"a","size":1,"dir":true}\n')],
    "a line without its end": [(HELLO, b""), (OFFER, LINE[:-1])],
    "content without a yes": [(HELLO, b""), (OFFER, LINE), ({"kind": "content", "offer": 1}, b"a")],
    "content of no offer": [(HELLO, b""), ({"kind": "content", "offer": 1}, b"a")],
    "an answer to no offer": [(HELLO, b""), ({"kind": "answer", "offer": 1, "accepted": True, "through": 1}, b"")],
    "a post that was not allowed": [(HELLO, b"")] + [({"kind": "post"}, bytes(MIB))] * 3,
    "a post that is too long": [(HELLO, b""), ({"kind": "post"}, bytes(MIB + 1))],
    "less posts than before": [(HELLO | {"posts": 5}, b""), ({"kind": "take", "posts": 4}, b"")],
    "an offer after its goodbye": [(HELLO, b""), ({"kind": "bye"}, b""), (OFFER, LINE)],
    "an unknown kind above a mebibyte": [(HELLO, b""), ({"kind": "later"}, bytes(MIB + 1))],
}


CONTENT: dict[str, Any] = {"kind": "content", "offer": 1}
SENT: dict[str, Any] = {"kind": "sent", "offer": 1, "bytes": 0}
FILE = (OFFER | {"bytes": 4 * MIB}, b'{"path":"a","size":4194304}\n')
PIPE = ({name: value for name, value in OFFER.items() if name != "bytes"}, b'{"path":"a"}\n')
TWO = (OFFER | {"count": 2, "bytes": 2}, LINE + b'{"path":"b","size":1}\n')
SKIP: tuple[dict[str, Any], bytes] = ({"kind": "skip", "offer": 1, "entry": 0, "reason": "changed"}, b"")
AFTER_A_YES: dict[str, list[tuple[dict[str, Any], bytes]]] = {
    "content above the allowance": [PIPE] + [(CONTENT, bytes(MIB))] * 5,
    "content beyond the offer": [FILE] + [(CONTENT, bytes(MIB))] * 4 + [(CONTENT, b"a")],
    "an end before the end": [FILE, (CONTENT, b"a"), (SENT | {"bytes": 1}, b"")],
    "a skip of the only entry": [FILE, SKIP],
    "digests that nobody asked for": [FILE, ({"kind": "check", "offer": 1}, b"")],
    "content after the end": [PIPE, (SENT, b""), (CONTENT, b"a")],
    "a skip of one entry twice": [TWO, SKIP, SKIP],
    "a fifth offer": [(OFFER | {"offer": number}, LINE) for number in range(1, 6)],
    "another number than came": [PIPE, (SENT | {"bytes": 1}, b"")],
}


@pytest.mark.parametrize("messages", BREACHES.values(), ids=BREACHES.keys())
def test_a_peer_that_breaks_the_form_ends_the_channel(messages: list[tuple[dict[str, Any], bytes]]) -> None:
    asyncio.run(hear(messages, says_yes=False))


@pytest.mark.parametrize("messages", AFTER_A_YES.values(), ids=AFTER_A_YES.keys())
def test_an_offerer_that_breaks_the_form_after_a_yes_ends_the_channel(
    messages: list[tuple[dict[str, Any], bytes]],
) -> None:
    asyncio.run(hear([(HELLO, b""), *messages], says_yes=True))


async def hear(messages: list[tuple[dict[str, Any], bytes]], *, says_yes: bool) -> None:
    """Hears messages of which the last one alone is a breach."""
    receiver = conversation_of(KEYS, BOTH, MAX_FRAME, is_sender=False)
    sealer = Sealer(KEYS.s2r, 4)
    frames = [sealer.seal(encode_message(head, body)) for head, body in messages]
    for message in frames[:-1]:
        for frame in message:
            receiver.take_frame(frame)
        if says_yes and receiver._asked:
            (await asked(receiver)).accept()
    with pytest.raises(CorruptError):
        for frame in frames[-1]:
            receiver.take_frame(frame)


TOKEN = bytes(16)
YES: dict[str, Any] = {"kind": "answer", "offer": 1, "accepted": True, "through": 50}
RESUMES: dict[str, Any] = YES | {"resume": to_base64url(answered_of(TOKEN, KEYS.resume))}
RECEIPT: dict[str, Any] = {"kind": "receipt", "offer": 1, "bytes": 100}
#: What a taker says to an offer of 100 bytes, each when the offer is in that state. The last one is a breach.
TAKERS: dict[str, list[tuple[str, dict[str, Any], bytes]]] = {
    "a receipt before the end": [("asked", RECEIPT | {"bytes": 0}, b"")],
    "a receipt of less": [("asked", YES | {"through": 100}, b""), ("sent", RECEIPT | {"bytes": 99}, b"")],
    "two receipts": [("asked", YES | {"through": 100}, b""), ("sent", RECEIPT, b""), ("over", RECEIPT, b"")],
    "two answers": [("asked", YES, b""), ("running", YES, b"")],
    "more than was sent": [
        ("asked", YES, b""),
        ("running", {"kind": "take", "offer": 1, "taken": 51, "through": 99}, b""),
    ],
    "less than was allowed": [
        ("asked", YES, b""),
        ("running", {"kind": "take", "offer": 1, "taken": 0, "through": 49}, b""),
    ],
    "a resume of nothing": [("asked", YES | {"resume": "A" * 22}, b"")],
    "more than there is": [("asked", RESUMES, b'{"entry":0,"bytes":101}\n')],
    "a start at what was not compared": [
        ("asked", RESUMES, b'{"entry":0,"bytes":50}\n'),
        ("starting", {"kind": "start", "offer": 1}, b'{"entry":0,"bytes":40}\n'),
    ],
}


@pytest.mark.parametrize("said", TAKERS.values(), ids=TAKERS.keys())
def test_a_taker_that_breaks_the_form_ends_the_channel(
    said: list[tuple[str, dict[str, Any], bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer() -> None:
        async with asyncio.timeout(60), Two() as two:
            offer, _ = await two.sender.offer([source("a", bytes(100))], [TOKEN])
            await asked(two.receiver)
            states: list[str] = []
            # The taker hears nothing from here on: it has said other things than its own part of the code knows.
            monkeypatch.setattr(two.receiver, "take_frame", lambda _: None)
            for state, head, body in said:
                assert two.sender.error is None
                states.append(state)
                await until(lambda: offer.state == states[-1])
                two.receiver._say(head, body)
            await until(lambda: two.sender.error is not None)
            assert two.sender.error is not None
            assert two.sender.error.code == "corrupt"

    asyncio.run(answer())


@in_loop
async def test_what_came_whole_can_be_made_final_after_a_withdrawal() -> None:
    async with Two() as two:
        offer, _ = await two.sender.offer([source("a", b"a")])
        incoming = await asked(two.receiver)
        incoming.accept()
        assert [event async for event in incoming.events()] == [Data(0, b"a")]
        offer.withdraw()
        await two.sender.offer([source("b", b"b")])
        await asked(two.receiver)
        incoming.finish()
        assert (await offer.result).bytes == 1


@in_loop
async def test_a_message_of_an_unknown_kind_is_ignored() -> None:
    receiver = conversation_of(KEYS, BOTH, MAX_FRAME, is_sender=False)
    sealer = Sealer(KEYS.s2r, 4)
    for head, body in [(HELLO, b""), ({"kind": "later"}, bytes(1_000_000)), (OFFER, LINE)]:
        for frame in sealer.seal(encode_message(head, body)):
            receiver.take_frame(frame)
    offer = await asked(receiver)
    assert offer.entries == (Entry("a", size=1),)
