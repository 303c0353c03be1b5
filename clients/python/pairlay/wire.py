"""Forms of the wire: frames (5.2), the view (4), the limits (7) and what a client takes from a relay (5.11). No I/O."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

from .errors import PairlayError

DATA, ACK = 1, 2
HEADER_BYTES = 8
FRAME_MIN_COST = 256
HANDSHAKE_MAX_SEQ = 2
HANDSHAKE_MAX_CIPHERTEXT_BYTES = 2_048
PENDING_MAX = 8
RECEIVER_ROWS_MAX = 32
TTL_MAX_MS = 86_400_000
WINDOW_MAX_BYTES = 64 * 1024 * 1024
VIEW_MAX_BYTES = 16_384
SEQ_MAX = 0xFFFF_FFFF
_VERSION = re.compile(r"[!-~]{1,32}")
_CODE = re.compile(r"[A-Za-z0-9_-]{4,64}")


class BreachError(PairlayError):
    """Something that only a relay can have brought about (C6, C7): the end of the session."""

    def __init__(self, message: str) -> None:
        super().__init__("relay_breach", message)


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: object, least: int, most: int) -> bytes:
    """Decodes the one canonical spelling of so many bytes. Raises ValueError for any other."""
    if not isinstance(text, str):
        raise ValueError("not a string")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if to_base64url(data) != text or not least <= len(data) <= most:
        raise ValueError("not the canonical base64url of its length")
    return data


def cost(ciphertext: bytes) -> int:
    """What a data frame costs of a window (5.5)."""
    return max(FRAME_MIN_COST, HEADER_BYTES + len(ciphertext))


def encode_frame(kind: int, channel: int, seq: int, ciphertext: bytes = b"") -> bytes:
    return bytes((kind, 0)) + channel.to_bytes(2, "big") + seq.to_bytes(4, "big") + ciphertext


def decode_frame(frame: bytes) -> tuple[int, int, int, bytes]:
    """Returns kind, channel, seq and ciphertext. Raises BreachError."""
    kind, seq = frame[0] if frame else 0, int.from_bytes(frame[4:8], "big")
    channel, rest = int.from_bytes(frame[2:4], "big"), frame[8:]
    is_form = len(frame) >= HEADER_BYTES and frame[1] == 0 and channel > 0
    if not is_form or not ((kind == DATA and rest and seq > 0) or (kind == ACK and not rest)):
        raise BreachError("The relay sent a frame of no documented form.")
    return kind, channel, seq, rest


@dataclass(frozen=True, slots=True)
class Limits:
    """What a relay holds a session to. Sizes in bytes."""

    window_bytes: int
    max_frame_bytes: int
    max_receivers: int
    ttl_seconds: int

    @classmethod
    def of(cls, value: Any) -> Limits:
        names = ("windowBytes", "maxFrameBytes", "maxReceivers", "ttlSeconds")
        window, frame, receivers, ttl = (_number(value, name) for name in names)
        if frame < 65_568:
            raise ValueError("frames too small for suite 1")
        return cls(min(window, WINDOW_MAX_BYTES), frame, receivers, ttl)


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    receiver_code: str
    channel: int
    #: `pending`, `approved`, `denied`, `left`, `done`, `revoked`, or one that is not known and reads as an end.
    state: str
    reason: str | None
    public_key: bytes | None
    profile: bytes
    name: str | None
    present: bool

    @property
    def live(self) -> bool:
        return self.state in ("pending", "approved")

    @property
    def pinned(self) -> tuple[str, int, bytes | None, bytes]:
        """What never changes while the receiver is live (9.4)."""
        return (self.receiver_code, self.channel, self.public_key, self.profile)


@dataclass(frozen=True, slots=True)
class ChannelRow:
    channel: int
    received: int
    acked: int
    window: int
    #: The last inbound frame that can be fetched, over HTTP alone.
    available: int | None


@dataclass(frozen=True, slots=True)
class View:
    version: str
    role: str
    closed: bool
    reason: str | None
    expires_in_ms: int
    joinable: bool
    sender_present: bool
    receivers: tuple[ReceiverRow, ...]
    channels: tuple[ChannelRow, ...]
    attachment: str | None


def _number(row: Any, name: str, most: int = 2**53) -> int:
    value = row[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name} is no number")
    return value


def _text(row: Any, name: str) -> str:
    value = row[name]
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError(f"{name} is no text")
    return value


def _code(row: Any, name: str) -> str:
    value = _text(row, name)
    if not _CODE.fullmatch(value):
        raise ValueError(f"{name} is no code")
    return value


def profile_of(row: Any) -> bytes:
    return from_base64url(row.get("profile", "AQ"), 1, 64)


def _receiver(row: Any) -> ReceiverRow:
    return ReceiverRow(
        receiver_code=_code(row, "receiverCode"),
        channel=_number(row, "channel", 65_535),
        state=_text(row, "state"),
        reason=_text(row, "reason") if "reason" in row else None,
        public_key=from_base64url(row["publicKey"], 1, 128) if "publicKey" in row else None,
        profile=profile_of(row),
        name=_text(row, "name") if "name" in row else None,
        present=row.get("present") is True,
    )


def _channel(row: Any) -> ChannelRow:
    received, acked = _number(row, "received", SEQ_MAX), _number(row, "acked", SEQ_MAX)
    if acked > received:
        raise ValueError("acked beyond received")
    available = _number(row, "available", SEQ_MAX) if "available" in row else None
    return ChannelRow(_number(row, "channel", 65_535), received, acked, _number(row, "window"), available)


def parse_view(text: str | bytes) -> View:
    """Reads a view. Raises BreachError for what is none."""
    try:
        if len(text) > VIEW_MAX_BYTES:
            raise ValueError("too long")
        value = json.loads(text)
        receivers = tuple(_receiver(row) for row in value["receivers"])
        channels = tuple(_channel(row) for row in value["channels"])
        pending = sum(row.state == "pending" for row in receivers)
        if value["type"] != "session" or value["role"] not in ("sender", "receiver"):
            raise ValueError("not a view")
        if len(receivers) > RECEIVER_ROWS_MAX or pending > PENDING_MAX or len(channels) > 16:
            raise ValueError("too many rows")
        if not _VERSION.fullmatch(value["version"]):
            raise ValueError("no version")
        attachment = value.get("attachment")
        if attachment is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", attachment):
            raise ValueError("no attachment")
        return View(
            version=value["version"],
            role=value["role"],
            # A state that is not known reads as `closed` (section 13).
            closed=_text(value, "state") != "open",
            reason=_text(value, "reason") if "reason" in value else None,
            expires_in_ms=_number(value, "expiresInMs", TTL_MAX_MS),
            joinable=value["joinable"] is True,
            sender_present=value.get("senderPresent") is True,
            receivers=receivers,
            channels=channels,
            attachment=attachment,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BreachError(f"The relay sent a view of no documented form ({error}).") from error


_UNSHOWN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def shown(text: str) -> str:
    """Strips control, bidirectional and escape characters from a text of the peer or the relay."""
    return _UNSHOWN.sub("", text)
