"""Messages between the two devices: heads, lines and entries (10.2 and 10.4 of PROTOCOL.md). No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import CorruptError
from .handshake import hmac512, lv, tag
from .wire import from_base64url

MIB = 1024 * 1024
HEAD_MAX = 4_096
PADDED_BELOW = 4_096
PADDED_TO = 256
LINE_MAX = 8_192
LINES_MAX = 16 * MIB
ENTRIES_MAX = 100_000
POST_MAX = MIB
POST_COST = 1_024
POSTS_ALLOWED = 2 * (POST_MAX + POST_COST)
UNKNOWN_MAX = MIB
ALLOWED = 4 * MIB
TEXT_TYPE = "application/x-pairlay-text"
TEXT_MAX = MIB
SIZES_MAX = 2**53


def encode_message(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Joins head and body, filled up with spaces where the message is short."""
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    length = 4 + len(text) + len(body)
    if length < PADDED_BELOW:
        text += b" " * (-length % PADDED_TO)
    if len(text) > HEAD_MAX:
        raise ValueError("the head of this message is too long")
    return len(text).to_bytes(4, "big") + text + body


def decode_head(plain: bytes) -> tuple[dict[str, Any], bytes]:
    """Splits the plaintext of a message's first frame into its head and the beginning of its body."""
    length = int.from_bytes(plain[:4], "big")
    if not 2 <= length <= HEAD_MAX or len(plain) < 4 + length:
        raise CorruptError("The other device sent a message without a head.")
    return json_object(plain[4 : 4 + length]), plain[4 + length :]


def json_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode("utf-8", "strict"))
    except (ValueError, RecursionError) as error:
        raise CorruptError("The other device sent what is no JSON.") from error
    if not isinstance(value, dict):
        raise CorruptError("The other device sent what is no JSON object.")
    return value


def number_of(row: dict[str, Any], name: str, least: int = 0, most: int = SIZES_MAX) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise CorruptError(f"The other device sent a message whose {name!r} is wrong.")
    return value


def text_of(row: dict[str, Any], name: str, most: int = 255) -> str:
    value = row.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise CorruptError(f"The other device sent a message whose {name!r} is wrong.")
    return value


def bytes_of(value: object, length: int) -> bytes:
    try:
        return from_base64url(value, length, length)
    except ValueError as error:
        raise CorruptError("The other device sent a message with wrong base64url.") from error


def encode_lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in rows)


def decode_lines(body: bytes) -> Iterator[dict[str, Any]]:
    """Reads lines. Raises CorruptError for one of a wrong form."""
    if body and not body.endswith(b"\n"):
        raise CorruptError("The other device sent a line without its end.")
    for line in body.split(b"\n")[:-1]:
        if len(line) >= LINE_MAX:
            raise CorruptError("The other device sent a line that is too long.")
        yield json_object(line)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, an empty folder, a text or a pipe of an offer. Paths and types are the peer's words."""

    path: str
    #: Bytes; None for a folder and for a pipe.
    size: int | None = None
    #: Milliseconds since 1970.
    modified: int | None = None
    type: str | None = None
    executable: bool = False
    is_folder: bool = False

    @property
    def is_text(self) -> bool:
        return self.type == TEXT_TYPE and self.size is not None and self.size <= TEXT_MAX

    @property
    def stream_bytes(self) -> int:
        return self.size or 0

    def to_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"path": self.path}
        if self.size is not None:
            row["size"] = self.size
        if self.modified is not None:
            row["modified"] = self.modified
        if self.type is not None:
            row["type"] = self.type
        if self.executable:
            row["x"] = True
        if self.is_folder:
            row["dir"] = True
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Entry:
        path = text_of(row, "path", 4_096)
        segments = path.split("/")
        wrong = len(segments) > 128 or len(path.encode("utf-8", "surrogatepass")) > 4_096
        for segment in segments:
            wrong = wrong or segment in ("", ".", "..") or "\0" in segment or len(_utf8(segment)) > 255
        if wrong:
            raise CorruptError("The other device sent a path of a wrong form.")
        is_folder = row.get("dir") is True
        if is_folder and "size" in row:
            raise CorruptError("The other device sent a folder with a size.")
        return cls(
            path=path,
            size=number_of(row, "size") if "size" in row else None,
            modified=number_of(row, "modified", -SIZES_MAX) if "modified" in row else None,
            type=text_of(row, "type") if "type" in row else None,
            executable=row.get("x") is True,
            is_folder=is_folder,
        )


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CorruptError("The other device sent text that is no UTF-8.") from error


def check_entries(entries: Sequence[Entry]) -> None:
    """Checks what holds between entries. Raises CorruptError."""
    paths: set[str] = set()
    things: set[str] = set()
    before = ""
    for entry in entries:
        thing = entry.path.split("/", 1)[0]
        if entry.path in paths or (thing != before and thing in things):
            raise CorruptError("The other device sent two entries of one name.")
        paths.add(entry.path)
        things.add(thing)
        before = thing
        if entry.size is None and not entry.is_folder and len(entries) > 1:
            raise CorruptError("The other device sent a pipe among other entries.")
    for path in paths:
        above = path
        while "/" in above:
            above = above.rsplit("/", 1)[0]
            if above in paths:
                raise CorruptError("The other device sent an entry below a file.")
    if sum(entry.stream_bytes for entry in entries) >= SIZES_MAX:
        raise CorruptError("The other device sent sizes beyond counting.")


def hint_of(token: bytes, resume: bytes) -> bytes:
    return hmac512(token, lv(tag("resume"), resume) + b"\x01")[:16]


def answered_of(token: bytes, resume: bytes) -> bytes:
    return hmac512(token, lv(tag("resumed"), resume) + b"\x01")[:16]


class BlockDigest:
    """Digest of a beginning of an entry: SHA-256 of the SHA-256 of each block of 1 MiB (10.6)."""

    def __init__(self) -> None:
        self._outer = hashlib.sha256()
        self._block = hashlib.sha256()
        self._in_block = 0

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            piece = view[: MIB - self._in_block]
            self._block.update(piece)
            self._in_block += len(piece)
            view = view[len(piece) :]
            if self._in_block == MIB:
                self._end_block()

    def _end_block(self) -> None:
        self._outer.update(self._block.digest())
        self._block = hashlib.sha256()
        self._in_block = 0

    def digest(self) -> bytes:
        """Ends the digest, and returns it."""
        if self._in_block:
            self._end_block()
        return self._outer.digest()
