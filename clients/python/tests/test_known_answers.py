"""Checks the pairing code, the handshake and the payload against the vectors of the repository."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from pairlay.code import check_symbol, parse_code, parse_link
from pairlay.errors import CodeError, CorruptError, HandshakeError
from pairlay.handshake import Keys, Pairing, ReceiverRun, Secrets, SenderRun
from pairlay.stream import Opener, Sealer, message_key

VECTORS = Path(__file__).parents[3] / "test" / "crypto" / "vectors"
HANDSHAKES: list[dict[str, Any]] = json.loads((VECTORS / "handshake.json").read_text())["vectors"]
CPACE: dict[str, Any] = json.loads((VECTORS / "cpace.json").read_text())


def parties(vector: dict[str, Any]) -> tuple[Pairing, ReceiverRun, SenderRun]:
    given = vector["inputs"]
    receiver, sender = given["receiver"], given["sender"]
    pairing = Pairing(given["locator"], given["secret"], given["receiverCode"], bytes.fromhex(given["sessionId"]))
    secrets = Secrets(*(bytes.fromhex(receiver[name]) for name in ("secretKey", "nonce", "scalarBytes", "mlKemSeed")))
    other = Secrets(*(bytes.fromhex(sender[name]) for name in ("secretKey", "nonce", "scalarBytes")))
    return pairing, ReceiverRun(pairing, secrets), SenderRun(pairing, secrets.public_key, other)


def hand_shake(vector: dict[str, Any]) -> tuple[Keys, Keys, list[bytes]]:
    _, receiver, sender = parties(vector)
    m2_expected = bytes.fromhex(vector["m2"])
    ct = m2_expected[96:]
    kem = receiver._kem.decapsulate(ct)
    m2 = sender.on_m1(receiver.m1, (kem, ct))
    m3 = receiver.on_m2(m2)
    m4, sender_keys = sender.on_m3(m3)
    return sender_keys, receiver.on_m4(m4), [receiver.m1, m2, m3, m4]


@pytest.mark.parametrize("vector", HANDSHAKES, ids=lambda vector: str(vector["name"]))
def test_both_sides_of_a_handshake_have_the_known_answers(vector: dict[str, Any]) -> None:
    sender, receiver, messages = hand_shake(vector)
    assert [m.hex() for m in messages] == [vector["m1"]["frame"], vector["m2"], vector["m3"], vector["m4"]]
    assert sender == receiver
    derived = vector["derived"]
    assert sender.match_number.replace(" ", "") == str(derived["matchNumber"]).replace(" ", "")
    assert sender.s2r.hex() == derived["trafficSenderToReceiver"]
    assert sender.r2s.hex() == derived["trafficReceiverToSender"]


def test_the_first_handshake_has_the_values_of_section_11() -> None:
    keys, _, _ = hand_shake(HANDSHAKES[0])
    assert keys.match_number == "138 424"
    assert keys.fingerprint == "QT37PEDD0CBE0W75BFYF35KXDN9J5YQM"
    assert keys.resume.hex() == "6ca8b589b47bc5f16110f21d45c60c7c4832db0f0a9de16758d41b8806cb30be"


def test_profiles_change_the_match_number() -> None:
    given = HANDSHAKES[0]["inputs"]
    pairing = Pairing("K7QM3", "XPDT2", "7F3KQ2", bytes.fromhex(given["sessionId"]), b"\x01a", b"\x01b")
    _, of_receiver, of_sender = parties(HANDSHAKES[0])
    receiver = ReceiverRun(pairing, of_receiver._secrets)
    sender = SenderRun(pairing, of_receiver._secrets.public_key, of_sender._secrets)
    ct = bytes.fromhex(HANDSHAKES[0]["m2"])[96:]
    m3 = receiver.on_m2(sender.on_m1(receiver.m1, (receiver._kem.decapsulate(ct), ct)))
    assert m3[32:].hex() == "5e83f052480a5e1fccd465f9e7586dc8187fde1899e193a4f909c7a32771c222"
    assert sender.on_m3(m3)[1].match_number == "649 149"


def test_a_wrong_secret_fails_as_a_guess_and_a_broken_message_does_not() -> None:
    pairing = Pairing("K7QM3", "XPDT2", "7F3KQ2", bytes(16))
    guess = Pairing("K7QM3", "XPDT3", "7F3KQ2", bytes(16))
    secrets = Secrets()
    receiver, sender = ReceiverRun(guess, secrets), SenderRun(pairing, secrets.public_key, Secrets())
    m3 = receiver.on_m2(sender.on_m1(receiver.m1))
    with pytest.raises(HandshakeError) as failed:
        sender.on_m3(m3)
    assert failed.value.reason == "handshake_failed"
    other = SenderRun(guess, secrets.public_key, Secrets())
    other.on_m1(receiver.m1)
    with pytest.raises(HandshakeError) as broken:
        other.on_m3(bytes([m3[0] ^ 1]) + m3[1:])
    assert broken.value.reason == "handshake_invalid"


def test_what_was_committed_to_cannot_be_changed_afterwards() -> None:
    _, receiver, sender = parties(HANDSHAKES[0])
    m3 = receiver.on_m2(sender.on_m1(receiver.m1[:32] + bytes(32) + receiver.m1[64:]))
    with pytest.raises(HandshakeError) as changed:
        sender.on_m3(m3)
    assert changed.value.reason == "handshake_invalid"
    _, receiver, sender = parties(HANDSHAKES[0])
    m3 = receiver.on_m2(sender.on_m1(receiver.m1))
    sender._secrets = Secrets(x25519=sender._secrets.x25519, scalar=sender._secrets.scalar)
    m4, _ = sender.on_m3(m3)
    with pytest.raises(HandshakeError):
        receiver.on_m4(m4)


def test_each_message_of_a_run_is_answered_once() -> None:
    _, receiver, sender = parties(HANDSHAKES[0])
    m2 = sender.on_m1(receiver.m1)
    m3 = receiver.on_m2(m2)
    sender.on_m3(m3)
    with pytest.raises(HandshakeError):
        sender.on_m1(receiver.m1)
    with pytest.raises(HandshakeError):
        receiver.on_m2(m2)
    with pytest.raises(HandshakeError):
        sender.on_m3(m3)


def invalid_points(name: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def look(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key.startswith("Invalid Y") and isinstance(value, str):
                    found.append((key, value))
                look(value)

    look(CPACE[name])
    return found


def test_points_that_are_none_or_the_identity_are_refused() -> None:
    for _, point in invalid_points("G_Coffee25519_points"):
        _, receiver, sender = parties(HANDSHAKES[0])
        m2 = sender.on_m1(receiver.m1)
        with pytest.raises(HandshakeError):
            receiver.on_m2(m2[:64] + bytes.fromhex(point) + m2[96:])
    assert len(invalid_points("G_Coffee25519_points")) == 2


def test_public_keys_that_agree_on_zero_are_refused() -> None:
    for name, point in invalid_points("X25519_points"):
        _, receiver, sender = parties(HANDSHAKES[0])
        m2 = sender.on_m1(receiver.m1)
        forged = bytes.fromhex(point) + m2[32:]
        if name.removeprefix("Invalid Y") in ("6", "8", "9", "10", "11"):
            receiver.on_m2(forged)
        else:
            with pytest.raises(HandshakeError):
                receiver.on_m2(forged)


def test_an_encapsulation_key_beyond_the_modulus_is_refused() -> None:
    _, receiver, sender = parties(HANDSHAKES[0])
    with pytest.raises(HandshakeError):
        sender.on_m1(receiver.m1[:64] + b"\xff\xff\xff" + receiver.m1[67:])


def test_the_payload_has_the_known_answers() -> None:
    keys, _, _ = hand_shake(HANDSHAKES[0])
    stream = HANDSHAKES[0]["stream"]
    assert message_key(keys.s2r, 0).hex() == stream["senderMessage0Key"]
    assert message_key(keys.r2s, 0).hex() == stream["receiverMessage0Key"]
    sealer, opener = Sealer(keys.s2r, 4), Opener(keys.s2r)
    [empty] = sealer.seal(b"")
    assert empty.hex() == "01" + "1194006462d88f2478fd4d08b1db7703"
    plain = b"a" * 65_536 + b"bbb"
    [two] = sealer.seal(plain)
    assert hashlib.sha512(two[1:65_553]).hexdigest() == stream["twoChunkMessage1"]["sha512OfChunk0"]
    assert two[65_553:].hex() == stream["twoChunkMessage1"]["chunk1"]
    assert opener.open(empty) == (b"", True)
    assert opener.open(b"\x02" + two[1:1000]) is None
    assert opener.open(b"\x01" + two[1000:]) == (plain, True)


def test_a_frame_that_was_changed_or_cut_short_does_not_open() -> None:
    [frame] = Sealer(bytes(64), 4).seal(b"hello")
    for spoilt in (frame[:-1], b"\x00" + frame[1:], b"\x03" + frame[1:], frame[:1]):
        with pytest.raises(CorruptError):
            Opener(bytes(64)).open(spoilt)


def test_a_message_has_no_empty_chunk_behind_others() -> None:
    cipher = ChaCha20Poly1305(message_key(bytes(64), 0))
    opener = Opener(bytes(64))
    opener.open(b"\x00" + cipher.encrypt(bytes(12), bytes(65_536), None))
    with pytest.raises(CorruptError):
        opener.open(b"\x01" + cipher.encrypt(bytes(10) + b"\x01\x01", b"", None))


def test_the_check_symbol_has_the_known_answers() -> None:
    known = {"K7QM3XPDT2": "8", "ZZZZZZ9Z9Z": "W", "0A1B2C3D4E": "3", "J9W4TQ0RXV": "G"}
    assert {ten: check_symbol(ten) for ten in known} == known


def test_a_code_is_read_as_people_type_it() -> None:
    for text in ("K7QM3-XPDT28", "k7qm3 xpdt28", " K7QM3\u2013XPDT28\n"):
        assert str(parse_code(text)) == "K7QM3-XPDT28"
    for text in ("K7QM3-XPDT2", "K7QM3-XPDT29", "K7QM3-XPDT2U", "7KQM3-XPDT28"):
        with pytest.raises(CodeError):
            parse_code(text)
    assert parse_link("https://relay.example/sub/#K7QM3%2DXPDT28") == (
        "https://relay.example/sub",
        parse_code("K7QM3-XPDT28"),
    )
    assert parse_link("K7QM3-XPDT28") is None
