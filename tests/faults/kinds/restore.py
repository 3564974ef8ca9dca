"""The last resort of an operator: etcd goes back to a backup."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.new_incarnation import begin_new_incarnation
from tenure_runtime.etcd.snapshot import take_snapshot
from tests.faults.kinds.base import Fault, kind
from tests.support.etcdctl import etcdctl
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

READY_SECONDS = 60.0


@kind("etcd-restored")
class EtcdRestored(Fault):
    """A backup, some seconds of life, then schedulers down, restore, new incarnation, schedulers up.

    Agents and relays run on meanwhile. What was acknowledged after the backup is gone, as with every restore.
    """

    hold = (0.1, 2.0)

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        needed = [*self.fleet.members, *self.fleet.schedulers]
        return needed if set(needed) <= set(free) else []

    async def inject(self) -> None:
        self._backup = self.scene.folder / f"backup-{uuid.uuid4()}.db"
        await take_snapshot(self.scene.store, self._backup)
        await asyncio.sleep(self.scene.rng.uniform(1.0, 4.0))
        await self.fleet.take_down(self.targets)

    async def heal(self) -> None:
        if not self._backup.exists():
            return  # it could not be taken, and nothing was taken down
        for member in self.fleet.members:
            await asyncio.to_thread(restore, self._backup, self.fleet.data_dir, self.fleet.part(member).argv)
        # Not asked of etcd once it serves: relays run on, and what they write first is in no backup.
        revision = await asyncio.to_thread(newest_revision, self._backup)
        self._backup.unlink()
        await self.fleet.bring_up(self.fleet.members)
        await eventually(self._serves, within=READY_SECONDS, what="etcd serves its backup")
        await self.scene.restored(revision)
        await begin_new_incarnation(self.scene.store, self.scene.keys, now=int(time.time()))
        await self.fleet.bring_up(self.fleet.schedulers)

    async def _serves(self) -> bool:
        try:
            await self.scene.store.range(self.scene.keys.incarnation, timeout=1.0)
        except EtcdError:
            return False
        return True


def newest_revision(backup: Path) -> int:
    """The newest revision that a backup has."""
    found = subprocess.run(
        [etcdctl(), "snapshot", "status", str(backup), "--write-out=json"],
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        check=True,
    )
    return int(json.loads(found.stdout)["revision"])


def restore(backup: Path, folder: Path, argv: Sequence[str]) -> None:
    """Make a backup the data of a member that is down, as the operations guide says."""
    flags = dict(word.removeprefix("--").partition("=")[::2] for word in argv[1:])
    shutil.rmtree(folder / flags["name"])
    same = ("name", "data-dir", "initial-cluster", "initial-advertise-peer-urls")
    subprocess.run(
        [etcdctl(), "snapshot", "restore", str(backup), *(f"--{flag}={flags[flag]}" for flag in same)],
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        check=True,
    )
