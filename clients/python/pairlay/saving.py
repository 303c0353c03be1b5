"""Where a received offer is saved: 10.4 and 10.6 of PROTOCOL.md. Paths and names are the other device's words."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from .incoming import Data, IncomingOffer, Skipped
from .messages import MIB, BlockDigest, Entry
from .wire import from_base64url, shown, to_base64url

#: Windows has none, and says 0 of each file.
_UID: int = getattr(os, "getuid", lambda: 0)()
_PARTIAL = re.compile(r"\.pairlay-([A-Za-z0-9_-]{22})\.part")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³])(\..*)?", re.IGNORECASE)


def safe_name(segment: str) -> str:
    """Returns a segment as a name that every system takes, and that hides nothing."""
    name = _FORBIDDEN.sub("_", shown(segment)).rstrip(". ") or "_"
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def _numbered(name: str, number: int) -> str:
    path = Path(name)
    return f"{path.stem} ({number}){path.suffix}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


class _Names:
    """Local paths of entries: equal names become different, at every level."""

    def __init__(self) -> None:
        self._local: dict[str, str] = {}
        self._taken: set[tuple[str, str]] = set()

    def of(self, path: str) -> str:
        above, slash, segment = path.rpartition("/")
        if path not in self._local:
            folder = self.of(above) if slash else ""
            name, number = safe_name(segment), 2
            while (folder, _folded(name)) in self._taken:
                name = _numbered(safe_name(segment), number)
                number += 1
            self._taken.add((folder, _folded(name)))
            self._local[path] = f"{folder}/{name}" if folder else name
        return self._local[path]


class Partial:
    """The folder that an offer is written into, until all of it is there: `.pairlay-TOKEN.part`."""

    def __init__(self, into: Path, token: bytes, entries: Sequence[Entry]) -> None:
        self._into = into
        self.path = into / f".pairlay-{to_base64url(token)}.part"
        self._entries = entries
        names = _Names()
        self._local = [names.of(entry.path) for entry in entries]
        self._open: tuple[int, BinaryIO] | None = None

    @staticmethod
    def known(into: Path, offer: IncomingOffer) -> bytes | None:
        """Returns the token of a partial that the offerer goes on with."""
        for path in into.glob(".pairlay-*.part"):
            found = _PARTIAL.fullmatch(path.name)
            try:
                token = from_base64url(found[1], 16, 16) if found else None
            except ValueError:
                continue
            if token is not None and offer.knows(token) and _is_own_folder(path):
                return token
        return None

    def have(self) -> list[tuple[int, int]]:
        """Returns how many bytes of which entry are there. A link or a special file is none."""
        found = []
        for index, entry in enumerate(self._entries):
            status = _plain(self.path / self._local[index])
            if status is not None and entry.size and status.st_size > 0:
                found.append((index, min(status.st_size, entry.size)))
        return found

    async def digest(self, entry: int, count: int) -> bytes:
        digest = BlockDigest()
        with self._file(entry, os.O_RDONLY) as file:
            while count > 0 and (data := await asyncio.to_thread(file.read, min(count, MIB))):
                digest.update(data)
                count -= len(data)
        return digest.digest()

    def begin(self, kept: dict[int, int]) -> None:
        """Makes the folder, keeps these beginnings, and removes everything else."""
        self._into.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        wanted = {self._local[entry]: count for entry, count in kept.items()}
        for folder, _, files in os.walk(self.path, topdown=False):
            for name in files:
                path = Path(folder) / name
                local = path.relative_to(self.path).as_posix()
                if local not in wanted or _plain(path) is None:
                    path.unlink()
            if Path(folder) != self.path and not any(Path(folder).iterdir()):
                Path(folder).rmdir()
        for local, count in wanted.items():
            os.truncate(self.path / local, count)

    def write(self, data: Data) -> None:
        if self._open is None or self._open[0] != data.entry:
            self.close()
            self._open = (data.entry, self._file(data.entry, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        self._open[1].write(data.data)

    def drop(self, skipped: Skipped) -> None:
        self.close()
        (self.path / self._local[skipped.entry]).unlink(missing_ok=True)

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def complete(self, skipped: set[int]) -> list[Path]:
        """Gives everything its own name, and returns the things. Overwrites nothing."""
        self.close()
        for index, entry in enumerate(self._entries):
            path = self.path / self._local[index]
            if index in skipped:
                continue
            if entry.is_folder:
                path.mkdir(parents=True, exist_ok=True)
                continue
            if not path.exists():
                self._file(index, os.O_WRONLY | os.O_CREAT | os.O_EXCL).close()
            if entry.executable:
                path.chmod(0o700)
            if entry.modified is not None:
                os.utime(path, (entry.modified / 1000, entry.modified / 1000))
        things = [self._settle(thing) for thing in sorted(self.path.iterdir())]
        self.path.rmdir()
        return things

    def remove(self) -> None:
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def _settle(self, thing: Path) -> Path:
        name, number = thing.name, 2
        while True:
            target = self._into / name
            try:
                if thing.is_dir():
                    # Making it first keeps a folder that is there: renaming would replace an empty one.
                    target.mkdir()
                    thing.rename(target)
                else:
                    os.link(thing, target)
                    thing.unlink()
                return target
            except FileExistsError:
                name = _numbered(thing.name, number)
                number += 1
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP) or target.exists():
                    raise
                # A file system without hard links.
                return thing.rename(target)

    def _file(self, entry: int, flags: int) -> BinaryIO:
        path = self.path / self._local[entry]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
        return os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "wb" if flags & os.O_WRONLY else "rb", buffering=0)


def _is_own_folder(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == _UID


def _plain(path: Path) -> os.stat_result | None:
    """Returns the status of a file of this person that has no other name."""
    try:
        status = path.lstat()
    except OSError:
        return None
    is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == _UID
    return status if is_plain else None


async def save(
    offer: IncomingOffer,
    into: Path,
    *,
    on_resumed: Callable[[int], None] = lambda count: None,
    on_skip: Callable[[str, str], None] = lambda path, reason: None,
) -> list[Path]:
    """Accepts an offer and saves it. What was cut before goes on. Returns the files and folders that were chosen."""
    token = Partial.known(into, offer)
    partial = Partial(into, token or offer.token, offer.entries)
    have = partial.have() if token is not None else []
    if not have:
        partial = Partial(into, offer.token, offer.entries)
    try:
        if have:
            offer.accept(token, have)
            mine = {(e, b): await partial.digest(e, b) for e, b in have}
            equal = [(e, b) for e, b, theirs in await offer.checked() if mine.get((e, b)) == theirs]
            partial.begin(dict(equal))
            offer.start(equal)
            on_resumed(sum(count for _, count in equal))
        else:
            partial.begin({})
            offer.accept()
        async for event in offer.events():
            if isinstance(event, Data):
                await asyncio.to_thread(partial.write, event)
            else:
                partial.drop(event)
                on_skip(offer.entries[event.entry].path, event.reason)
        saved = await asyncio.to_thread(partial.complete, offer.skipped)
    except OSError as error:
        offer.stop("no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "failed")
        raise
    finally:
        partial.close()
    offer.finish()
    return saved


async def read_text(offer: IncomingOffer) -> str:
    """Accepts an offer of one text, and returns it."""
    offer.accept()
    data = b"".join([event.data async for event in offer.events() if isinstance(event, Data)])
    offer.finish()
    return data.decode("utf-8", "replace")
