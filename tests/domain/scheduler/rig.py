"""A scheduler core with a store, a clock, agents that hold streams, and a recorder that must be emptied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from tenure_core.fence import Fence
from tenure_core.labels import Constraint, Preference
from tenure_core.resources import Capacity, Demand
from tenure_core.retry import NO_RETRY, RetryPolicy
from tenure_core.states import AttemptOutcome, OnDisconnect, TaskState, WorkerVerdict
from tenure_core.timing import Now
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.invariants import History, faults
from tenure_scheduler.domain.model import Attempt, Task, Worker
from tenure_scheduler.domain.profiles import Interner, Profile
from tests.domain.scheduler.store import Store

START_NS = 1_700_000_000_000_000_000
C = TypeVar("C")


@dataclass
class Spec:
    """What a test says about a task; the defaults are a no-op that fits everywhere."""

    kind: str = "process"
    demand: Demand = field(default_factory=Demand)
    constraints: tuple[Constraint, ...] = ()
    preferences: tuple[Preference, ...] = ()
    priority: int = 0
    retry: RetryPolicy = NO_RETRY
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    queue_timeout: float = 0.0
    namespace: str = "default"
    has_output: bool = False


class Rig:
    """One leader at a time over one store."""

    def __init__(self, config: CoreConfig | None = None, *, past_grace: bool = True) -> None:
        self.config = config or CoreConfig()
        self.boot = 1_000.0
        self.wall_step = 0.0
        """Seconds by which the wall clock was set forward; less than 0: back."""
        self.store = Store()
        self.history = History()
        self.interner = Interner()
        self.n = 1
        self.epoch = 0
        self.streams = 0
        self.numbers = 0
        self.recorded: list[c.Command] = []
        self.waiting: list[c.Command] = []
        self.gone_at: dict[str, float] = {}
        """Since when workers without a lease have had none."""
        self.core = self._lead()
        if past_grace:
            self.after(self.config.grace + 1)

    # --- time and leadership -------------------------------------------------------------------------------

    @property
    def now(self) -> Now:
        return Now(self.boot, START_NS + int((self.boot + self.wall_step) * 1e9))

    def after(self, seconds: float) -> None:
        """Let time pass, waking the core when it asks for it."""
        end = self.boot + seconds
        while True:
            due = self.core.next_wakeup()
            if due is None or due > end:
                break
            self.boot = max(self.boot, due)
            self.do()
        self.boot = end
        self.do()

    def _lead(self) -> Core:
        self.epoch += 1
        return Core(
            self.config, incarnation=self.n, epoch=self.epoch, now=self.now, records=self.store.records()
        )

    def depose(self, *, past_grace: bool = False) -> None:
        """The leader is gone with everything that was not committed; another one loads."""
        self.waiting = []
        self.recorded = []
        self.core = self._lead()
        self.check()
        if past_grace:
            self.after(self.config.grace + 1)

    def restore(self, store: Store) -> None:
        """Everything stops, the store becomes that of an earlier moment, and a new incarnation begins."""
        self.n += 1
        self.store = store
        store.new_incarnation(self.n)
        self.gone_at.clear()
        self.history = History()
        self.depose()

    # --- one door ------------------------------------------------------------------------------------------

    def decide(self, *events: e.Event) -> None:
        """Apply events without committing anything."""
        self.waiting += self.core.apply(list(events), self.now)
        self.check()

    def do(self, *events: e.Event) -> None:
        """Apply events, commit, and let etcd and the streams do what the core wants."""
        self.decide(*events)
        self.settle()

    def settle(self) -> None:
        """Commit everything, release what waited for it, and carry it out."""
        while self.waiting or self.core.dirty_marked > self.core.dirty_taken:
            self.commit()
            released, self.waiting = self.waiting, []
            for command in released:
                self.carry_out(command)

    def commit(self, max_ops: int = 1_000) -> None:
        """Seal and commit batches until nothing is dirty."""
        while self.core.dirty_marked > self.core.dirty_taken:
            dirty = self.core.take_dirty(max_ops)
            self.core.committed(dirty, self.store.commit(dirty))
            self.note(self.history.commit(dirty.tasks))

    def carry_out(self, command: c.Command) -> None:
        """Be etcd, or record the command for the test."""
        match command:
            case c.GrantLease():
                self.decide(e.LeaseGranted(command.worker, command.ticket, 7_000 + command.ticket))
            case c.RegisterWorker():
                revision = self.store.register(command.worker)
                name = command.worker.name
                if revision is None:
                    self.decide(e.JoinFailed(name, command.ticket, "live exists"))
                else:
                    self.gone_at.pop(name, None)
                    self.decide(e.WorkerRegistered(name, command.ticket, revision))
            case c.DeleteLive():
                self.delete_live(command)
            case c.ProveLive():
                self.decide(*(self.proof(name, believed) for name, believed in command.workers))
            case c.SendCommands():
                self.recorded.append(command)
                if command.starts:
                    self.decide(e.CommandsSent(command.worker, command.stream, command.number))
            case c.AnswerSubmit():
                for _, task in command.results:
                    self.history.acknowledge_submit(task)
                self.recorded.append(command)
            case c.AnswerCancel():
                for task in command.tasks:
                    self.history.acknowledge_cancel(task)
                self.recorded.append(command)
            case _:
                self.recorded.append(command)

    def delete_live(self, command: c.DeleteLive) -> None:
        """The guarded deletion."""
        found = self.store.lives.get(command.worker, 0)
        if found in (0, command.live_revision):
            self.end_lease(command.worker)
            self.decide(e.LiveDeleted(command.worker, command.live_revision, self.boot))
        else:
            self.decide(e.LiveSeen(command.worker, found))

    def end_lease(self, name: str) -> None:
        """The worker's `live` vanishes from etcd, and nobody knows of it yet."""
        self.store.expire(name)
        self.gone_at.setdefault(name, self.boot)

    def proof(self, name: str, believed: int) -> e.Event:
        """What a linearizable read says of a worker."""
        found = self.store.lives.get(name, 0)
        return e.LiveSeen(name, found) if found else e.LiveGone(name, believed, self.boot)

    def check(self) -> None:
        """All invariants."""
        self.note(faults(self.core.world))
        self.note(self.history.missing())

    def note(self, found: list[str]) -> None:
        assert not found, found

    # --- the recorder --------------------------------------------------------------------------------------

    def taken(self, kind: type[C]) -> list[C]:
        """Remove and return the recorded commands of one kind."""
        found: list[C] = [command for command in self.recorded if isinstance(command, kind)]
        self.recorded = [command for command in self.recorded if not isinstance(command, kind)]
        return found

    def only(self, kind: type[C]) -> C:
        """The one recorded command of a kind."""
        (found,) = self.taken(kind)
        return found

    def clear(self) -> None:
        """Forget what was recorded: the test is not about it."""
        self.recorded = []

    def empty(self) -> None:
        """Nothing was recorded that the test did not look at."""
        assert self.recorded == []

    # --- builders ------------------------------------------------------------------------------------------

    def profile(self, spec: Spec) -> Profile:
        shape = self.interner.shape(spec.kind, spec.demand, spec.constraints, spec.preferences)
        return self.interner.profile(
            shape,
            namespace=spec.namespace,
            priority=spec.priority,
            retry=spec.retry,
            on_disconnect=spec.on_disconnect,
            queue_timeout=spec.queue_timeout,
            has_output=spec.has_output,
        )

    def item(self, spec: Spec | None = None, *, request_id: str = "", not_before_ns: int = 0) -> e.SubmitItem:
        self.numbers += 1
        profile = self.profile(spec or Spec())
        body = repr(spec or Spec()).encode()
        task_id = f"{self.numbers:020d}"
        return e.SubmitItem(
            task_id, profile, body, f"t{self.numbers}", (), request_id, not_before_ns=not_before_ns
        )

    def submit(self, spec: Spec | None = None, count: int = 1) -> list[Task]:
        """Submit `count` alike tasks."""
        items = [self.item(spec) for _ in range(count)]
        self.do(e.TasksSubmitted(self.numbers, items))
        self.only(c.AnswerSubmit)
        return [self.core.world.tasks[item.task_id] for item in items]

    def a_task(self, spec: Spec | None = None) -> TaskBuilder:
        return TaskBuilder(self, spec or Spec())

    def worker(self, name: str = "w1", **about: object) -> Agent:
        """A worker that is connected and registered."""
        agent = Agent(self, name, **about)  # type: ignore[arg-type]
        agent.hello()
        return agent

    def task(self, task: Task) -> Task:
        """The same task in the present leader's memory."""
        return self.core.world.tasks[task.id]

    def fence(self, task: Task, attempt: int = 0) -> Fence:
        return Fence(self.n, task.id, attempt or task.attempt)

    def expire(self, agent: Agent) -> None:
        """The worker's lease ends, and the leader proves it."""
        revision = self.store.lives[agent.name]
        self.end_lease(agent.name)
        self.do(e.LiveGone(agent.name, revision, self.boot))


