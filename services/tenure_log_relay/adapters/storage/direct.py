"""How do megabytes reach the disk without a copy in the page cache?

Buffered, each byte is copied into pages that the kernel has to find, to write and to drop again, for readers
that have it in memory anyway: three times the processor time of handing the disk aligned memory. Only whole
blocks can go that way. The rest of a write goes through the page cache, behind them, so that a crash leaves a
torn tail at worst. The block in which the log ends begins the next write: its bytes are written once more.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ALIGN: Final = 4096
"""What every disk takes as the unit of positions, sizes and memory."""
LARGE: Final = 256 << 10
"""A write below this size is not worth a way of its own."""
MEMORY: Final = 2 << 20

Buffer = bytes | memoryview


class DirectWriter:
    """Writes around the page cache. Belongs to one thread, whose memory for this it keeps."""

    def __init__(self) -> None:
        self._memory: memoryview | None = None
        self._able = hasattr(os, "O_DIRECT")
        """No file system has refused it yet."""

    def write(self, path: Path, fd: int, buffers: Sequence[Buffer], position: int) -> bool:
        """Write all at `position`, the end of the file; False: not possible here, nothing of it counts.

        Raises:
            OSError: the disk refuses.
        """
        if not self._able:
            return False
        try:
            with _opened(path) as direct:
                return self._write(direct, fd, buffers, position)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._able = False
            return False

    def _write(self, direct: int, fd: int, buffers: Sequence[Buffer], position: int) -> bool:
        if self._memory is None:
            self._memory = memoryview(mmap.mmap(-1, MEMORY))
        memory = self._memory
        filled = position % ALIGN
        position -= filled
        if os.preadv(fd, (memory[:filled],), position) != filled:
            return False
        for buffer in buffers:
            rest = memoryview(buffer)
            while rest:
                some = rest[: MEMORY - filled]
                memory[filled : filled + len(some)] = some
                filled += len(some)
                rest = rest[len(some) :]
                if filled == MEMORY:
                    write_all(direct, memory, position)
                    position += MEMORY
                    filled = 0
        whole = filled - filled % ALIGN
        write_all(direct, memory[:whole], position)
        write_all(fd, memory[whole:filled], position + whole)
        return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def write_all(fd: int, data: memoryview, position: int) -> None:
    """Write all of `data` at `position`."""
    while data:
        written = os.pwrite(fd, data, position)
        position += written
        data = data[written:]
