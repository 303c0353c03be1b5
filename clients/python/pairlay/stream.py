"""Messages as frames, sealed and opened: section 10.1 of PROTOCOL.md. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .errors import CorruptError
from .handshake import expand, lv, tag

CHUNK = 65_536
TAG = 16
SEALED_CHUNK = CHUNK + TAG
CHUNKS_MAX = 4
FRAME_MAX = 4 * SEALED_CHUNK
MORE, LAST, PIECE = 0, 1, 2


def message_key(traffic: bytes, index: int) -> bytes:
    return expand(traffic, lv(tag("msg"), index.to_bytes(8, "big")), 32)


def _nonce(chunk: int, last: bool) -> bytes:
    return chunk.to_bytes(11, "big") + bytes([last])


class Sealer:
    """Seals the messages of one direction, in order."""

    def __init__(self, traffic: bytes, chunks_per_frame: int) -> None:
        self._traffic = traffic
        self._chunks = min(CHUNKS_MAX, chunks_per_frame)
        self._index = 0

    @property
    def messages(self) -> int:
        """Messages sealed so far."""
        return self._index

    @property
    def frame_plaintext(self) -> int:
        """The most plaintext that fits into one frame."""
        return self._chunks * CHUNK

    def seal(self, message: bytes) -> list[bytes]:
        """Seals one whole message as the ciphertexts of its frames."""
        cipher = ChaCha20Poly1305(message_key(self._traffic, self._index))
        self._index += 1
        count = max(1, -(-len(message) // CHUNK))
        frames = []
        for first in range(0, count, self._chunks):
            beyond = min(first + self._chunks, count)
            sealed = [
                cipher.encrypt(_nonce(i, i == count - 1), message[i * CHUNK : (i + 1) * CHUNK], None)
                for i in range(first, beyond)
            ]
            frames.append(bytes([LAST if beyond == count else MORE]) + b"".join(sealed))
        return frames


class Opener:
    """Opens the frames of one direction, in order."""

    def __init__(self, traffic: bytes) -> None:
        self._traffic = traffic
        self._index = 0
        self._chunk = 0
        self._pieces = bytearray()

    def open(self, frame: bytes) -> tuple[bytes, bool] | None:
        """Returns plaintext, and whether the message ends with it; None for a piece. Raises CorruptError."""
        flag, sealed = frame[0], frame[1:]
        if self._pieces or flag == PIECE:
            if not sealed or len(self._pieces) + len(sealed) > FRAME_MAX:
                raise CorruptError("The other device sent a piece of a frame that has no end.")
            self._pieces += sealed
            if flag == PIECE:
                return None
            sealed = bytes(self._pieces)
            self._pieces.clear()
        last = flag == LAST
        if flag not in (MORE, LAST):
            raise CorruptError("The other device sent a frame of no known form.")
        cipher = ChaCha20Poly1305(message_key(self._traffic, self._index))
        plain = b"".join(self._chunks(cipher, sealed, last))
        if last:
            self._index += 1
            self._chunk = 0
        return plain, last

    def _chunks(self, cipher: ChaCha20Poly1305, sealed: bytes, last: bool) -> Iterator[bytes]:
        full, rest = divmod(len(sealed), SEALED_CHUNK)
        count = full + (1 if rest else 0)
        is_form = 1 <= count <= CHUNKS_MAX and (rest >= TAG if rest else True) and (last or not rest)
        if not is_form:
            raise CorruptError("The other device sent a frame of a wrong length.")
        for i in range(count):
            chunk = sealed[i * SEALED_CHUNK : (i + 1) * SEALED_CHUNK]
            is_last = last and i == count - 1
            if len(chunk) == TAG and self._chunk > 0:
                raise CorruptError("The other device sent an empty end of a message.")
            try:
                yield cipher.decrypt(_nonce(self._chunk, is_last), chunk, None)
            except InvalidTag as error:
                raise CorruptError("What came from the other device was damaged on its way.") from error
            self._chunk += 1
