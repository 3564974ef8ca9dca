"""One simulated cluster from its first minute to its last: is every promise kept?

Etcd, scheduler replicas, nodes and users; a plan of faults drawn from the seed; then peace, until everything
has come to rest, and the checks.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

from tenure_core.errors import Unavailable
from tenure_core.fence import Fence
from tenure_core.states import AttemptOutcome, TaskState
from tenure_runtime.etcd.keys import Keys
from tenure_scheduler import reign
from tenure_scheduler.config import LeadershipConfig, SchedulerConfig, WorkersConfig
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.core import Core
from tenure_scheduler.replica import core_config
from tests.simulation.declared import Declared
from tests.simulation.effects import Effects
from tests.simulation.etcd_cluster import Cluster
from tests.simulation.network import Network
from tests.simulation.nodes import RESTART_AFTER, Node
from tests.simulation.output import Truth, remove
from tests.simulation.record import Record
from tests.simulation.relays import Relay
from tests.simulation.schedulers import Scheduler, WatchedShell
from tests.simulation.users import Load, Users
from tests.simulation.world import Host, Process, World

CPU_MILLI: Final = 4000
READ_AGAIN: Final = 15
MEMORY: Final = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""A file system in memory for what relays and spools write; None: there is none, use the usual place."""
HARMLESS: Final = frozenset(
    {"kill relay", "pause relay", "partition agent-relay", "partition relay-scheduler"}
)
"""Faults that delay output and cost none of it."""
LONGEST_WAR: Final = 300.0
REST: Final = 900.0
"""Seconds of peace in which everything has to come to rest."""


@dataclass
class Outcome:
    """What became of one run."""

    seed: int
    violations: list[str] = field(default_factory=list)
    tasks: int = 0
    executions: int = 0
    lost_attempts: int = 0
    lost_workers: int = 0
    fenced: int = 0
    """Reports of attempts that were given away, refused by the scheduler."""
    orphans: int = 0
    """Those of them that an incarnation before a restore had given out."""
    gave_up: int = 0
    """Schedulers that ended because they saw the store go back."""
    stale_effects: int = 0
    """Effects of attempts that were given away, refused by the resource that they were meant for."""
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    """Of virtual time."""
    states: Counter[str] = field(default_factory=Counter)
    failed_calls: int = 0
    handed_on: int = 0
    commits: int = 0
    fingerprint: int = 0
    """Of everything that was committed: the same seed gives the same."""


def _drawn_config(random: Random, ttl: float, leadership_ttl: float) -> SchedulerConfig:
    leader_ttl = leadership_ttl or random.choice((2.0, 3.0, 5.0))
    worker_ttl = ttl or random.choice((3.0, 5.0, 10.0))
    return SchedulerConfig(
        leadership=LeadershipConfig(ttl=leader_ttl),
        workers=WorkersConfig(ttl=worker_ttl, storm_pause=random.choice((5.0, 20.0, 60.0))),
    )