@dataclass
class Agent:
    """The far end of a worker session."""

    rig: Rig
    name: str
    instance: str = "i1"
    boot: str = "b1"
    connect: int = 0
    stream: int = 0
    capacity: Capacity = field(default_factory=lambda: Capacity(4_000, 1 << 30))
    labels: dict[str, str] = field(default_factory=dict)
    task_types: frozenset[str] = frozenset({"noop", "process"})
    held: list[e.AttemptReport] = field(default_factory=list)
    incarnation: int = 1
    epoch: int = 0
    welcomed: int = 0

    def hello_event(self, *, direct: bool = True, connect: int | None = None) -> e.HelloReceived:
        self.rig.streams += 1
        self.connect = self.connect + 1 if connect is None else connect
        self.stream = self.rig.streams
        hello = e.Hello(
            self.name,
            self.instance,
            self.boot,
            self.connect,
            self.capacity,
            self.task_types,
            self.labels,
            self.incarnation,
            self.epoch,
            self.welcomed,
            held=list(self.held),
        )
        return e.HelloReceived(self.stream, direct, hello)

    def hello(self, *, direct: bool = True, connect: int | None = None) -> c.WelcomeWorker | None:
        """Say Hello; the answer, if it is a welcome."""
        self.rig.do(self.hello_event(direct=direct, connect=connect))
        mine = [w for w in self.rig.taken(c.WelcomeWorker) if w.stream == self.stream]
        return mine[0] if mine else None

    def refused(self) -> str:
        return self.rig.only(c.RefuseHello).reason

    def reset(self) -> None:
        """The connection breaks."""
        self.rig.do(e.StreamClosed(self.name, self.stream, e.StreamEnd.RESET))

    def end(self) -> None:
        """The agent ends the stream in order."""
        self.rig.do(e.StreamClosed(self.name, self.stream, e.StreamEnd.ENDED))

    def report(self, *reports: e.AttemptReport, processed: int = 1 << 30) -> None:
        self.rig.do(e.ReportsReceived(self.name, self.stream, processed, list(reports)))

    def starts(self, task: Task) -> None:
        """Report that the newest attempt of `task` runs, and keep holding it."""
        started = running(self.rig.fence(task))
        self.held.append(started)
        self.report(started)

    def succeeds(self, task: Task) -> None:
        self.report(result(self.rig.fence(task)))

    @property
    def record(self) -> Worker:
        return self.rig.core.world.workers[self.name]

    def schedulable(self) -> bool:
        return self.record.schedulable

    def verdict(self) -> WorkerVerdict:
        return self.record.verdict


