"""Both roles against a relay, and against strangers, that do as they like: 9.3 to 9.6 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pairlay import HandshakeError, Options, PairingCode, PairlayError, Receiver, RelayError, Request, Sender
from pairlay.api import Api, Registered
from pairlay.channel import Channel
from pairlay.handshake import DEFAULT_PROFILE, Keys, Pairing, ReceiverRun, Secrets, SenderRun
from pairlay.wire import BreachError, Limits, ReceiverRow, View, to_base64url

from .test_known_answers import HANDSHAKES, hand_shake

SESSION = bytes(16)
PLACE = Registered(to_base64url(SESSION), "token", 60_000, Limits(1_000_000, 262_272, 8, 60), 1, DEFAULT_PROFILE)
KEY = bytes(range(32))


class _Connection:
    """A connection on which nothing moves."""

    def __init__(self, *_: object, **__: object) -> None:
        self.channels: dict[int, Channel] = {}

    def start(self) -> None: ...

    async def close(self) -> None: ...

    def channel(self, number: int, on_frame: Callable[[int, bytes], None]) -> Channel:
        self.channels[number] = Channel(number, on_frame, lambda: None)
        return self.channels[number]


class _Api:
    """A relay that says yes to everything."""

    base = "https://relay.example"

    def __init__(self, *_: object) -> None:
        self.decisions: list[tuple[str, str | None]] = []

    async def call(self, *_: object, **__: object) -> tuple[int, bytes]:
        return 204, b""

    async def decide(self, _: str, __: str, receiver_code: str, denied: str | None) -> None:
        self.decisions.append((receiver_code, denied))

    async def join(self, *_: object) -> Registered:
        return PLACE

    async def close(self) -> None: ...


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("sender", "receiver"):
        monkeypatch.setattr(f"pairlay.{role}.Connection", _Connection)
    monkeypatch.setattr("pairlay.receiver.Api", _Api)


def row(channel: int = 1, key: bytes = KEY, state: str = "pending", code: str = "") -> ReceiverRow:
    return ReceiverRow(code or f"7F3KQ{channel}", channel, state, None, key, DEFAULT_PROFILE, None, True)


def view(*rows: ReceiverRow, role: str = "sender") -> View:
    return View("1", role, False, None, 60_000, True, True, rows, (), None)


def with_sender(test: Callable[[Sender, Any], Awaitable[None]]) -> None:
    async def run() -> None:
        api: Any = _Api()
        async with asyncio.timeout(60), Sender(api, PairingCode("K7QM3", "XPDT2"), PLACE, 2, Options()) as sender:
            await test(sender, api)

    asyncio.run(run())


@pytest.mark.parametrize(
    "attacker",
    [
        [row(key=bytes(32))],
        [row(code="7F3KQZ")],
        [row(state="approved")],
        [row(state="denied")],
        [row(), row(2, state="approved")],
    ],
    ids=["another key", "another code", "an approval", "a denial", "a device that is let in"],
)
def test_a_relay_that_changes_or_decides_about_a_device_is_left(attacker: list[ReceiverRow]) -> None:
    async def hear(sender: Sender, _: Any) -> None:
        sender.on_view(view(row()))
        with pytest.raises(BreachError):
            sender.on_view(view(*attacker))

    with_sender(hear)


def test_the_same_first_message_is_not_answered_twice() -> None:
    async def hear(sender: Sender, _: Any) -> None:
        attacker = ReceiverRun(Pairing("K7QM3", "00000", "7F3KQ1", SESSION), Secrets())
        sender.on_view(view(row(1), row(2)))
        sender._on_frame(1, 1, attacker.m1)
        with pytest.raises(HandshakeError):
            sender._on_frame(2, 1, attacker.m1)

    with_sender(hear)


def test_neither_of_two_devices_with_one_number_is_let_in() -> None:
    keys: Keys = hand_shake(HANDSHAKES[0])[0]

    async def hear(sender: Sender, api: Any) -> None:
        sender.on_view(view(row(1), row(2)))
        requests = [Request(f"7F3KQ{channel}", "", keys) for channel in (1, 2)]
        for channel, request in enumerate(requests, start=1):
            sender._devices[channel].request = request
        for request in requests:
            with pytest.raises(PairlayError) as error:
                await sender.approve(request)
            assert error.value.code == "equal_numbers"
        assert api.decisions == []

    with_sender(hear)


def test_a_code_that_was_used_up_brings_no_more_requests_and_denies_who_comes() -> None:
    async def hear(sender: Sender, api: Any) -> None:
        for attacker in range(1, 6):
            sender.on_view(view(row(attacker)))
            sender.on_channel_error(attacker, HandshakeError("handshake_failed"))
        sender.on_view(view(row(6)))
        with pytest.raises(PairlayError) as error:
            await anext(sender.requests())
        assert error.value.code == "used_up"
        await sender._background.ended()
        assert api.decisions == [(f"7F3KQ{n}", "handshake_failed") for n in range(1, 6)] + [("7F3KQ6", "rejected")]

    with_sender(hear)


def test_a_receiver_that_is_shown_another_key_than_its_own_leaves_the_relay() -> None:
    async def hear() -> None:
        receiver = await Receiver.join("https://relay.example", PairingCode("K7QM3", "00001"))
        own, key = receiver._receiver_code, receiver._public_key
        receiver.on_view(view(row(1, key, code=own), role="receiver"))
        for attacker in (row(1, KEY, code=own), row(2, key, code=own)):
            with pytest.raises(BreachError):
                receiver.on_view(view(attacker, role="receiver"))
        await receiver.leave()

    asyncio.run(hear())


def test_a_code_is_guessed_three_times_and_not_a_fourth() -> None:
    code = PairingCode("K7QM3", "00002")

    async def guess() -> None:
        receiver = await Receiver.join("https://relay.example", code)
        pairing = Pairing("K7QM3", "ZZZZZ", receiver._receiver_code, SESSION)
        run = SenderRun(pairing, receiver._public_key, Secrets())
        assert receiver._run is not None
        receiver._on_frame(1, run.on_m1(receiver._run.m1))
        await receiver.leave()

    for _ in range(3):
        asyncio.run(guess())
    with pytest.raises(PairlayError) as error:
        asyncio.run(guess())
    assert error.value.code == "used_up"


def test_a_redirect_is_told_and_not_followed() -> None:
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n")).decode().split(" ")[1])
        writer.write(
            b"HTTP/1.1 307 Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    async def call() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server, Api(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as api:
            with pytest.raises(RelayError) as error:
                await api.call("GET", "sessions", token="secret")
            assert error.value.code == "redirected"

    asyncio.run(call())
    assert heard == ["/v1/sessions"]
