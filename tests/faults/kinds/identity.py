"""Faults of who and when: duplicates, revoked leases, reboots, clocks that jump."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import uuid
from typing import TYPE_CHECKING, Final

from tenure.local.process_tree import connected_with, descendants, is_alive, send
from tenure_runtime.etcd.errors import EtcdError
from tenure_state.v1.worker_pb2 import WorkerRegistration
from tests.faults import boot_clock
from tests.faults.kinds.base import ANY, Fault, kind
from tests.faults.kinds.processes import Killed, OnWorker
from tests.faults.kinds.storage import copy_state

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

UPTIME: Final = (1.0, 60.0)
"""For how many seconds a machine has been up when its agent starts."""


@kind("lease-revoked")
class LeaseRevoked(OnWorker):
    """An operator revokes the lease of a worker that is well."""

    hold = (0.5, 1.0)

    async def inject(self) -> None:
        found = await self.scene.store.get(self.scene.keys.worker_reg(self.targets[0]), timeout=2.0)
        lease = WorkerRegistration.FromString(found.value).lease_id if found else 0
        if not lease:
            raise EtcdError(f"{self.targets[0]} has no lease now")
        await self.scene.store.lease_revoke(lease, timeout=2.0)


@kind("rebooted")
class Rebooted(Killed, OnWorker):
    """Everything on the node ends, and it comes back with another boot id."""

    hold = ANY

    async def heal(self) -> None:
        self.fleet.reboot(self.targets[0])
        await super().heal()


@kind("rebooted-clock")
class RebootedClock(Rebooted):
    """As `rebooted`, and its CLOCK_BOOTTIME and CLOCK_MONOTONIC start again, as those of a machine do."""

    def missing(self) -> str:
        return boot_clock.why_not()

    async def heal(self) -> None:
        # A second reboot may find instants in its state that are still to come, or that have passed again.
        self.fleet.restart_boot_clock(self.targets[0], self.scene.rng.uniform(*UPTIME))
        await super().heal()


@kind("clock-jumped")
class ClockJumped(Fault):
    """The wall clock of an agent with its warden, or of a scheduler, is up to an hour off for a while."""

    hold = ANY

    def missing(self) -> str:
        return "" if self.fleet.clocks else "libfaketime is not installed and cannot be downloaded"

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of(list(self.fleet.clocks), free)

    async def inject(self) -> None:
        sign = self.scene.rng.choice((-1, 1))
        self.fleet.set_clock(self.targets[0], sign * self.scene.rng.randint(30, 3600))

    async def heal(self) -> None:
        self.fleet.set_clock(self.targets[0], 0)


@kind("duplicate-agent")
class DuplicateAgent(OnWorker):
    """A copy of a node, state directory and all, runs on another host beside the original."""

    hold = ANY
    _process: asyncio.subprocess.Process | None = None

    async def inject(self) -> None:
        (name,) = self.targets
        self._home = self.scene.folder / f"twin-{uuid.uuid4()}"
        part = self.fleet.part(name)
        await asyncio.to_thread(self._copy, self.fleet.data_dir / name, self._home / "state")
        config = self._home / f"{name}.toml"
        text = (self.fleet.data_dir / "config" / f"{name}.toml").read_text()
        config.write_text(_with(text, data_dir=self._home / "state", boot_id_file=self._home / "boot-id"))
        argv = [str(config) if word.endswith(f"/{name}.toml") else word for word in part.argv]
        with (self._home / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", *argv), stdout=log, stderr=log, start_new_session=True
            )

    def _copy(self, folder: Path, to: Path) -> None:
        self._home.mkdir(parents=True)
        (self._home / "boot-id").write_text(f"{uuid.uuid4()}\n")
        copy_state(folder, to)

    async def heal(self) -> None:
        if self._process is not None:
            while left := [pid for pid in _tree(self._process.pid, self._home) if is_alive(pid)]:
                send(left, signal.SIGKILL)
                await asyncio.sleep(0.01)
            await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)


def _tree(pid: int, home: Path) -> list[int]:
    """A process, what it started, and what left it."""
    return [pid, *descendants(pid), *connected_with(home)]


def _with(config: str, **changed: Path) -> str:
    """The configuration with some lines replaced."""
    lines = [line for line in config.splitlines() if line.partition(" = ")[0] not in changed]
    return (
        "\n".join([*lines, *(f"{key} = {json.dumps(str(value))}" for key, value in changed.items())]) + "\n"
    )