@dataclass
class TaskBuilder:
    """A task brought into a state by events."""

    rig: Rig
    spec: Spec

    def pending(self) -> Task:
        return self.rig.submit(self.spec)[0]

    def assigned(self) -> Task:
        """Needs a worker with room."""
        task = self.pending()
        assert task.worker is not None, task.state
        self.rig.clear()
        return task

    def running_on(self, agent: Agent) -> Task:
        task = self.assigned()
        assert task.worker is agent.record
        agent.starts(task)
        return task


def running(fence: Fence) -> e.AttemptReport:
    return e.AttemptReport(fence, e.ReportKind.STARTED, started_ns=START_NS)


def result(
    fence: Fence, outcome: AttemptOutcome = AttemptOutcome.SUCCEEDED, exit_code: int | None = 0
) -> e.AttemptReport:
    return e.AttemptReport(
        fence, e.ReportKind.RESULT, outcome, exit_code, started_ns=START_NS, ended_ns=START_NS + 1
    )


def failed(fence: Fence, exit_code: int = 1) -> e.AttemptReport:
    return result(fence, AttemptOutcome.FAILED, exit_code)


def newest(task: Task) -> Attempt:
    return task.attempts[-1]


def stands(task: Task) -> TaskState:
    """Where the task stands now, after whatever an earlier line of the test said of it."""
    return task.state
