"""How does a copy of etcd's database get into a file that can be trusted?

Into a file of another name beside it, which gets its own name only when everything has arrived, agrees with
the SHA-256 that etcd sends last, and is on the disk. The file is what `etcdctl snapshot restore` and
`etcdutl snapshot restore` take.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_core.errors import AlreadyExists, DataLoss

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient

DIGEST_BYTES: Final = 32
_PAGE_BYTES: Final = 512
_WRITE_BYTES: Final = 4 << 20


class Taken(NamedTuple):
    """A snapshot that is complete and on the disk."""

    path: Path
    size: int
    sha256: str
    """Of the database, without the trailer of 32 bytes that holds the same."""


class _Incoming:
    """The file while it is being written. Everything here blocks."""

    def __init__(self, path: Path) -> None:
        path = self._path = path.absolute()
        if path.exists():
            raise AlreadyExists(f"{path} exists: a snapshot never replaces a file")
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        # Specs may hold secrets.
        self._fd = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._digest = hashlib.sha256()
        self._tail = b""
        self._size = 0

    def add(self, data: bytes) -> None:
        """Write what came; the last bytes are held back from the digest, they may be the trailer."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(data)
        held = self._tail + data
        self._digest.update(held[:-DIGEST_BYTES])
        self._tail = held[-DIGEST_BYTES:]

    def finish(self) -> Taken:
        """Check, make durable, give it its name."""
        if self._size % _PAGE_BYTES != DIGEST_BYTES or self._digest.digest() != self._tail:
            raise DataLoss("the snapshot did not arrive whole: its SHA-256 is not the one that etcd sent")
        os.fsync(self._fd)
        os.link(self._partial, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return Taken(self._path, self._size, self._digest.hexdigest())

    def close(self) -> None:
        """Remove the other name, with the content if it has no other."""
        os.close(self._fd)
        self._partial.unlink(missing_ok=True)


async def take_snapshot(
    client: EtcdClient, path: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> Taken:
    """Copy the database of one member into the new file `path`.

    `progress` hears how many bytes of how many are there. Raises AlreadyExists for a file that is there,
    DataLoss for a copy that is not whole, OSError, and EtcdError. Nothing is left behind after an error.
    """
    incoming = _Incoming(path)
    try:
        pieces: list[bytes] = []
        waiting = done = 0
        async for blob, remaining in client.snapshot():
            pieces.append(blob)
            waiting += len(blob)
            if waiting >= _WRITE_BYTES:
                await asyncio.to_thread(incoming.add, b"".join(pieces))
                done, waiting, pieces = done + waiting, 0, []
                progress(done, done + remaining)
        await asyncio.to_thread(incoming.add, b"".join(pieces))
        return await asyncio.to_thread(incoming.finish)
    except FileExistsError:
        raise AlreadyExists(f"{path} exists: a snapshot never replaces a file") from None
    finally:
        incoming.close()
