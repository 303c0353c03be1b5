"""Posts of a conversation, both ways: section 10.5 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import CorruptError, PairlayError
from .messages import POST_COST, POST_MAX, POSTS_ALLOWED, encode_message, number_of, text_of

_TAKE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Post:
    """A small message of the app. `re` is the number of the post of this side that it answers."""

    number: int
    data: bytes
    type: str | None = None
    re: int | None = None


class Posts:
    """The posts of both sides, and what each allows the other.

    `say` sends a message of the conversation, which reads those of the other side and hands them on.
    """

    def __init__(self, *, takes: bool, say: Callable[[dict[str, Any]], None]) -> None:
        self._say = say
        self.is_closed = False
        # Of this side.
        self._due: deque[tuple[int, bytes]] = deque()
        self._made = 0
        self._through = self._spent = 0
        self._questions: dict[int, asyncio.Future[Post]] = {}
        # Of the other.
        self.inbox: deque[Post] = deque()
        self._heard = 0
        self._cost_heard = self._cost_taken = 0
        self.allowed = POSTS_ALLOWED if takes else 0
        self._timer: asyncio.TimerHandle | None = None

    # Of this side.

    def add(self, data: bytes, type: str | None, re: int | None) -> int:
        """Adds a post to those that go out, and returns its number."""
        if len(data) > POST_MAX or (type is not None and len(type.encode()) > 64):
            raise PairlayError("usage", "A post has at most 1 MiB, and a type of 64 bytes.")
        self._made += 1
        head: dict[str, Any] = {"kind": "post"}
        if type is not None:
            head["type"] = type
        if re is not None:
            head["re"] = re
        self._due.append((POST_COST + len(data), encode_message(head, data)))
        return self._made

    def answer_to(self, number: int) -> asyncio.Future[Post]:
        """Returns the post to come that answers one of this side."""
        answer: asyncio.Future[Post] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        return answer

    def next_message(self) -> bytes | None:
        """Returns the next post as a message, as soon as the other side has room for it."""
        if not self._due or self._spent + self._due[0][0] > self._through:
            return None
        cost, message = self._due.popleft()
        self._spent += cost
        return message

    @property
    def all_sent(self) -> bool:
        return not self._due

    def fail(self, error: PairlayError) -> None:
        """Ends every question that has no answer."""
        for answer in self._questions.values():
            if not answer.done():
                answer.set_exception(error)

    def close(self) -> None:
        """Allows no more from here on."""
        self.is_closed = True

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Of the other.

    def hear_allowance(self, through: int) -> None:
        if through < self._through:
            raise CorruptError("The other device took back what it had allowed.")
        self._through = through

    def hear(self, head: dict[str, Any], body: bytes) -> None:
        self._heard += 1
        self._cost_heard += POST_COST + len(body)
        re = number_of(head, "re", 1) if "re" in head else None
        post = Post(self._heard, body, text_of(head, "type", 64) if "type" in head else None, re)
        if self._cost_heard > self.allowed:
            raise CorruptError("The other device sent more posts than it may.")
        answer = self._questions.pop(re, None) if re is not None else None
        if answer is not None and not answer.done():
            answer.set_result(post)
            self._count(len(body))
        else:
            self.inbox.append(post)

    def take(self) -> Post | None:
        """Takes the oldest post that answers no question."""
        if not self.inbox:
            return None
        post = self.inbox.popleft()
        self._count(len(post.data))
        return post

    def _count(self, length: int) -> None:
        self._cost_taken += POST_COST + length
        if self._cost_taken + POSTS_ALLOWED - self.allowed >= POSTS_ALLOWED // 4:
            self._allow()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TAKE_SECONDS, self._allow)

    def _allow(self) -> None:
        self.stop()
        if not self.is_closed:
            self.allowed = self._cost_taken + POSTS_ALLOWED
            self._say({"kind": "take", "posts": self.allowed})
