"""Which attempts has this node begun, and how did they end, whatever crashed in between?

One file of records: length, crc32, JSON. Space is allocated ahead of what is written, so that a full disk
cannot keep an exit record from being saved: new attempts are refused long before the reserve is used up. A
batch of records costs one fdatasync. The file is rewritten when most of it is history.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_HEADER: Final = struct.Struct("<II")
_END: Final = bytes(_HEADER.size)
CHUNK: Final = 1 << 20
RESERVE: Final = 256 << 10
PER_ATTEMPT: Final = 1 << 10
COMPACT_ABOVE: Final = 4 << 20
NOTES: Final = 512

Record = list[Any]


class Journal:
    """An append-only file of records with space for the exits of what runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._end = 0
        self._allocated = 0
        self._pending: list[bytes] = []
        self._urgent = False

    @property
    def fd(self) -> int:
        return self._fd

    @property
    def end(self) -> int:
        return self._end

    def read(self) -> Iterator[Record]:
        """The records on disk, up to the first that is not whole."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        start = 0
        while start + _HEADER.size <= len(data):
            length, crc = _HEADER.unpack_from(data, start)
            body = data[start + _HEADER.size : start + _HEADER.size + length]
            if not length or len(body) < length or zlib.crc32(body) != crc:
                return
            yield json.loads(body)
            start += _HEADER.size + length
            self._end = start

    def rewrite(self, records: Iterable[str]) -> None:
        """Replace the file by one with only these records, durably.

        Raises:
            OSError: nothing changed.
        """
        fresh = self._path.with_suffix(".new")
        data = b"".join(map(_encoded, records))
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            allocated = len(data) + CHUNK
            os.posix_fallocate(fd, 0, allocated)
            _write_all(fd, data, 0)
            os.fsync(fd)
            fresh.rename(self._path)
            _sync_directory(self._path.parent)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._end, self._allocated = fd, len(data), allocated
        self._pending.clear()
        self._urgent = False

    def reopen(self) -> None:
        """Go on behind the last whole record that `read` found: there is no room for another file.

        Raises:
            OSError: there is no file.
        """
        self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._allocated = os.fstat(self._fd).st_size

    def adopt(self, fd: int, end: int) -> None:
        """Go on with a file that was open before a re-exec."""
        self._fd, self._end, self._allocated = fd, end, os.fstat(fd).st_size

    def append(self, record: str) -> None:
        """Make a record, given as JSON, durable with the next `sync`."""
        self._pending.append(_encoded(record))
        self._urgent = True

    def note(self, record: str) -> None:
        """Write a record with the next `sync` that has something to make durable: losing it does no harm."""
        self._pending.append(_encoded(record))

    def sync(self) -> None:
        """Make everything appended durable; at most one fdatasync.

        Raises:
            OSError: the disk failed, or the reserve was too small.
        """
        if not self._urgent and len(self._pending) < NOTES:
            return
        data = b"".join(self._pending)
        self._reach(self._end + len(data) + _HEADER.size)
        # The end is marked: behind a torn write there may be whole records of an earlier life.
        _write_all(self._fd, data + _END, self._end)
        os.fdatasync(self._fd)
        self._end += len(data)
        self._pending.clear()
        self._urgent = False

    def flush(self) -> None:
        """Write notes as well, now."""
        self._urgent = bool(self._pending)
        self.sync()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def has_room(self, attempts: int) -> bool:
        """Whether one more attempt may start and the exits of `attempts` still fit on a full disk."""
        wanted = self._end + sum(map(len, self._pending)) + RESERVE + PER_ATTEMPT * (attempts + 1)
        if wanted > self._allocated:
            with contextlib.suppress(OSError):
                self._reach(wanted)
        return wanted <= self._allocated

    @property
    def mostly_history(self) -> bool:
        return self._end > COMPACT_ABOVE

    def _reach(self, end: int) -> None:
        if end <= self._allocated:
            return
        target = end + CHUNK
        os.posix_fallocate(self._fd, self._allocated, target - self._allocated)
        self._allocated = target


def _encoded(record: str) -> bytes:
    body = record.encode()
    return _HEADER.pack(len(body), zlib.crc32(body)) + body


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
