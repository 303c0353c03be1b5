"""The pairing code: section 8 of PROTOCOL.md."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

from .errors import CodeError

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOCATOR = 5
_LENGTH = 11
_DROPPED = re.compile(
    "[\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b-\u200d\u2060\ufeff\\-\u2010-\u2015\u2212]"
)
_READ_AS = str.maketrans("OIL", "011")
_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def random_symbols(count: int) -> str:
    """Returns so many random symbols: the low five bits of a random byte each."""
    return "".join(SYMBOLS[byte & 31] for byte in os.urandom(count))


def _times_alpha(value: int) -> int:
    doubled = value << 1
    return doubled ^ 0b100101 if doubled & 32 else doubled


def _times_alpha_to(value: int, power: int) -> int:
    for _ in range(power):
        value = _times_alpha(value)
    return value


def _weighted_sum(symbols: str) -> int:
    total = 0
    for index, symbol in enumerate(symbols, start=1):
        total ^= _times_alpha_to(SYMBOLS.index(symbol), index)
    return total


def check_symbol(ten: str) -> str:
    """Returns the symbol that makes the weighted sum of all eleven zero."""
    rest = _weighted_sum(ten)
    return next(symbol for value, symbol in enumerate(SYMBOLS) if _times_alpha_to(value, _LENGTH) == rest)


@dataclass(frozen=True, slots=True)
class PairingCode:
    """A code as a person carries it. `secret` never leaves this device."""

    locator: str
    secret: str

    @classmethod
    def new(cls) -> PairingCode:
        return cls(random_symbols(5), random_symbols(5))

    def __str__(self) -> str:
        ten = self.locator + self.secret
        return f"{self.locator}-{self.secret}{check_symbol(ten)}"

    def __repr__(self) -> str:
        return f"PairingCode({self.locator!r}, …)"


def parse_code(text: str) -> PairingCode:
    """Reads what a person typed. Raises CodeError, which says what is wrong with it."""
    symbols = _DROPPED.sub("", text).translate(_UPPER).translate(_READ_AS)
    if len(symbols) != _LENGTH:
        raise CodeError(f"A code has {_LENGTH} letters and digits, and this has {len(symbols)}. Look at it again.")
    wrong = next((symbol for symbol in symbols if symbol not in SYMBOLS), None)
    if wrong is not None:
        raise CodeError(f"A code has no {wrong!r}. Look at it again.")
    if _weighted_sum(symbols) != 0:
        raise CodeError("The code has a mistake in it. Look at it again.")
    return PairingCode(symbols[:_LOCATOR], symbols[_LOCATOR : 2 * _LOCATOR])


def parse_link(text: str) -> tuple[str, PairingCode] | None:
    """Reads a link, as the address of its relay and its code. None for what is no link."""
    address, mark, fragment = text.strip().partition("#")
    if not mark or not address.startswith(("http://", "https://")):
        return None
    return address.rstrip("/"), parse_code(unquote(fragment))
