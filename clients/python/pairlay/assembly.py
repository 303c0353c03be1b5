"""Messages as they are put together from frames: section 10 of PROTOCOL.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import CorruptError
from .messages import LINES_MAX, POST_MAX, UNKNOWN_MAX, decode_head, text_of
from .stream import Opener

_BODY_MAX = {"offer": LINES_MAX, "answer": LINES_MAX, "check": LINES_MAX, "start": LINES_MAX, "post": POST_MAX}
KNOWN = {
    *("hello", "offer", "answer", "check", "start", "content", "skip", "sent", "take", "receipt"),
    *("withdraw", "stop", "post", "bye"),
}


class Assembly:
    """The message that is being read. Bodies are bounded by their kind, and content is handed on at once.

    `begin` is told of each head, and says whether its body is to be kept. `content` gets each piece of a content.
    """

    def __init__(
        self,
        key: bytes,
        *,
        begin: Callable[[dict[str, Any]], bool],
        content: Callable[[dict[str, Any], bytes], None],
    ) -> None:
        self._opener = Opener(key)
        self._begin = begin
        self._content = content
        self._head: dict[str, Any] | None = None
        self._body = bytearray()
        self._dropped = 0
        self._is_kept = True

    def take(self, ciphertext: bytes) -> tuple[dict[str, Any], bytes] | None:
        """Takes the next frame. Returns the head and the body of a message that ends with it."""
        opened = self._opener.open(ciphertext)
        if opened is None:
            return None
        plain, is_last = opened
        if self._head is None:
            self._head, plain = decode_head(plain)
            text_of(self._head, "kind", 64)
            self._is_kept = self._begin(self._head)
        head = self._head
        self._continue(head, plain)
        if not is_last:
            return None
        body = bytes(self._body)
        self._head, self._dropped = None, 0
        self._body.clear()
        return head, body

    def _continue(self, head: dict[str, Any], plain: bytes) -> None:
        kind = head["kind"]
        if kind == "content":
            self._content(head, plain)
        elif not self._is_kept:
            # It is answered from its head alone.
            pass
        elif kind not in KNOWN:
            self._dropped += len(plain)
            if self._dropped > UNKNOWN_MAX:
                raise CorruptError("The other device sent too much of what is not known.")
        else:
            self._body += plain
            if len(self._body) > _BODY_MAX.get(kind, 0):
                raise CorruptError("The other device sent a message that is too long.")
