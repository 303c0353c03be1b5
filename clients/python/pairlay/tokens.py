"""Tokens of transfers that were cut, beside the paths that they were of: 10.6 of PROTOCOL.md."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from .wire import from_base64url, to_base64url

_KEPT_MAX = 64


class Tokens:
    """The tokens of one choice of paths, in `~/.local/state/pairlay-python/transfers.json`."""

    def __init__(self, file: Path, key: str) -> None:
        self._file, self._key = file, key

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Tokens:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        return cls(state / "pairlay-python" / "transfers.json", "\0".join(str(path.resolve()) for path in paths))

    def known(self) -> list[bytes]:
        return [from_base64url(token, 16, 16) for token, key in reversed(self._read()) if key == self._key]

    def keep(self, token: bytes) -> None:
        rows = [row for row in self._read() if row[0] != to_base64url(token)]
        self._write([*rows, (to_base64url(token), self._key)][-_KEPT_MAX:])

    def forget(self, token: bytes) -> None:
        self._write([row for row in self._read() if row[0] != to_base64url(token)])

    def _read(self) -> list[tuple[str, str]]:
        try:
            return [(str(token), str(key)) for token, key in json.loads(self._file.read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def _write(self, rows: list[tuple[str, str]]) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(rows, file)
        fresh.replace(self._file)
