"""Frames, views, windows and resume: sections 4 and 5 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairlay import CorruptError
from pairlay.channel import Channel
from pairlay.saving import safe_name
from pairlay.stream import Opener, Sealer
from pairlay.wire import (
    ACK,
    DATA,
    BreachError,
    ChannelRow,
    decode_frame,
    encode_frame,
    from_base64url,
    parse_view,
    shown,
)

EXAMPLES = [
    json.loads(line.split("`")[1])
    for line in (Path(__file__).parents[3] / "PROTOCOL.md").read_text().splitlines()
    if '`{"type":"session"' in line and line.count("`") >= 2
]


def channel(heard: list[bytes] | None = None) -> Channel:
    made = Channel(1, lambda seq, data: (heard if heard is not None else []).append(data), lambda: None)
    made.window = 1_000
    return made


def row(received: int, acked: int, window: int = 1_000) -> ChannelRow:
    return ChannelRow(1, received, acked, window, None)


def in_loop(test: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        async def inside() -> None:
            test()

        asyncio.run(inside())

    run.__name__ = test.__name__
    return run


def sent(of: Channel) -> list[int]:
    seqs = []
    while (due := of.peek()) is not None:
        seqs.append(due[0])
        of.mark_sent()
    return seqs


def test_frames_have_the_documented_form() -> None:
    assert encode_frame(DATA, 1, 5, b"x").hex() == "010000010000000578"
    assert decode_frame(bytes.fromhex("0200000100000028")) == (ACK, 1, 40, b"")
    wrong = [
        "",
        "01",
        "0100000100000005",
        "020000010000000578",
        "0100000000000001ff",
        "0101000100000001ff",
        "0300000100000001ff",
    ]
    for form in wrong:
        with pytest.raises(BreachError):
            decode_frame(bytes.fromhex(form))


def test_the_views_of_the_document_are_views() -> None:
    assert len(EXAMPLES) >= 4
    for example in EXAMPLES:
        view = parse_view(json.dumps(example))
        assert [r.receiver_code for r in view.receivers] == [r["receiverCode"] for r in example["receivers"]]
        assert view.closed == (example["state"] == "closed")


@pytest.mark.parametrize(
    "change",
    [
        {"version": ""},
        {"version": 3},
        {"expiresInMs": -1},
        {"expiresInMs": 86_400_001},
        {"role": "relay"},
        {"channels": [{"channel": 1, "received": 1, "acked": 2, "window": 0}]},
        {"channels": [{"channel": 65_536, "received": 0, "acked": 0, "window": 0}]},
        {"receivers": [{"receiverCode": "x", "channel": 1, "state": "pending"}]},
        {"receivers": [{"receiverCode": f"AAAA{i}", "channel": i, "state": "pending"} for i in range(1, 10)]},
    ],
)
def test_what_is_no_view_is_the_breach_of_a_relay(change: dict[str, Any]) -> None:
    with pytest.raises(BreachError):
        parse_view(json.dumps(EXAMPLES[0] | change))


def test_base64url_has_one_spelling() -> None:
    assert from_base64url("ABEiM0RVZneImaq7zN3u_w", 16, 16).hex() == "00112233445566778899aabbccddeeff"
    for text in ("ABEiM0RVZneImaq7zN3u_x", "ABEiM0RVZneImaq7zN3u_w==", "ABEiM0RVZneImaq7zN3u/w", "", 5):
        with pytest.raises(ValueError):
            from_base64url(text, 16, 16)


@in_loop
def test_a_writer_keeps_to_its_window_and_to_its_acks() -> None:
    writer = channel()
    for _ in range(5):
        writer.send(b"x")
    assert sent(writer) == [1, 2, 3]
    writer.take_ack(2)
    assert sent(writer) == [4, 5]
    with pytest.raises(CorruptError):
        writer.take_ack(6)


@in_loop
def test_an_attach_sends_again_what_the_relay_does_not_have_and_nothing_else() -> None:
    writer = channel()
    for _ in range(6):
        writer.send(b"x")
    sent(writer)
    writer.take_row(row(2, 1), 10_000, is_first=True)
    assert sent(writer) == [3, 4]
    writer.take_row(row(0, 0, window=9_000), 10_000, is_first=False)
    assert sent(writer) == [5, 6]
    with pytest.raises(BreachError):
        writer.take_row(row(0, 0), 10_000, is_first=True)
    with pytest.raises(CorruptError):
        writer.take_row(row(7, 1), 10_000, is_first=True)


@in_loop
def test_a_relay_may_not_grant_more_than_its_own_limit() -> None:
    writer = channel()
    writer.take_row(row(0, 0, window=1_000_000), 600, is_first=True)
    for _ in range(5):
        writer.send(b"x")
    assert sent(writer) == [1, 2]


@in_loop
def test_a_reader_takes_each_frame_once_and_no_gap() -> None:
    heard: list[bytes] = []
    reader = channel(heard)
    assert [reader.take_data(seq, b"%d" % seq) for seq in (1, 1, 2, 1)] == [True, False, True, False]
    assert heard == [b"1", b"2"]
    with pytest.raises(CorruptError):
        reader.take_data(4, b"4")


@in_loop
def test_frames_are_cut_above_what_the_relay_has_taken_and_read_as_one() -> None:
    writer = channel()
    writer.window = 10_000_000
    [first] = Sealer(bytes(64), 4).seal(b"a" * 100_000)
    for frame in (b"taken", first):
        writer.send(frame)
    sent(writer)
    writer.most_ciphertext = 40_000
    writer.take_row(row(1, 0, window=10_000_000), 10_000_000, is_first=True)
    opener, opened = Opener(bytes(64)), []
    while (due := writer.peek()) is not None:
        assert len(due[1]) <= 40_000
        opened.append(opener.open(due[1]))
        writer.mark_sent()
    assert opened == [None, None, (b"a" * 100_000, True)]


def test_names_of_the_peer_are_made_harmless() -> None:
    assert [safe_name(name) for name in ("CON", "a:b", "dot. ", "\u202egpj.exe", "nul.txt", "fine.txt")] == [
        "_CON",
        "a_b",
        "dot",
        "gpj.exe",
        "_nul.txt",
        "fine.txt",
    ]
    assert shown("a\x1b[31m\u202eb") == "a[31mb"
