"""What does a fleet look like in which everything can be cut, killed, frozen and filled up?

Three members of etcd, schedulers, agents and relays as real processes, a gate before every server, a file
with the boot id of every node, and small disks below some of them where this user may mount.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tenure.local.fleet import Fleet
from tenure.local.layout import service
from tenure.local.plan import AGENT, ETCD, RELAY, SCHEDULER, Part, Plan
from tenure.local.process_tree import send
from tests.faults import boot_clock, slow_sync
from tests.faults.gates import Callers, Gate, Links
from tests.faults.packets import Networks
from tests.support.disks import small_disk
from tests.support.faketime import environment, libfaketime
from tests.support.ports import Ports
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable

TTL: Final = 3.0
LEADER_TTL: Final = 3.0
CAPACITY_MILLI: Final = 8000
DISK_MEGABYTES: Final = 64
ETCD_QUOTA: Final = 128 << 20
"""So small that it can be filled, and several times what a long run takes at some 5 kB for a task."""
JUMPING: Final = ("worker-3", "scheduler-1")
"""Parts whose wall clock can jump."""
ME: Final = "user"
"""Name of the program that submits and reads, as the gates know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many of each."""

    agents: int = 8
    schedulers: int = 3
    relays: int = 1
    """More than one: the output of an attempt that moves between relays cannot be read as one yet."""
    members: int = 3


class FaultFleet(Fleet):
    """A fleet behind gates; `async with` it as any other."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        super().__init__(data_dir=folder / "fleet")
        self.shape = shape
        self.links = Links()
        self.networks = Networks()
        """Of the nodes whose packets can be dropped."""
        self.disks: list[str] = []
        """Names of the parts whose data lies on a small disk of its own."""
        self.clocks: dict[str, Path] = {}
        """Parts whose wall clock can jump, and the files that say by how much."""
        self._faketime: Path | None = None
        self._ports = Ports()
        self._gates: dict[str, Gate] = {}
        self._listening: dict[str, int] = {}
        self._mounted = ExitStack()
        self._folder = folder / "fleet"

    async def start(self, *, detach: bool = False) -> None:
        """Open the gates and mount the disks, then start the processes."""
        await self.networks.open(
            [f"worker-{n}" for n in range(self.shape.agents // 2 + 1, self.shape.agents + 1)]
        )
        callers = Callers(ME, self.networks.nodes)
        for name in self._servers():
            self._listening[name] = self._ports.take()
            server = name.removesuffix("-peer")
            self._gates[name] = Gate(
                self.links, server, self._listening[name], callers, host=self.networks.host
            )
            await self._gates[name].open(self._ports.take())
        if os.geteuid() == 0:
            for name in ("worker-1", "worker-2", "relay-1"):
                self._mounted.enter_context(small_disk(self._folder / name, megabytes=DISK_MEGABYTES))
                self.disks.append(name)
        self._faketime = await asyncio.to_thread(libfaketime)
        await super().start(detach=detach)

    async def stop(self) -> None:
        """Stop the processes, then what lies between and below them."""
        try:
            await super().stop()
        finally:
            # Also when it was cancelled: it stops first and raises then.
            for gate in self._gates.values():
                await gate.close()
            self._gates.clear()
            self._mounted.close()
            await self.networks.close()
            self._ports.give_back()

    # Who is there

    @property
    def schedulers(self) -> list[str]:
        return [part.name for part in self.plan.of_kind(SCHEDULER)]

    @property
    def relays(self) -> list[str]:
        return [part.name for part in self.plan.of_kind(RELAY)]

    @property
    def members(self) -> list[str]:
        return [part.name for part in self.plan.of_kind(ETCD)]

    @property
    def etcd_addresses(self) -> list[str]:
        """Where the members serve, beside their gates."""
        return [part.address for part in self.plan.of_kind(ETCD)]

    def part(self, name: str) -> Part:
        """The part of this name."""
        return next(part for part in self.plan.parts if part.name == name)

    def scheduler_at(self, address: str) -> str:
        """The scheduler that advertises this address; empty: none does."""
        return next((name for name in self.schedulers if self._gates[name].address == address), "")

    def ports_of(self, names: Iterable[str]) -> list[int]:
        """The ports at which the others reach these servers."""
        return [self._gates[name].port for name in names]

    # What can be done to it

    async def signal(self, name: str, number: signal.Signals) -> None:
        """Signal the one process of a part, of an agent its warden."""
        send([(await self.pids())[name]], number)

    async def agent_pid(self, name: str) -> int:
        """Pid of the agent below a node's warden, once there is one."""
        agent_pid = super().agent_pid
        return await eventually(lambda: agent_pid(name), what=f"the agent of {name} runs")

    async def take_down(self, names: Iterable[str]) -> None:
        """SIGKILL parts with everything that they started; they stay down until `bring_up`."""
        for name in names:
            await self.kill_node(name)

    async def bring_up(self, names: Iterable[str]) -> None:
        """Start again what `take_down` ended."""
        for name in names:
            await self.restart_node(name)

    def boot_id_file(self, name: str) -> Path:
        """The file with the boot id of a node."""
        return self._folder / f"{name}.boot-id"

    def reboot(self, name: str) -> None:
        """Give a node that is down the boot id of its next boot."""
        self.boot_id_file(name).write_text(f"{uuid.uuid4()}\n")

    def restart_boot_clock(self, name: str, uptime: float) -> None:
        """Let CLOCK_BOOTTIME of a node that is down have run for so many seconds when it comes up."""
        boot_clock.write(self._boot_clock_file(name), uptime)

    def _boot_clock_file(self, name: str) -> Path:
        return self._folder / f"{name}.boot-clock"

    def slow_down(self, name: str, seconds: float) -> None:
        """Let every sync of a member of etcd take so much longer; 0: no longer."""
        slow_sync.write(self._delay_file(name), seconds)

    def _delay_file(self, name: str) -> Path:
        return self._folder / f"{name}.sync-delay"

    def set_clock(self, name: str, seconds: int) -> None:
        """Let the wall clock of a part be off by so much."""
        self.clocks[name].write_text(f"{seconds:+d}\n")

    # How it is laid out

    def _servers(self) -> list[str]:
        shape = self.shape
        members = [f"etcd-{n + 1}" for n in range(shape.members)]
        return [
            *members,
            *(f"{member}-peer" for member in members),
            *(f"scheduler-{n + 1}" for n in range(shape.schedulers)),
            *(f"relay-{n + 1}" for n in range(shape.relays)),
        ]

    def _at(self, name: str) -> str:
        return f"127.0.0.1:{self._listening[name]}"

    def _plan(self, data_dir: Path, etcd: Path) -> Plan:
        (data_dir / "config").mkdir(exist_ok=True)
        members = [name for name in self._servers() if name.startswith("etcd") and not name.endswith("-peer")]
        schedulers = [self._gates[f"scheduler-{n + 1}"].address for n in range(self.shape.schedulers)]
        store = {"etcd.endpoints": [self._gates[member].address for member in members]}
        parts = [self._etcd(data_dir, etcd, member, members) for member in members]
        for n in range(1, self.shape.schedulers + 1):
            parts.append(
                self._served(data_dir, SCHEDULER, n, {"replica": f"scheduler-{n}", **store, **_TIMES})
            )
        for n in range(1, self.shape.relays + 1):
            options = {"relay": f"relay-{n}", "schedulers": schedulers, "ttl": f"{TTL}s", **store}
            parts.append(self._served(data_dir, RELAY, n, options))
        for n in range(1, self.shape.agents + 1):
            parts.append(self._agent(data_dir, n, schedulers))
        return Plan(str(data_dir), tuple(map(self._with_a_clock, parts)))

    def _with_a_clock(self, part: Part) -> Part:
        """The part, with a wall clock of its own if it is one of those whose clock can jump."""
        if part.name not in JUMPING or self._faketime is None:
            return part
        self.clocks[part.name] = self._folder / f"{part.name}.clock"
        self.set_clock(part.name, 0)
        return dataclasses.replace(part, env=environment(self._faketime, self.clocks[part.name]))

    def _served(self, data_dir: Path, kind: str, number: int, options: dict[str, Any]) -> Part:
        name = f"{kind}-{number}"
        here = {"listen": self._at(name), "advertise_address": self._gates[name].address}
        return service(data_dir, kind, number, {**here, **options}, self._at(name))

    def _agent(self, data_dir: Path, number: int, schedulers: list[str]) -> Part:
        name = f"worker-{number}"
        self.reboot(name)
        options: dict[str, Any] = {
            "name": name,
            "schedulers": schedulers,
            "boot_id_file": str(self.boot_id_file(name)),
            "capacity.cpu_milli": CAPACITY_MILLI,
            "kill_grace": "1s",
        }
        if name in self.disks:
            options |= {"spool.per_attempt": "4MiB", "spool.per_node": "16MiB"}
        part = service(data_dir, AGENT, number, options, "")
        return dataclasses.replace(part, argv=self._on_its_own_machine(part))

    def _on_its_own_machine(self, part: Part) -> tuple[str, ...]:
        """How to start a node: on a clock of its own and in a network of its own, where they can be had."""
        argv = part.argv
        if not boot_clock.why_not():
            boot_clock.write(self._boot_clock_file(part.name))
            argv = boot_clock.argv(self._boot_clock_file(part.name), argv)
        return self.networks.argv(part.name, argv)

    def _etcd(self, data_dir: Path, program: Path, name: str, members: list[str]) -> Part:
        cluster = ",".join(f"{member}=http://{self._gates[f'{member}-peer'].address}" for member in members)
        argv: tuple[str, ...] = (
            str(program),
            f"--name={name}",
            f"--data-dir={data_dir / name}",
            f"--listen-client-urls=http://{self._at(name)}",
            f"--advertise-client-urls=http://{self._gates[name].address}",
            f"--listen-peer-urls=http://{self._at(f'{name}-peer')}",
            f"--initial-advertise-peer-urls=http://{self._gates[f'{name}-peer'].address}",
            f"--initial-cluster={cluster}",
            f"--quota-backend-bytes={ETCD_QUOTA}",
            "--logger=zap",
            "--log-level=warn",
        )
        if not slow_sync.why_not():
            self.slow_down(name, 0.0)
            argv = slow_sync.argv(self._delay_file(name), argv)
        return Part(name, ETCD, argv, address=self._at(name))


_TIMES: Final = {
    "workers.ttl": f"{TTL}s",
    "leadership.ttl": f"{LEADER_TTL}s",
    # Faults come every few seconds: what is a storm elsewhere is the weather here. The whole fleet still is.
    "workers.storm_share": 0.75,
    "workers.storm_pause": "10s",
    # The recorder wants every revision.
    "store.compact_every": "86400s",
}
