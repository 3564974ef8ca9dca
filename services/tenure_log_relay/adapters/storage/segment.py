"""How is one segment file written, read and removed?

Only the log's writer thread writes; reads come from any thread and use positions, so they need no lock.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_log_relay.adapters.storage.direct import LARGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tenure_log_relay.adapters.storage.attempt import End
    from tenure_log_relay.adapters.storage.direct import Buffer, DirectWriter

SUFFIX: Final = ".tlr"
INDEX_SUFFIX: Final = ".tli"
MAX_VECTORS: Final = 1024
FOLIO: Final = 2 << 20
"""The kernel keeps file pages in blocks of up to this size and drops whole ones only."""


class Named(NamedTuple):
    """What stands for a fence within one segment."""

    slot: int
    at: int
    """Where its newest NAME record begins; it is repeated now and then, lest one bad sector orphans much."""


class Segment:
    """One file of records."""

    __slots__ = (
        "_doomed",
        "_fd",
        "_kept_from",
        "_readers",
        "broken",
        "ends",
        "named",
        "newest_ns",
        "path",
        "sequence",
        "size",
    )

    def __init__(self, path: Path, sequence: int, fd: int, size: int) -> None:
        self.path = path
        self.sequence = sequence
        self.size = size
        self.named: dict[str, Named] = {}
        """The fences that have a NAME record here."""
        self.ends: dict[str, End] = {}
        """How far each attempt in here is, until that is written to the index."""
        self.newest_ns = 0
        self.broken = False
        """An fsync failed: what the kernel still has of this file is not to be trusted with more."""
        self._fd = fd
        self._kept_from = size
        """Before this position, no page of what was written by this process is in the page cache."""
        self._readers = 0
        self._doomed = False

    @classmethod
    def create(cls, folder: Path, sequence: int) -> Segment:
        """A new, empty segment whose name survives a crash."""
        path = folder / f"{sequence:012d}{SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        sync_folder(folder)
        return cls(path, sequence, fd, 0)

    @classmethod
    def open(cls, path: Path) -> Segment:
        """An existing segment."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return cls(path, int(path.stem), fd, os.fstat(fd).st_size)

    @property
    def index_path(self) -> Path:
        """The file that says what is in this one, once it does not grow any more."""
        return self.path.with_suffix(INDEX_SUFFIX)

    def append(self, buffers: Sequence[Buffer], direct: DirectWriter) -> None:
        """Write and fsync; on OSError nothing of it is left in the file, as far as the disk allows."""
        size = sum(map(len, buffers))
        try:
            around = size >= LARGE and direct.write(self.path, self._fd, buffers, self.size)
            if not around:
                _write_all(self._fd, buffers, self.size)
            self._sync_or_break()
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += size
        if not around:
            self._let_go()

    def _let_go(self) -> None:
        """Drop what is on disk from the page cache: live readers have it in memory, as `HotMemory` says.

        The same few pages then serve all writing. On a virtual machine a page that was not used for long
        costs several times the copy into it, since the host has to find memory for it first.
        """
        with contextlib.suppress(OSError):
            length = self.size - self._kept_from
            os.posix_fadvise(self._fd, self._kept_from, length, os.POSIX_FADV_DONTNEED)
        self._kept_from = max(0, self.size - FOLIO)

    def _sync_or_break(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError:
            self.broken = True
            raise

    def truncate(self, size: int) -> None:
        """Cut the file; what lies behind was never acknowledged."""
        os.ftruncate(self._fd, size)
        self.size = size

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def read(self, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`."""
        return os.pread(self._fd, length, start)

    def acquire(self) -> None:
        """Somebody reads: the file stays open until `release`."""
        self._readers += 1

    def release(self) -> None:
        self._readers -= 1
        if self._doomed and not self._readers:
            self.close()

    def remove(self) -> None:
        """Delete the file; it is closed when its last reader is done."""
        self.index_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self._doomed = True
        if not self._readers:
            self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write_all(fd: int, buffers: Sequence[Buffer], position: int) -> None:
    for first in range(0, len(buffers), MAX_VECTORS):
        waiting = list(buffers[first : first + MAX_VECTORS])
        while waiting:
            written = os.pwritev(fd, waiting, position)
            position += written
            while waiting and written >= len(waiting[0]):
                written -= len(waiting.pop(0))
            if written:
                waiting[0] = memoryview(waiting[0])[written:]


def sync_folder(folder: Path) -> None:
    """Make names created or removed in `folder` survive a crash."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def segment_paths(folder: Path) -> list[Path]:
    """The segments in `folder`, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())
