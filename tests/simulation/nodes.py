"""How does a real worker agent run in the simulation?

The agent's shell and domain, its session stream, beats and log pusher are real; its warden, its disk and the
network are the simulation's. A node is one machine: a warden, an agent below it, and a service manager that
starts the warden again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from tenure.v1.worker_admin_service_pb2 import Capacity
from tenure_core.fence import Fence
from tenure_runtime.telemetry import Telemetry
from tenure_runtime.watchdog import LoopWatch
from tenure_worker_agent.adapters.beats import Beats
from tenure_worker_agent.adapters.dispatch_codec import Introduction
from tenure_worker_agent.adapters.log_pusher import LogPusher
from tenure_worker_agent.adapters.logs import Logs
from tenure_worker_agent.adapters.traces import Traces
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.agent import Agent
from tenure_worker_agent.domain.identity import Identity
from tenure_worker_agent.domain.results import Result
from tenure_worker_agent.drivers.catalog import TASK_TYPES, Catalog
from tenure_worker_agent.drivers.process import Node as NodeFacts
from tenure_worker_agent.shell import Shell
from tenure_worker_agent.wiring import GOODBYE_SECONDS
from tests.simulation.calls import Channel
from tests.simulation.effects import Effects
from tests.simulation.network import Network
from tests.simulation.output import SpoolingWarden, Truth
from tests.simulation.record import Record
from tests.simulation.warden_model import Warden, WardenEnd
from tests.simulation.world import Host, Process, World

HOLD: Final = 0.025
LONGEST_RESTART: Final = 30.0
"""Seconds for which agents that are told to end ask to be waited for: the default of `hold`."""
RESTART_AFTER: Final = (0.3, 2.0)
"""Seconds until the service manager starts a warden again."""


class IdentityOnDisk:
    """The connect counter on the host's disk; as `IdentityFile`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def read(self, spare: str) -> Identity:
        return Identity(**self._host.disk.get("identity", {}), spare=spare)

    def save(self, command: c.SaveIdentity) -> None:
        self._host.disk["identity"] = dataclasses.asdict(command)


class OutboxOnDisk:
    """Results that no journal has; as `Outbox`: durable a moment after they came."""

    def __init__(self, host: Host) -> None:
        self._disk: dict[str, Result] = host.disk.setdefault("outbox", {})
        self._unwritten: dict[str, Result] = {}

    def open(self) -> list[tuple[str, Result]]:
        return list(self._disk.items())

    def keep(self, results: Iterable[tuple[str, Result]]) -> None:
        if not self._unwritten:
            asyncio.get_running_loop().call_later(HOLD, self._write)
        self._unwritten.update(results)

    def _write(self) -> None:
        self._disk.update(self._unwritten)
        self._unwritten = {}

    def drop(self, fences: Iterable[str]) -> None:
        for fence in fences:
            self._unwritten.pop(fence, None)
            self._disk.pop(fence, None)