class Fleet:
    """One cluster. `plan` is called once with the fleet and arms the faults."""

    def __init__(
        self,
        world: World,
        *,
        tasks: int,
        load: Load | None = None,
        ttl: float = 0.0,
        leadership_ttl: float = 0.0,
        replicas: int = 0,
        nodes: int = 0,
        relay: bool = False,
    ) -> None:
        self.world = world
        random = world.random
        self.network = Network(world, latency=random.choice((0.0003, 0.001, 0.005)))
        self.etcd = Cluster(self.network, members=random.choice((1, 3, 3)))
        self.record = Record(Keys("default"), world)
        self.record.follow(self.etcd.store)
        self.config = _drawn_config(random, ttl, leadership_ttl)
        self.ttl = self.config.workers.ttl
        self.declared = Declared(self.record.keys, world, core_config(self.config))
        self.declared.follow(self.etcd.store)
        self.schedulers: list[Scheduler] = []
        self.gave_up: list[str] = []
        self.restoring = False
        """An operator takes etcd back to a backup."""
        self._stopped: set[str] = set()
        """Schedulers that an operator stopped: nothing starts them before the operator does."""
        self.scheduler_hosts: dict[str, Host] = {}
        for number in range(replicas or random.choice((1, 2, 2, 3))):
            self.start_scheduler(f"s{number + 1}")
        addresses = [scheduler.address for scheduler in self.schedulers]
        self.effects = Effects(self.etcd)
        self.truth = Truth()
        base = Path(tempfile.tempdir) if tempfile.tempdir else MEMORY or Path(tempfile.gettempdir())
        self.folder = base / f"tenure-simulation-{os.getpid()}-{world.seed}"
        self.relay: Relay | None = None
        self.relay_host = Host(world, "r1")
        if relay:
            self.start_relay()
        names = [f"w{number + 1}" for number in range(nodes or random.choice((2, 3, 4, 5)))]
        self.nodes = [
            Node(
                world,
                self.network,
                self.effects,
                self.record,
                name,
                addresses,
                output=(self.folder / name, self.truth) if relay else None,
            )
            for name in names
        ]
        self.clones: list[Node] = []
        self.faults: Counter[str] = Counter()
        self.broken = 0
        """Faults that are still to come, and what is not yet repaired."""
        load = load or Load(tasks=tasks, within=random.choice((3.0, 10.0, 30.0)), lines=20 if relay else 0)
        self.users = Users(world, self.network, addresses, self.record, load)

    def _watched(self, core: Core, chain: Any, *others: Any) -> WatchedShell:
        return WatchedShell(core, chain, *others, record=self.record)

    # --- parts ---------------------------------------------------------------------------------------------

    def start_scheduler(self, name: str) -> None:
        """Start a replica under this name, as its service manager would."""
        if name in self._stopped or any(each.name == name and each.process.alive for each in self.schedulers):
            return
        host = self.scheduler_hosts.get(name)
        if host is None:
            host = self.scheduler_hosts[name] = Host(self.world, name)
        process = Process(self.world, name, host)
        self.schedulers = [each for each in self.schedulers if each.name != name]
        self.record.eras.speaks(process)
        self.schedulers.append(Scheduler(process, self.network, self.etcd, self.config, self._gave_up))

    def _gave_up(self, scheduler: Scheduler, reason: str) -> None:
        """A scheduler ends by itself and says why; its service manager starts another one."""
        self.gave_up.append(reason)
        again = partial(self.start_scheduler, scheduler.name)
        delay = self.world.random.uniform(*RESTART_AFTER)
        scheduler.process.on_death.append(lambda: self.world.later(delay, again))

    def stop_schedulers(self, but: Scheduler | None = None) -> None:
        """An operator stops them, and may overlook one."""
        self._stopped = {name for name in self.scheduler_hosts if but is None or name != but.name}
        for scheduler in self.schedulers:
            if scheduler.name in self._stopped:
                scheduler.process.kill()

    def keep_down(self, name: str) -> None:
        """Nobody starts this one again before the operator does."""
        self._stopped.add(name)

    def start_schedulers(self) -> None:
        """An operator starts all that do not run."""
        self._stopped.clear()
        for name in self.scheduler_hosts:
            self.start_scheduler(name)

    def mend_after(self, low: float, high: float, repair: Callable[[], object]) -> None:
        """Repair something after a while; peace comes when everything is repaired."""
        self.broken += 1

        def mend() -> None:
            self.broken -= 1
            repair()

        self.world.later(self.world.random.uniform(low, high), mend)

    def operate(self, event_of: Callable[[int], e.Event]) -> None:
        """An operator's request to the leader, repeated until it is answered."""
        self.broken += 1

        async def ask(leader: Scheduler) -> None:
            current = leader.replica.reign
            if current is None:
                raise Unavailable
            await current.shell.ask(event_of, 3.0)
            self.broken -= 1

        def attempt() -> None:
            leader = self.leader
            if leader is None or leader.process.paused:
                self.world.later(0.5, attempt)
                return
            with leader.process.entered():
                task = leader.process.loop.create_task(ask(leader))
            task.add_done_callback(
                lambda done: self.world.later(0.5, attempt) if done.cancelled() or done.exception() else None
            )
            leader.process.on_death.append(lambda: None if task.done() else attempt())

        attempt()

    def start_relay(self) -> None:
        """Start the relay on what it has on its disk."""
        if self.relay is None or not self.relay.process.alive:
            process = Process(self.world, "r1", self.relay_host)
            addresses = [f"{name}:7420" for name in self.scheduler_hosts]
            self.relay = Relay(process, self.network, self.etcd, self.folder / "relay", addresses)

    @property
    def leader(self) -> Scheduler | None:
        """The replica that leads, or believes so."""
        for scheduler in self.schedulers:
            if scheduler.process.alive and scheduler.replica.reign is not None:
                return scheduler
        return None

    def clone(self, node: Node) -> Node:
        """A second machine with a copy of a node's disk, under the same name."""
        host = Host(self.world, f"{node.name}-clone{len(self.clones)}")
        host.disk = copy.deepcopy({name: node.host.disk.get(name) for name in ("identity", "journal")})
        host.disk = {name: value for name, value in host.disk.items() if value is not None}
        addresses = node.schedulers
        clone = Node(self.world, self.network, self.effects, self.record, node.name, addresses, host)
        self.clones.append(clone)
        return clone

    def hosts(self) -> list[Host]:
        """Machines that the network connects."""
        machines = [node.host for node in self.nodes]
        if self.relay is not None:
            machines.append(self.relay.process.host)
        return [*machines, *self.scheduler_hosts.values(), *(m.process.host for m in self.etcd.members)]

    # --- a run ---------------------------------------------------------------------------------------------

    def run(self, plan: Callable[[Fleet], None]) -> Outcome:
        """Let the plan happen, then peace; returns what was seen."""
        outcome = Outcome(self.world.seed if isinstance(self.world.seed, int) else 0)
        with patch.object(reign, "Shell", self._watched):
            plan(self)
            self.world.run(lambda: not self.broken, LONGEST_WAR)
            self.make_peace()
            rested = self.world.run(self._rested, REST)
            if self.relay is not None and rested:
                self._read_again()
        outcome.violations = self.check(rested)
        outcome.tasks = len(self.users.told.submitted)
        outcome.executions = len(self.effects.executions)
        outcome.lost_attempts = self.record.lost
        outcome.lost_workers = self.declared.count
        outcome.fenced = sum(node.fenced for node in (*self.nodes, *self.clones))
        outcome.orphans = sum(node.orphans for node in (*self.nodes, *self.clones))
        outcome.gave_up = len(self.gave_up)
        outcome.stale_effects = self.effects.refused
        outcome.faults = self.faults
        outcome.seconds = self.world.now
        outcome.commits = self.record.commits
        outcome.failed_calls = self.users.told.failed
        outcome.handed_on = self.network.handed_on
        outcome.fingerprint = self.record.fingerprint
        for seen in self.record.tasks.values():
            outcome.states[TaskState(seen.record.state).name] += 1
        return outcome

    def _read_again(self) -> None:
        """Whoever reads from the start, when all is over, sees every line as well."""
        newest = [each for each in self.record.tasks if not self.users.is_held(each)][-READ_AGAIN:]
        reading = self.users.process.start(self.users.read_all(newest))
        self.world.run(lambda: reading.done() and self.users.readers_ended, REST)
        for task_id, readings in self.users.readings.items():
            record = self.record.task(task_id)
            if record is None:
                continue
            for each in readings:
                fence = Fence(self.record.n, task_id, record.attempt)
                each.check(self.truth, fence, whole=not self.faults.keys() - HARMLESS)
                if each.ended is None and not self.users.is_held(task_id):
                    self.users.violations.append(f"I5: a reader of {task_id} does not come to its end")

    def close(self) -> None:
        """Give back what lies outside of the simulation."""
        if self.relay is not None:
            self.relay.process.kill()
            for node in self.nodes:
                node.kill_node()
            remove(self.folder)

    def make_peace(self) -> None:
        """Everything that is broken is repaired, whatever the plan forgot."""
        self.network.heal()
        self.etcd.late_writes = 0.0
        self.etcd.store.no_space = False
        for member in list(self.etcd.members):
            member.watch_lag, member.watches_stall = 0.0, False
            member.process.resume()
            if not member.process.alive:
                self.etcd.restart(member)
        for scheduler in list(self.schedulers):
            scheduler.process.resume()
            if not scheduler.process.alive:
                self.start_scheduler(scheduler.name)
        if self.relay is not None:
            self.relay.process.resume()
            self.start_relay()
        for clone in self.clones:
            clone.kill_node()
        for node in self.nodes:
            for process in node._processes():
                process.resume()
            if not node.powered:
                node.power_on()
        names = [node.name for node in self.nodes]
        self.operate(lambda ticket: e.DrainCancelled(ticket, names))

    def _rested(self) -> bool:
        return self.users.done and not self.record.open and not self.broken

    # --- checks --------------------------------------------------------------------------------------------

    def check(self, rested: bool) -> list[str]:
        """Every violation that this run shows."""
        told = self.users.told
        found = [*self.record.violations, *self.users.violations, *self.world.failures]
        if not rested:
            found.append(f"it did not come to rest (users done: {self.users.done})")
        found += self.record.finished(told.submitted.values(), told.cancelled)
        for node in (*self.nodes, *self.clones):
            found += node.violations
        found += self.effects.violations + self.declared.violations
        return found + self._executions() + self._successes() + self._given_away()

    def _given_away(self) -> list[str]:
        """Whose node was well and reachable all the time keeps what may run on through any outage."""
        if self.record.eras.past:
            return []  # What a restore took back is lost wherever it runs.
        ran_on = {execution.fence for execution in self.effects.executions if not execution.exclusive}
        well = {node.name for node in self.nodes if not node.harmed}
        return [
            f"{fence} was given away, though nothing ever happened to {attempt.worker}: {attempt.reason}"
            for task, seen in self.record.tasks.items()
            for attempt in seen.record.attempts
            if attempt.outcome == AttemptOutcome.LOST
            and attempt.worker in well
            and (fence := str(seen.fence(task, attempt))) in ran_on
        ]

    def _successes(self) -> list[str]:
        """I1, by what really ran: a result that was taken is one of a process that came to its end."""
        ran = {Fence.parse(execution.fence).task for execution in self.effects.executions}
        return [
            f"I1: {fence} is told to have succeeded, and no process of that name came to its end"
            for task, seen in self.record.tasks.items()
            if task in ran
            for attempt in seen.record.attempts
            if attempt.outcome == AttemptOutcome.SUCCEEDED
            and (fence := str(seen.fence(task, attempt))) not in self.effects.ended
        ]

    def _executions(self) -> list[str]:
        """I4, I8 and I10, by what really ran."""
        found = []
        fences = Counter(execution.fence for execution in self.effects.executions)
        found += [f"I4: {fence} was executed {count} times" for fence, count in fences.items() if count > 1]
        by_task: dict[str, list[int]] = {}
        executions = self.effects.executions
        for index, execution in enumerate(executions):
            if execution.exclusive:
                by_task.setdefault(Fence.parse(execution.fence).task, []).append(index)
        for task, indexes in by_task.items():
            runs = sorted((executions[index] for index in indexes), key=lambda run: run.began)
            for before, after in pairwise(runs):
                if after.began < before.ended and not (before.excused or after.excused):
                    found.append(
                        f"I10: {after.fence} began at {after.began:.3f} on {after.host}, while"
                        f" {before.fence} ran on {before.host} until {before.ended:.3f} ({task})"
                    )
        return found
