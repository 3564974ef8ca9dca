"""An etcd of dictionaries: exactly what the records hold survives a leader, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tenure_scheduler.domain.core import Dirty
from tenure_scheduler.domain.index import TaskIndex
from tenure_scheduler.domain.load import COMMITTED_ATTEMPT, COMMITTED_TASK, COMMITTED_WORKER, Records
from tenure_scheduler.domain.model import Attempt, Task, Worker


def copy_attempt(attempt: Attempt) -> Attempt:
    """The attempt as it comes back from its record."""
    copied = Attempt(attempt.number, attempt.worker, attempt.session, attempt.grant, attempt.assigned_ns)
    for name in COMMITTED_ATTEMPT:
        setattr(copied, name, getattr(attempt, name))
    return copied


def copy_task(task: Task) -> Task:
    """The task as it comes back from its record."""
    copied = Task(task.id, task.sequence, task.profile, task.spec, task.created_ns)
    for name in COMMITTED_TASK:
        setattr(copied, name, getattr(task, name))
    copied.attempts = tuple(copy_attempt(attempt) for attempt in task.attempts)
    return copied


def copy_worker(worker: Worker) -> Worker:
    """The worker as it comes back from its registration."""
    copied = Worker(worker.name)
    for name in COMMITTED_WORKER:
        setattr(copied, name, getattr(worker, name))
    return copied


@dataclass
class Store:
    """What is committed."""

    revision: int = 100
    tasks: dict[str, Task] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    owns: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    floor: int = 0
    next_sequence: int = 1
    began: int = 0
    """The revision at which the present incarnation began."""
    alarm: str = ""

    def commit(self, dirty: Dirty) -> int:
        """Apply one batch; returns its revision."""
        self.revision += 1
        for task in dirty.tasks:
            self.tasks[task.id] = copy_task(task)
            self.tasks[task.id].revision = self.revision
        for own in dirty.owns:
            worker = own.worker
            if self.lives.get(worker.name) == worker.live_revision:
                self.owns[own.task.id] = (own.attempt.number, worker.session, worker.name)
        for task_id in dirty.disowned:
            self.owns.pop(task_id, None)
        for task in dirty.removed:
            self.tasks.pop(task.id, None)
            self.owns.pop(task.id, None)
        for worker in dirty.workers:
            self.workers[worker.name] = copy_worker(worker)
        for name in dirty.removed_workers:
            self.workers.pop(name, None)
        self.alarm = dirty.alarm or self.alarm
        if dirty.floor is not None:
            self.floor, self.next_sequence = dirty.floor
        return self.revision

    def register(self, worker: Worker) -> int | None:
        """Put `reg` and `live`, which must be absent; returns the create revision."""
        if worker.name in self.lives:
            return None
        self.revision += 1
        self.workers[worker.name] = copy_worker(worker)
        self.lives[worker.name] = self.revision
        return self.revision

    def expire(self, name: str) -> None:
        """The lease of a worker ends: `live` and all `own` keys on it vanish in one revision."""
        self.revision += 1
        self.lives.pop(name, None)
        self.owns = {task: own for task, own in self.owns.items() if own[2] != name}

    def copy(self) -> Store:
        """A snapshot."""
        return replace(
            self,
            tasks={name: copy_task(task) for name, task in self.tasks.items()},
            workers={name: copy_worker(worker) for name, worker in self.workers.items()},
            lives=dict(self.lives),
            owns=dict(self.owns),
        )

    def new_incarnation(self, n: int) -> None:
        """What `tenure cluster new-incarnation` does, and what the records look like then."""
        self.revision += 1
        self.began = self.revision
        self.lives, self.owns, self.alarm = {}, {}, ""
        for task in self.tasks.values():
            for attempt in task.attempts:
                attempt.n = attempt.n or n - 1

    def records(self) -> Records:
        """What a new leader loads."""
        return Records(
            index=TaskIndex(copy_task(task) for task in self.tasks.values()),
            workers=[copy_worker(worker) for worker in self.workers.values()],
            lives=dict(self.lives),
            owns=[(task, attempt, session) for task, (attempt, session, _) in self.owns.items()],
            floor=self.floor,
            began=self.began,
            alarm=self.alarm,
            next_sequence=self.next_sequence,
        )
