"""Errors of this package."""

from __future__ import annotations


class PairlayError(Exception):
    """Base of all errors of this package. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CodeError(PairlayError):
    """A pairing code that cannot be one. Nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__("malformed_code", message)


class RelayError(PairlayError):
    """A refusal of the relay, or none of its answers. `status` is 0 where there was no answer."""

    def __init__(self, code: str, message: str, *, status: int = 0, retryable: bool = False, wait: float = 0.0) -> None:
        super().__init__(code, message)
        self.status = status
        self.retryable = retryable
        #: Seconds to wait before the call may be repeated.
        self.wait = wait


class HandshakeError(PairlayError):
    """A handshake that failed. `reason` is the denial reason of section 9.3."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "The code was wrong or someone interfered. Get a new code.")
        self.reason = reason


class CorruptError(PairlayError):
    """Ciphertext that does not open, or a message of no documented form: the end of a channel."""

    def __init__(self, message: str) -> None:
        super().__init__("corrupt", message)


class SessionEndedError(PairlayError):
    """The session, or this device's part in it, has ended."""


class NotDeliveredError(PairlayError):
    """An offer that the other device did not receive. `taken` is how many bytes it has said to have."""

    def __init__(self, code: str, message: str, taken: int = 0) -> None:
        super().__init__(code, message)
        self.taken = taken
