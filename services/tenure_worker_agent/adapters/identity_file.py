"""What does an agent process know of its predecessors?

One small file with two slots, written in turn and in place: a torn write spoils one slot at most, and a full
disk still takes it. Each slot is a checksum and a JSON object; the higher counter counts.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zlib
from pathlib import Path
from typing import Any, Final

from tenure_runtime.startup import CannotStart
from tenure_worker_agent.domain.commands import SaveIdentity
from tenure_worker_agent.domain.identity import Identity

SLOT: Final = 512
_KNOWN: Final = frozenset(field.name for field in dataclasses.fields(Identity))


class IdentityFile:
    """The file with the connect counter."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, spare: str) -> Identity:
        """What was saved last; CannotStart for a file that cannot be used."""
        try:
            content = self._path.read_bytes() if self._path.exists() else self._make()
        except OSError as error:
            raise CannotStart(f"cannot use {self._path}: {error.strerror}") from None
        slots = [_decoded(content[at : at + SLOT]) for at in (0, SLOT)]
        found = max((slot for slot in slots if slot), key=lambda slot: int(slot["connect"]), default=None)
        if found is None and content.strip(b"\0"):
            raise CannotStart(f"{self._path} is damaged: remove it to join as a new instance")
        return Identity(**(found or {}), spare=spare)

    def _make(self) -> bytes:
        """Take the room that it will ever need."""
        content = b"\0" * (2 * SLOT)
        with self._path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return content

    def save(self, command: SaveIdentity) -> None:
        """Make it durable; blocks. OSError when the disk does not take it."""
        body = json.dumps(dataclasses.asdict(command)).encode()
        line = b"%08x %s\n" % (zlib.crc32(body), body)
        fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, line.ljust(SLOT, b"\0"), command.connect % 2 * SLOT)
            os.fdatasync(fd)
        finally:
            os.close(fd)


def _decoded(slot: bytes) -> dict[str, Any]:
    """What a slot holds; empty when it holds nothing whole."""
    checksum, _, body = slot.rstrip(b"\0\n").partition(b" ")
    if not body or checksum != b"%08x" % zlib.crc32(body):
        return {}
    decoded: dict[str, Any] = json.loads(body)
    # A newer version may have written more.
    return {name: value for name, value in decoded.items() if name in _KNOWN}
