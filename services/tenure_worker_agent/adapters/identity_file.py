"""What does an agent process know of its predecessors?

One small JSON file, replaced as a whole and fsynced before each Hello.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tenure_runtime.startup import CannotStart
from tenure_worker_agent.domain.commands import SaveIdentity
from tenure_worker_agent.domain.identity import Identity


class IdentityFile:
    """The file with the connect counter."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, spare: str) -> Identity:
        """What was saved last; CannotStart for a file that says something else."""
        try:
            found = json.loads(self._path.read_bytes())
            return Identity(
                connect=int(found["connect"]),
                warden=str(found["warden"]),
                alias=str(found["alias"]),
                incarnation=int(found["incarnation"]),
                epoch=int(found["epoch"]),
                spare=spare,
            )
        except FileNotFoundError:
            return Identity(spare=spare)
        except OSError as error:
            raise CannotStart(f"cannot read {self._path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise CannotStart(f"{self._path} is damaged: remove it to join as a new instance") from None

    def save(self, command: SaveIdentity) -> None:
        """Make it durable; blocks. OSError when the disk does not take it."""
        content = {
            "connect": command.connect,
            "warden": command.warden,
            "alias": command.alias,
            "incarnation": command.incarnation,
            "epoch": command.epoch,
        }
        fresh = self._path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
