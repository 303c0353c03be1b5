"""Two conversations that keep the rules: section 10 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from pairlay import BytesSource, Data, Entry, NotDeliveredError, NotReceivedError, PairlayError
from pairlay.messages import MIB, BlockDigest
from pairlay.outgoing import Reader, SourceError
from pairlay.role import Options

from .two import Two, asked, in_loop, source, taken


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
async def test_what_ends_an_offer_before_its_answer_is_a_no_and_a_failure_is_not_called_declined() -> None:
    async with Two() as two:
        reasons = []
        for reason in ("cancelled", "no_space", "failed"):
            offer, _ = await two.sender.offer([source("a", b"a")])
            (await asked(two.receiver)).stop(reason)
            with pytest.raises(NotDeliveredError) as error:
                await offer.result
            reasons.append(error.value.code)
        assert reasons == ["declined", "no_space", "failed"]


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
