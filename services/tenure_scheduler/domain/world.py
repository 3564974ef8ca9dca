"""Where does the core keep what it knows, and how does it change it?

`World` is the memory of the leader. The functions of the neighbouring modules mutate it; the few primitives
here keep its indexes true: every change of a task's state goes through `set_state`, every change that must
reach etcd through `touch`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from tenure_core.fence import Fence
from tenure_core.states import TASK_TRANSITIONS, TERMINAL, ForbiddenTransition, TaskState
from tenure_core.timing import NEVER, Instant, Now
from tenure_scheduler.domain.commands import CloseStream, Command, SendCommands, TellFinished
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.index import TaskIndex
from tenure_scheduler.domain.model import NO_STREAM, Attempt, Damaged, Relay, Task, Worker
from tenure_scheduler.domain.queue import Queue
from tenure_scheduler.domain.timers import Timers

PENDING = TaskState.PENDING


@dataclass(slots=True)
class RemovedTask:
    """A task whose record (and `specs/<task>`, if the spec lies apart) is to be deleted."""

    task: Task


@dataclass(slots=True)
class RemovedWorker:
    """A worker whose registration is to be deleted."""

    name: str


@dataclass(slots=True)
class RaisedAlarm:
    """Why nothing is assigned any more, to be written so that the next leader knows it."""

    sentence: str


@dataclass(slots=True)
class Storm:
    """What decides whether losses may be declared at all."""

    start_until: Instant = NEVER
    """The grace of a new leadership: for workers that have not said Hello to it yet."""
    grace_until: Instant = NEVER
    """The grace after a stall of our own, or after all were gone: for every worker."""
    extensions: int = 0
    """How often the grace was extended by stalls of our own, in a row."""
    gone: dict[str, Worker] = field(default_factory=dict)
    """Workers whose `live` is proved to be gone and that are not declared lost yet, oldest first."""
    seen: deque[Instant] = field(default_factory=deque)
    """When workers were found gone, within the window."""
    live: deque[tuple[Instant, int]] = field(default_factory=deque)
    """How many workers were live since when; the first entry is older than the window."""
    pause_until: Instant = NEVER
    next_at: Instant = NEVER
    active: bool = False
    all_lost: bool = False
    judge: bool = False
    """Somebody was found gone, or back, in this `apply`: losses are judged after all of its events."""


class World:
    """The leader's memory."""

    __slots__ = (
        "alarm",
        "commands",
        "config",
        "counts",
        "damaged",
        "dirty",
        "epoch",
        "exclusive",
        "filled_from",
        "finished",
        "fleet_version",
        "floor",
        "floor_dirty",
        "index",
        "keeps",
        "lazy",
        "marked",
        "n",
        "next_sequence",
        "now",
        "open_logs",
        "order",
        "queue",
        "relays",
        "removed",
        "sending",
        "storm",
        "taken",
        "tasks",
        "telling",
        "ticket",
        "tickets",
        "timers",
        "waiting",
        "workers",
    )

    def __init__(self, config: CoreConfig, n: int, epoch: int, now: Now, index: TaskIndex) -> None:
        self.config = config
        self.n = n
        self.epoch = epoch
        self.now = now
        self.index = index
        self.tasks = index.tasks
        self.order: list[Task] = []
        """Tasks by ascending sequence, removed ones included until the list is compacted."""
        self.removed = 0
        self.damaged: dict[str, Damaged] = {}
        """Tasks whose records could not be read; nothing is decided about them."""
        self.next_sequence = 1
        self.workers: dict[str, Worker] = {}
        self.fleet_version = epoch << 32
        """Changes whenever the set of schedulable workers, their labels or capacities change. Begins anew
        with every epoch, because shapes and what they cache may outlive this memory."""
        self.queue = Queue(config.ageing)
        self.timers = Timers()
        self.storm = Storm(start_until=now.boot + config.grace)
        self.counts = [0] * (max(TaskState) + 1)
        self.finished: deque[Task] = deque()
        """Finished tasks, oldest first."""
        self.keeps = config.retained_tasks
        """How many finished tasks are kept; fewer while the store is nearly full."""
        self.filled_from: int | None = None
        """How many there were when the store began to be nearly full; None: it is not."""
        self.exclusive: dict[str, Instant] = {}
        """`stop` tasks whose worker is lost: when they may be given away at the earliest."""
        self.lazy: dict[str, Instant] = {}
        """Tasks whose RUNNING is not marked for writing yet, and until when that may wait."""
        self.open_logs: dict[str, str] = {}
        """Finished tasks whose output is not complete at the relay → worker that has it."""
        self.relays: tuple[Relay, ...] = ()
        self.waiting: dict[str, list[int]] = {}
        self.tickets: dict[int, list[str]] = {}
        self.ticket = 0
        self.alarm = ""
        """Why nothing is assigned any more; empty: all is well."""
        self.dirty: deque[Task | Worker | RemovedTask | RemovedWorker | RaisedAlarm] = deque()
        self.marked = 0
        self.taken = 0
        self.floor = 0
        self.floor_dirty = False
        self.commands: list[Command] = []
        self.sending: dict[str, SendCommands] = {}
        self.telling: TellFinished | None = None

    # --- changes that reach etcd ----------------------------------------------------------------------------

    def touch(self, task: Task) -> None:
        """`task` is to be written with the next batch."""
        if not task.dirty:
            task.dirty = True
            self.dirty.append(task)
            self.marked += 1

    def touch_worker(self, worker: Worker) -> None:
        """The registration of `worker` is to be written with the next batch."""
        if not worker.dirty:
            worker.dirty = True
            self.dirty.append(worker)
            self.marked += 1

    def remove(self, what: RemovedTask | RemovedWorker) -> None:
        """A record is to be deleted with the next batch."""
        self.dirty.append(what)
        self.marked += 1

    def raise_alarm(self, sentence: str) -> None:
        """Nothing is assigned any more, by this leader or another one; the first sentence stands."""
        if not self.alarm:
            self.alarm = sentence
            self.dirty.append(RaisedAlarm(sentence))
            self.marked += 1

    def set_state(self, task: Task, state: TaskState, reason: str) -> None:
        """Change the state of `task` (or only the reason for it) and mark it for writing.

        Raises:
            ForbiddenTransition: the table does not allow it.
        """
        before = task.state
        if state not in TASK_TRANSITIONS[before] and state is not before:
            raise ForbiddenTransition(before, state)
        counts = self.counts
        counts[before] -= 1
        counts[state] += 1
        task.state = state
        task.reason = reason
        task.updated_ns = self.now.utc_ns
        if not task.dirty:
            task.dirty = True
            self.dirty.append(task)
            self.marked += 1

    # --- outputs --------------------------------------------------------------------------------------------

    def to_worker(self, worker: Worker) -> SendCommands:
        """The one message that this `apply` sends to `worker`; it must have a stream."""
        message = self.sending.get(worker.name)
        if message is None or message.stream != worker.stream:
            worker.command_number += 1
            message = SendCommands(
                worker.name, worker.stream, worker.session, worker.connect, worker.command_number
            )
            self.sending[worker.name] = message
        return message

    def close_stream(self, worker: Worker, cause: str) -> None:
        """End the worker's stream from our side; its next Hello decides."""
        if worker.stream != NO_STREAM:
            self.commands.append(CloseStream(worker.name, worker.stream, cause))
            self.sending.pop(worker.name, None)
            worker.stream = NO_STREAM
            worker.disconnected_at = self.now.boot
            worker.closed_cause = cause
            self.fleet_version += 1

    def next_ticket(self) -> int:
        """A number for a step whose answer comes back as an event."""
        self.ticket += 1
        return self.ticket

    # --- questions ------------------------------------------------------------------------------------------

    def fence(self, task: Task, attempt: Attempt) -> Fence:
        """The fence of one of the task's attempts."""
        return Fence(attempt.n or self.n, task.id, attempt.number)

    def superseded(self, fence: Fence) -> bool:
        """Whether the attempt no longer counts: decided, given away, unknown, or of another life."""
        task = self.tasks.get(fence.task)
        return task is None or fence.n != self.n or task.attempt > fence.attempt or task.state in TERMINAL

    def by_state(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state."""
        return {state: self.counts[state] for state in TaskState}
