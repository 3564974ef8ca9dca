"""Faults of disks: full, lost, and put back to an earlier state."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.faults.kinds.base import ANY, Fault, Scene, kind
from tests.faults.kinds.processes import OnWorker
from tests.support.disks import filled

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path


class _Full(Fault):
    """Not one byte is left on the disk of a part."""

    hold = ANY

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._full = ExitStack()

    def missing(self) -> str:
        return "" if self.fleet.disks else "mounting a small file system needs root"

    async def inject(self) -> None:
        folder = self.fleet.data_dir / self.targets[0]
        await asyncio.to_thread(self._full.enter_context, filled(folder))

    async def heal(self) -> None:
        await asyncio.to_thread(self._full.close)


@kind("agent-disk-full")
class AgentDiskFull(_Full):
    """No journal, no spool, no outbox."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of([name for name in self.fleet.disks if name in self.fleet.agents], free)


@kind("relay-disk-full")
class RelayDiskFull(_Full):
    """Nothing can be acknowledged: output waits on the nodes."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of([name for name in self.fleet.disks if name in self.fleet.relays], free)


class _Replaced(OnWorker):
    """A node goes down, comes back with another state directory, and continues under its name."""

    hold = ANY

    async def inject(self) -> None:
        await self.fleet.take_down(self.targets)

    async def heal(self) -> None:
        folder = self.fleet.data_dir / self.targets[0]
        await asyncio.to_thread(self._replace, folder)
        await self.fleet.bring_up(self.targets)

    def _replace(self, folder: Path) -> None:
        empty(folder)


@kind("state-lost")
class StateLost(_Replaced):
    """Journal, outbox, identity and spool are gone."""


@kind("state-rolled-back")
class StateRolledBack(_Replaced):
    """Journal, outbox, identity and spool are those of some seconds ago, as after a restored image."""

    async def inject(self) -> None:
        folder = self.fleet.data_dir / self.targets[0]
        self._image = self.scene.folder / f"image-{uuid.uuid4()}"
        await asyncio.to_thread(copy_state, folder, self._image)
        await asyncio.sleep(self.scene.rng.uniform(1.0, 4.0))
        await super().inject()

    def _replace(self, folder: Path) -> None:
        empty(folder)
        shutil.copytree(self._image, folder, dirs_exist_ok=True)
        shutil.rmtree(self._image)


def copy_state(folder: Path, to: Path) -> None:
    """Copy a state directory that is in use, as a backup does: files that go away meanwhile are left out."""
    to.mkdir(parents=True)
    for source in sorted(folder.rglob("*")):
        relative = source.relative_to(folder)
        try:
            if source.is_dir():
                (to / relative).mkdir(parents=True, exist_ok=True)
            elif source.is_file() and "work" not in relative.parts:
                (to / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, to / relative)
        except FileNotFoundError:
            continue


def empty(folder: Path) -> None:
    """Remove what is in a folder, which may be a mount point."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