class NoLogs:
    """Where output goes in a run without relays: nothing is written, so all of it has arrived."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def progress(self, spools: Any) -> None:
        """There is none."""

    def place(self, command: c.PlaceLogs) -> None:
        """There is none."""

    def finish(self, command: c.FinishLogs) -> None:
        self._shell.post(e.LogsComplete(command.fence))

    def forget(self, fences: list[str]) -> None:
        """There is none."""


class SimulatedShell(Shell):
    """The agent's shell; it kills through the warden's model instead of the kernel.

    Whatever the scheduler says is held against what is committed at that moment.
    """

    warden: Warden
    node: Node

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._opened_in: dict[int, int] = {}
        """By stream: the earliest era that what comes over it may be of."""
        self._hands[c.OrderProcess] = self.order
        self._hands[c.KillProcess] = self.kill
        self._hands[c.OpenStream] = self.open_stream

    def post(self, event: e.Event) -> None:
        if type(event) is e.Commanded:
            self.node.heard(event, self._opened_in[event.stream])
        super().post(event)

    def open_stream(self, command: c.OpenStream) -> None:
        """Also note what whoever answers may know."""
        self._opened_in[command.stream] = self.node.record.eras.since()
        self._open_stream(command)

    def order(self, command: c.OrderProcess) -> None:
        """Also note by which lease; the check of invariant I4 wants to know."""
        session = self._agent.lease._session
        command.order["lease"] = session.lease_id if session is not None else 0
        self._order_process(command)

    def kill(self, command: c.KillProcess) -> None:
        self.warden.kill(command.fence)


class Node:
    """One machine of the fleet."""

    def __init__(
        self,
        world: World,
        network: Network,
        effects: Effects,
        record: Record,
        name: str,
        schedulers: list[str],
        host: Host | None = None,
        output: tuple[Path, Truth] | None = None,
    ) -> None:
        self.world = world
        self.network = network
        self.effects = effects
        self.name = name
        self.host = host or Host(world, name)
        self.schedulers = schedulers
        self.record = record
        self._output = output
        """Where this node keeps the output of tasks, and what is known of it; None: tasks write nothing."""
        self.violations: list[str] = []
        self.fenced = 0
        """Attempts that the scheduler refused to this node."""
        self.orphans = 0
        """Those among them that an earlier incarnation had given out."""
        self.warden: Warden | None = None
        self.agent: Process | None = None
        self.shell: SimulatedShell | None = None
        self.powered = True
        self.harmed = False
        """Something happened to it, to its processes, to its way to a scheduler, or to its lease."""
        self.upgraded_at = 0.0
        """When the agent that is being installed can start."""
        self.gave_up: list[str] = []
        """Why agents ended for good."""
        self.exits = 0
        self._generation = 0
        self.start()

    # --- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The service manager starts the warden, and that its agent."""
        if not self.powered or (self.warden is not None and self.warden.process.alive):
            return
        self._generation += 1
        process = Process(self.world, f"{self.name}.warden{self._generation}", self.host)
        with process.entered():
            self.warden = warden = self._make_warden(process)
        process.on_death.append(lambda: self._warden_died(warden))
        process.soon(self._start_agent)

    def _make_warden(self, process: Process) -> Warden:
        if self._output is None:
            return Warden(process, self.effects, self._start_agent)
        folder, truth = self._output
        return SpoolingWarden(process, self.effects, self._start_agent, folder, truth)

    def _warden_died(self, warden: Warden) -> None:
        if self.powered and self.warden is warden:
            self.world.later(self.world.random.uniform(*RESTART_AFTER), self.start)

    def _start_agent(self) -> None:
        warden = self.warden
        if warden is None or not warden.process.alive or (self.agent is not None and self.agent.alive):
            return
        if self.upgraded_at > self.world.now:
            self.world.later(self.upgraded_at - self.world.now, warden.process.soon, self._start_agent)
            return
        self._generation += 1
        self.agent = process = Process(self.world, f"{self.name}.agent{self._generation}", self.host)
        with process.entered():
            self._wire(process, warden)

    def _wire(self, process: Process, warden: Warden) -> None:
        """As `tenure_worker_agent.wiring` does."""
        spare = f"spare-{self.world.random.getrandbits(64):016x}"
        identity: Any = IdentityOnDisk(self.host)
        shell = SimulatedShell(
            Agent(self.schedulers, identity.read(spare), LONGEST_RESTART),
            Introduction(
                worker=self.name,
                version="simulated",
                capacity=Capacity(cpu_milli=4000, memory_bytes=1 << 30),
                labels={},
                task_types=TASK_TYPES,
            ),
            Catalog(NodeFacts(worker=self.name, grace=1.0)),
            identity,
            lambda address: Channel(self.network, process, address),
            lambda reason, _: self._failed(process, reason),
        )
        shell.warden, shell.node = warden, self
        telemetry = Telemetry()
        shell.traces = Traces(telemetry, self.name)
        watch = LoopWatch()
        watch.start()
        open_channel: Any = lambda address: Channel(self.network, process, address)  # noqa: E731
        shell.beats = Beats(self.name, open_channel, watch)
        outbox: Any = OutboxOnDisk(self.host)
        shell.outbox = outbox
        self._wire_logs(shell, process)
        link: Any = WardenEnd(warden, process)
        shell.link = link
        self.shell = shell
        warden.connect(shell, process)
        link.send({"do": "list"})
        shell.post(e.OutboxRead(outbox.open()))

    def _wire_logs(self, shell: Shell, process: Process) -> None:
        if self._output is None:
            nothing: Any = NoLogs(shell)
            shell.logs = nothing
            return
        shell.logs = logs = Logs(shell.post, shell.acked)
        open_channel: Any = lambda address: Channel(self.network, process, address)  # noqa: E731
        logs.pusher = LogPusher(
            self.name, self._output[0], open_channel, on_acked=logs.acked, on_complete=logs.complete
        )
        process.start(logs.pusher.run())

    def _failed(self, process: Process, reason: str) -> None:
        """The agent gives up: its process ends, and its warden starts another one."""
        self.gave_up.append(reason)
        process.loop.call_soon(process.kill)

    def heard(self, event: e.Commanded, since: int) -> None:
        """The scheduler says something: it has to be committed. `since`: when the stream was opened."""
        record, complain = self.record, self.violations.append
        self.fenced += len(event.fenced)
        for fence, reason in event.fenced:
            parsed = Fence.parse(fence)
            self.orphans += parsed.n != record.n
            if not record.superseded(parsed, since):
                complain(f"{self.name} was told that {fence} is fenced: {reason}")
        for stop in event.stops:
            if not record.to_be_stopped(Fence.parse(stop.fence), self.name, since):
                complain(f"{self.name} was told to stop {stop.fence}: {stop.reason}")
        for fence in event.accepted:
            if not record.accepted(Fence.parse(fence), since):
                complain(f"{self.name} was told that the result of {fence} is taken")
        for start in event.starts:
            if not record.assigned(Fence.parse(start.fence), self.name, since):
                complain(f"{self.name} was told to start {start.fence}")

    # --- faults --------------------------------------------------------------------------------------------

    def upgrade_agent(self, seconds: float, ended: Callable[[], object]) -> None:
        """SIGTERM: the agent announces that and ends; the next one can start after so many seconds."""
        process, shell = self.agent, self.shell
        if process is not None and process.alive and shell is not None:
            self.upgraded_at = self.world.now + seconds
            process.on_death.append(ended)
            process.start(self._end(process, shell))

    async def _end(self, process: Process, shell: SimulatedShell) -> None:
        """As `tenure_worker_agent.wiring` and the supervision of its process do."""
        shell.post(e.StopRequested())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(shell.finished.wait(), GOODBYE_SECONDS)
        process.kill()

    def kill_agent(self) -> None:
        if self.agent is not None:
            self.agent.kill()

    def kill_warden(self) -> None:
        if self.warden is not None:
            self.warden.process.kill()

    def power_off(self) -> None:
        """Nothing of the machine answers any more, and nothing resets a connection."""
        self.powered = False
        for process in self._processes():
            process.resets = False
            process.kill()
        if self.warden is not None:
            self.warden.power_off()

    def power_on(self) -> None:
        """The machine boots, unless it runs already."""
        if self.powered:
            return
        self.powered = True
        self.host.reboot()
        self.start()

    def kill_node(self) -> None:
        """Everything on the machine is killed at once; its kernel resets the connections."""
        if not self.powered:
            return
        self.powered = False
        for process in self._processes():
            process.kill()
        if self.warden is not None:
            self.warden.power_off()

    def start_again(self) -> None:
        """The node's service comes back on the same boot, unless the machine was rebooted meanwhile."""
        if self.powered:
            return
        self.powered = True
        self.start()

    def _processes(self) -> list[Process]:
        warden = self.warden.process if self.warden is not None else None
        return [each for each in (self.agent, warden) if each is not None]
