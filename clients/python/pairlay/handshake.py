"""The handshake of suite 1: section 9 of PROTOCOL.md.

No I/O. Randomness is an argument, so that known answers can be checked.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field

import rbcl
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .code import SYMBOLS
from .errors import HandshakeError

SUITE = 1
DEFAULT_PROFILE = bytes([SUITE])
M1_BYTES, M2_BYTES, M3_BYTES, M4_BYTES = 1248, 1184, 64, 64
_GROUP = b"CPaceRistretto255"
_IDENTITY = bytes(32)
_HASH_BLOCK = 128


def tag(text: str) -> bytes:
    return b"pairlay/v1 " + text.encode("ascii")


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def lv(*parts: bytes) -> bytes:
    """Joins byte strings, each behind its length (lv_cat of CPace)."""
    return b"".join(_leb128(len(part)) + part for part in parts)


def sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def hmac512(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha512")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA512(), length, info).derive(key)


def same(a: bytes, b: bytes) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(a, b)


@dataclass(frozen=True, slots=True)
class Pairing:
    """What both sides know before m1. Profiles are whole, 1 to 64 bytes."""

    locator: str
    secret: str = field(repr=False)
    receiver_code: str
    session_id: bytes
    sender_profile: bytes = DEFAULT_PROFILE
    receiver_profile: bytes = DEFAULT_PROFILE


@dataclass(frozen=True, slots=True)
class Secrets:
    """Randomness of one side of one run. Each run takes new ones."""

    x25519: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    nonce: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    scalar: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    ml_kem_seed: bytes = field(default_factory=lambda: os.urandom(64), repr=False)

    @property
    def key(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.x25519)

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class Keys:
    """What a handshake gives: the number to compare, and the keys of the payload."""

    match_number: str
    fingerprint: str
    s2r: bytes = field(repr=False)
    r2s: bytes = field(repr=False)
    resume: bytes = field(repr=False)


def _generator(pairing: Pairing, ci: bytes, sid: bytes) -> bytes:
    prs = pairing.secret.encode("ascii")
    pad = bytes(max(0, _HASH_BLOCK - 1 - len(lv(prs)) - len(lv(_GROUP))))
    return bytes(rbcl.crypto_core_ristretto255_from_hash(sha512(lv(_GROUP, prs, pad, ci, sid))))


def _clamped(scalar: bytes) -> bytes:
    clamped = scalar[:31] + bytes([scalar[31] & 0x0F])
    if clamped == bytes(32):
        raise HandshakeError("handshake_invalid")
    return clamped


def _times(scalar: bytes, point: bytes) -> bytes:
    """Multiplies. Raises HandshakeError for a point that does not decode, or when either point is the identity."""
    try:
        product = bytes(rbcl.crypto_scalarmult_ristretto255(scalar, point))
    except (RuntimeError, ValueError, TypeError) as error:
        raise HandshakeError("handshake_invalid") from error
    if same(product, _IDENTITY):
        raise HandshakeError("handshake_invalid")
    return product


def _agree(key: X25519PrivateKey, public: bytes) -> bytes:
    """X25519. Raises HandshakeError when the result is zero."""
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise HandshakeError("handshake_invalid") from error


@dataclass(slots=True)
class _Schedule:
    """All that follows from what both sides have said."""

    prk: bytes
    th: bytes
    t_r: bytes

    @classmethod
    def of(
        cls, ci: bytes, sid: bytes, a: tuple[bytes, bytes], b: tuple[bytes, bytes], k: bytes, rest: bytes
    ) -> _Schedule:
        isk = sha512(lv(_GROUP + b"_ISK", sid, k) + lv(*a) + lv(*b))
        th = sha512(lv(tag("transcript"), ci, sid, *a, *b))
        schedule = cls(hmac512(tag("extract"), isk + rest), th, b"")
        schedule.t_r = hmac512(schedule.expand("confirm receiver", 32), th)[:32]
        return schedule

    def expand(self, name: str, length: int) -> bytes:
        return expand(self.prk, lv(tag(name), self.th), length)

    def t_s(self, n_s: bytes) -> bytes:
        return hmac512(self.expand("confirm sender", 32), self.th + self.t_r + n_s)[:32]

    def keys(self, n_s: bytes) -> Keys:
        number = int.from_bytes(expand(self.prk, lv(tag("sas"), self.th, n_s), 8), "big") % 1_000_000
        digits = f"{number:06d}"
        bits = int.from_bytes(self.expand("fingerprint", 20), "big")
        return Keys(
            match_number=f"{digits[:3]} {digits[3:]}",
            fingerprint="".join(SYMBOLS[bits >> shift & 31] for shift in range(155, -1, -5)),
            s2r=self.expand("traffic s2r", 64),
            r2s=self.expand("traffic r2s", 64),
            resume=self.expand("resume", 32),
        )


def _ci(pairing: Pairing) -> bytes:
    return lv(tag("ci"), b"sender", b"receiver", pairing.locator.encode(), pairing.receiver_code.encode())


def _ad_a(pairing: Pairing, x_s: bytes, commit_s: bytes, commit_r: bytes, ct: bytes) -> bytes:
    return lv(tag("sender"), pairing.sender_profile, pairing.session_id, x_s, commit_s, commit_r, ct)


def _ad_b(pairing: Pairing, x_r: bytes, n_r: bytes, ek_r: bytes) -> bytes:
    return lv(tag("receiver"), pairing.receiver_profile, pairing.receiver_code.encode(), x_r, n_r, ek_r)


def _commit_s(n_s: bytes) -> bytes:
    return sha512(lv(tag("commit sender"), n_s))[:32]


def _commit_r(y_b: bytes, ad_b: bytes) -> bytes:
    return sha512(lv(tag("commit"), y_b, ad_b))[:32]


class ReceiverRun:
    """One run of a receiver: `m1`, `on_m2`, `on_m4`, in this order and each once."""

    def __init__(self, pairing: Pairing, secrets: Secrets) -> None:
        self._pairing = pairing
        self._secrets = secrets
        self._kem = MLKEM768PrivateKey.from_seed_bytes(secrets.ml_kem_seed)
        ek_r = self._kem.public_key().public_bytes_raw()
        self._ad_b = _ad_b(pairing, secrets.public_key, secrets.nonce, ek_r)
        self._ci = _ci(pairing)
        self._sid = lv(tag("sid"), secrets.nonce)
        self._scalar = _clamped(secrets.scalar)
        self._y_b = _times(self._scalar, _generator(pairing, self._ci, self._sid))
        self._commit_r = _commit_r(self._y_b, self._ad_b)
        self._commit_s = b""
        self._schedule: _Schedule | None = None
        self.m1 = secrets.nonce + self._commit_r + ek_r

    def on_m2(self, m2: bytes) -> bytes:
        """Takes m2 and returns m3. Raises HandshakeError. A second m2 is never answered."""
        if len(m2) != M2_BYTES or self._schedule is not None:
            raise HandshakeError("handshake_invalid")
        x_s, self._commit_s, y_a, ct = m2[:32], m2[32:64], m2[64:96], m2[96:]
        k = _times(self._scalar, y_a)
        dh = _agree(self._secrets.key, x_s)
        kem = self._kem.decapsulate(ct)
        ad_a = _ad_a(self._pairing, x_s, self._commit_s, self._commit_r, ct)
        self._schedule = _Schedule.of(self._ci, self._sid, (y_a, ad_a), (self._y_b, self._ad_b), k, dh + kem)
        return self._y_b + self._schedule.t_r

    def on_m4(self, m4: bytes) -> Keys:
        """Takes m4. Raises HandshakeError."""
        schedule = self._schedule
        if len(m4) != M4_BYTES or schedule is None:
            raise HandshakeError("handshake_invalid")
        n_s, t_s = m4[:32], m4[32:]
        if not same(_commit_s(n_s), self._commit_s) or not same(schedule.t_s(n_s), t_s):
            raise HandshakeError("handshake_failed")
        return schedule.keys(n_s)


class SenderRun:
    """One run of a sender: `on_m1`, `on_m3`, in this order and each once."""

    def __init__(self, pairing: Pairing, receiver_key: bytes, secrets: Secrets) -> None:
        if len(receiver_key) != 32 or len(pairing.receiver_code) != 6 or not set(pairing.receiver_code) <= set(SYMBOLS):
            raise HandshakeError("handshake_invalid")
        self._pairing = pairing
        self._secrets = secrets
        self._x_r = receiver_key
        self._after_m1: tuple[bytes, bytes, bytes, bytes, bytes, bytes] | None = None
        self._scalar = _clamped(secrets.scalar)
        self._over = False
        self.nonce = b""

    def on_m1(self, m1: bytes, encapsulated: tuple[bytes, bytes] | None = None) -> bytes:
        """Takes m1 and returns m2. Raises HandshakeError. `encapsulated`: secret and ciphertext, for known answers."""
        if len(m1) != M1_BYTES or self._after_m1 is not None:
            raise HandshakeError("handshake_invalid")
        self.nonce, commit_r, ek_r = m1[:32], m1[32:64], m1[64:]
        try:
            kem, ct = encapsulated or MLKEM768PublicKey.from_public_bytes(ek_r).encapsulate()
        except ValueError as error:
            raise HandshakeError("handshake_invalid") from error
        ci, sid = _ci(self._pairing), lv(tag("sid"), self.nonce)
        y_a = _times(self._scalar, _generator(self._pairing, ci, sid))
        x_s, commit_s = self._secrets.public_key, _commit_s(self._secrets.nonce)
        ad_a = _ad_a(self._pairing, x_s, commit_s, commit_r, ct)
        ad_b = _ad_b(self._pairing, self._x_r, self.nonce, ek_r)
        self._after_m1 = (commit_r, kem, y_a, ad_a, ad_b, sid)
        return x_s + commit_s + y_a + ct

    def on_m3(self, m3: bytes) -> tuple[bytes, Keys]:
        """Takes m3 and returns m4 and the keys. Raises HandshakeError: `handshake_failed` for a wrong T_R alone."""
        if len(m3) != M3_BYTES or self._after_m1 is None or self._over:
            raise HandshakeError("handshake_invalid")
        self._over = True
        commit_r, kem, y_a, ad_a, ad_b, sid = self._after_m1
        y_b, t_r = m3[:32], m3[32:]
        if not same(_commit_r(y_b, ad_b), commit_r):
            raise HandshakeError("handshake_invalid")
        k = _times(self._scalar, y_b)
        dh = _agree(self._secrets.key, self._x_r)
        schedule = _Schedule.of(_ci(self._pairing), sid, (y_a, ad_a), (y_b, ad_b), k, dh + kem)
        if not same(schedule.t_r, t_r):
            raise HandshakeError("handshake_failed")
        n_s = self._secrets.nonce
        return n_s + schedule.t_s(n_s), schedule.keys(n_s)
