"""What does a relay's data directory hold besides the segments?

A lock, so that two relays never write to one directory, and the relay's id, made once: attempts are placed
by it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from typing import TYPE_CHECKING, Final

from tenure_log_relay.adapters.storage.segment import sync_folder
from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

ID_FILE: Final = "relay-id"
LOCK_FILE: Final = "lock"
SEGMENTS: Final = "segments"


class DataDir:
    """A data directory that this process holds alone until it ends."""

    def __init__(self, folder: Path, relay: str = "") -> None:
        """Take the directory; CannotStart with a sentence when it cannot be used."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.relay = self._identity(relay)
            self.segments.mkdir(exist_ok=True)
        except BlockingIOError:
            raise CannotStart(f"another log relay uses the data directory {folder}") from None
        except OSError as error:
            raise CannotStart(f"cannot use the data directory {folder}: {error.strerror}") from None

    @property
    def segments(self) -> Path:
        """Where the segments lie."""
        return self.folder / SEGMENTS

    def _identity(self, relay: str) -> str:
        file = self.folder / ID_FILE
        known = file.read_text().strip() if file.exists() else ""
        if relay and known not in ("", relay):
            raise CannotStart(
                f"the data directory {self.folder} belongs to the relay {known}, not to {relay}"
            )
        if not known:
            known = relay or f"relay-{secrets.token_hex(4)}"
            partial = file.with_suffix(".new")
            with partial.open("w") as out:
                out.write(known + "\n")
                out.flush()
                os.fsync(out.fileno())
            partial.rename(file)
            sync_folder(self.folder)
        return known

    async def close(self) -> None:
        """Let go of the directory."""
        os.close(self._lock)
