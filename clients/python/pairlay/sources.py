"""What a device can offer: bytes, texts, files, folders and pipes."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .messages import TEXT_TYPE, Entry
from .outgoing import Reader, Source, SourceError


class _BytesReader:
    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    async def read(self, most: int) -> bytes:
        piece, self._rest = self._rest[:most], self._rest[most:]
        return bytes(piece)

    def close(self) -> None:
        self._rest = memoryview(b"")


@dataclass(frozen=True, slots=True)
class BytesSource:
    """Bytes under a name; an empty folder has none."""

    entry: Entry
    data: bytes = b""

    def open(self, offset: int) -> Reader:
        return _BytesReader(self.data[offset:])


def text_source(text: str, name: str = "text.txt") -> Source:
    data = text.encode()
    return BytesSource(Entry(name, size=len(data), type=TEXT_TYPE), data)


class _FileReader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self, most: int) -> bytes:
        try:
            return await asyncio.to_thread(self._file.read, most)
        except OSError as error:
            raise SourceError("unreadable") from error

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file as it was when it was offered. One that has changed since gives no bytes."""

    path: Path
    entry: Entry

    def open(self, offset: int) -> Reader:
        try:
            file = self.path.open("rb", buffering=0)
        except OSError as error:
            raise SourceError("unreadable") from error
        now = os.fstat(file.fileno())
        if now.st_size != self.entry.size or int(now.st_mtime * 1000) != self.entry.modified:
            file.close()
            raise SourceError("changed")
        file.seek(offset)
        return _FileReader(file)


@dataclass(frozen=True, slots=True)
class PipeSource:
    """Bytes of a length that nobody knows, such as stdin: the only one of its offer."""

    stream: BinaryIO
    entry: Entry

    def open(self, offset: int) -> Reader:
        return _PipeReader(self.stream)


class _PipeReader:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    async def read(self, most: int) -> bytes:
        # Unlike `read`, this returns what is there.
        return await asyncio.to_thread(os.read, self._stream.fileno(), most)

    def close(self) -> None:
        pass


def _file(path: Path, name: str, status: os.stat_result) -> Source:
    entry = Entry(
        path=name,
        size=status.st_size,
        modified=int(status.st_mtime * 1000),
        executable=bool(status.st_mode & stat.S_IXUSR),
    )
    return FileSource(path, entry)


def _below(folder: Path, name: str, left_out: list[str]) -> Iterator[Source]:
    """Yields what is in a folder. Links, devices and sockets are left out."""
    children = sorted(os.scandir(folder), key=lambda child: os.fsencode(child.name))
    if not children:
        yield BytesSource(Entry(name, is_folder=True))
    for child in children:
        path, below = Path(child.path), f"{name}/{child.name}"
        try:
            below.encode()
            if child.is_dir(follow_symlinks=False):
                yield from _below(path, below, left_out)
            elif child.is_file(follow_symlinks=False):
                yield _file(path, below, child.stat(follow_symlinks=False))
            else:
                left_out.append(below)
        except (OSError, UnicodeEncodeError):
            left_out.append(below)


def sources_of(paths: list[Path]) -> tuple[list[Source], list[str]]:
    """Returns what is offered of these paths, and what in their folders is left out. Raises OSError."""
    sources: list[Source] = []
    left_out: list[str] = []
    names: set[str] = set()
    for path in paths:
        name = _free(path.resolve().name or "folder", names)
        names.add(name)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            sources.extend(_below(path, name, left_out))
        elif stat.S_ISREG(status.st_mode):
            sources.append(_file(path, name, status))
        else:
            raise OSError(f"{path} is neither a file nor a folder")
    return sources, left_out


def _free(name: str, names: set[str]) -> str:
    stem, dot, suffix = name.partition(".") if not name.startswith(".") else (name, "", "")
    tries = 2
    while name in names:
        name = f"{stem} ({tries}){dot}{suffix}"
        tries += 1
    return name
