"""A device that breaks the rules of section 10 of PROTOCOL.md, in either part."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pairlay import CorruptError, Entry
from pairlay.messages import MIB, answered_of, encode_message
from pairlay.role import conversation_of
from pairlay.stream import Sealer
from pairlay.wire import to_base64url

from .two import BOTH, KEYS, MAX_FRAME, Two, asked, in_loop, source, until

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
async def test_a_message_of_an_unknown_kind_is_ignored() -> None:
    receiver = conversation_of(KEYS, BOTH, MAX_FRAME, is_sender=False)
    sealer = Sealer(KEYS.s2r, 4)
    for head, body in [(HELLO, b""), ({"kind": "later"}, bytes(1_000_000)), (OFFER, LINE)]:
        for frame in sealer.seal(encode_message(head, body)):
            receiver.take_frame(frame)
    offer = await asked(receiver)
    assert offer.entries == (Entry("a", size=1),)
