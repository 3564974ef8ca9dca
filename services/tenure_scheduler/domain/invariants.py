"""What must be true of the core after every step, and of everything that was ever committed?

`faults` looks at one memory; `History` watches what becomes committed, over any number of leaders. The
numbers are those of the design: I1 one accepted success, I2 nothing acknowledged vanishes, I3 terminal
states never change, I7 no attempt after an acknowledged cancel, I8 grants within capacity, I9 attempts only
grow.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure_core.states import PLACED, TERMINAL, AttemptOutcome, TaskState
from tenure_scheduler.domain.model import Task, Worker
from tenure_scheduler.domain.placement import has_room, suited
from tenure_scheduler.domain.world import World


def faults(world: World) -> list[str]:
    """Everything that is wrong with this memory; empty: nothing is."""
    found = []
    for task in world.tasks.values():
        found += [f"task {task.id} ({task.state.name}): {fault}" for fault in task_faults(world, task)]
    for worker in world.workers.values():
        found += [f"worker {worker.name}: {fault}" for fault in worker_faults(world, worker)]
    return found + index_faults(world)


def task_faults(world: World, task: Task) -> list[str]:
    """What is wrong with one task."""
    found = _attempt_faults(task)
    open_attempt = bool(task.attempts) and task.attempts[-1].outcome is None
    if (task.state in PLACED) != open_attempt:
        found.append("an attempt is open iff the state says so")
    if (task.state in PLACED) != (task.worker is not None):
        found.append("it has a worker iff an attempt is open")
    if task.worker is not None and task.worker.attempts.get(task.id) is not task:
        found.append(f"worker {task.worker.name} does not know of it")
    if (task.state in TERMINAL) != (task.outcome is not None) or bool(task.finished_ns) != bool(task.outcome):
        found.append("it has an outcome iff it is finished")
    if task.state is TaskState.PENDING and task.in_lane is None:
        found.append("it waits in no lane")
    if task.state is TaskState.PENDING and task.in_lane and task.in_lane.shape is not task.shape:
        found.append("it waits in a lane of another shape")
    if task.state is TaskState.BACKOFF and not task.next_attempt_ns:
        found.append("its backoff never ends")
    return found


def _attempt_faults(task: Task) -> list[str]:
    numbers = [attempt.number for attempt in task.attempts]
    found = []
    if numbers != sorted(set(numbers)) or (numbers[-1] if numbers else 0) != task.attempt:
        found.append(f"I9: attempts {numbers}, newest {task.attempt}")
    if any(attempt.outcome is None for attempt in task.attempts[:-1]):
        found.append("an attempt is open that is not the newest")
    successes = [a.number for a in task.attempts if a.outcome is AttemptOutcome.SUCCEEDED]
    if successes and (successes != [task.attempt] or task.state is not TaskState.SUCCEEDED):
        found.append(f"I1: attempts {successes} succeeded")
    if task.losses < 0 or task.failures < 0:
        found.append("a count is negative")
    return found


def worker_faults(world: World, worker: Worker) -> list[str]:
    """What is wrong with one worker."""
    found = []
    for task in worker.attempts.values():
        if task.worker is not worker:
            found.append(f"it thinks that it has {task.id}")
    if not worker.suspects.keys() <= {task.id for task in worker.attempts.values() if task.suspect}:
        found.append(f"it takes {sorted(worker.suspects)} for its suspects")
    if len(worker.attempts) > world.config.max_attempts_per_worker:
        found.append(f"it has {len(worker.attempts)} attempts")
    if worker.ready:
        grants = [task.attempts[-1].grant for task in worker.attempts.values()]
        found += [f"I8: {fault}" for fault in worker.pool.faults([*grants, *worker.leftovers.values()])]
    return found


def index_faults(world: World) -> list[str]:
    """What is wrong with the indexes."""
    found = []
    counted = [0] * len(world.counts)
    for task in world.tasks.values():
        counted[task.state] += 1
    if counted != world.counts:
        found.append(f"counts are {world.counts}, should be {counted}")
    sequences = [task.sequence for task in world.order]
    if sequences != sorted(set(sequences)):
        found.append("sequences do not grow")
    for shape in world.queue.parked:
        if any(has_room(world, shape, worker) for worker in suited(world, shape)):
            found.append(f"a shape of kind {shape.kind} is parked though a worker has room for it")
    dirty = [item for item in world.dirty if isinstance(item, (Task, Worker))]
    if len({id(item) for item in dirty}) != len(dirty) or not all(item.dirty for item in dirty):
        found.append("marks for writing disagree")
    return found


class History:
    """What was committed and acknowledged so far."""

    def __init__(self) -> None:
        self.states: dict[str, TaskState] = {}
        self.attempts: dict[str, int] = {}
        self.acknowledged: set[str] = set()
        self.cancelled: dict[str, int] = {}
        """Task → its newest attempt when the cancel was acknowledged."""
        self.superseded: dict[tuple[str, int], AttemptOutcome | None] = {}
        """Outcomes of attempts that another one has followed: evidence that comes later leaves them alone."""

    def commit(self, tasks: Iterable[Task]) -> list[str]:
        """These records were committed: what is wrong with that?"""
        found = []
        for task in tasks:
            before = self.states.get(task.id)
            if before in TERMINAL and task.state is not before:
                found.append(f"I3: task {task.id} went from {before} to {task.state.name}")
            if task.attempt < self.attempts.get(task.id, 0):
                found.append(f"I9: task {task.id} went back to attempt {task.attempt}")
            if task.attempt > self.cancelled.get(task.id, task.attempt):
                found.append(f"I7: cancelled task {task.id} has attempt {task.attempt}")
            self.states[task.id] = task.state
            self.attempts[task.id] = task.attempt
            for attempt in task.attempts[:-1]:
                was = self.superseded.setdefault((task.id, attempt.number), attempt.outcome)
                if was is not attempt.outcome:
                    found.append(f"task {task.id}: superseded attempt {attempt.number} was {was}")
        return found

    def acknowledge_submit(self, task: Task) -> None:
        """The submitter was told that `task` exists."""
        self.acknowledged.add(task.id)

    def acknowledge_cancel(self, task: Task) -> None:
        """Somebody was told that `task` is cancelled."""
        self.cancelled.setdefault(task.id, task.attempt)

    def missing(self) -> list[str]:
        """I2: what was acknowledged and never committed."""
        return [f"I2: task {task_id} was acknowledged" for task_id in self.acknowledged - self.states.keys()]

    def unfinished(self) -> list[str]:
        """I2, once everything has come to rest: acknowledged tasks that neither ended nor are held."""
        rest = TERMINAL | {TaskState.QUARANTINED}
        return [
            f"I2: task {t} is {self.states[t].name}" for t in self.acknowledged if self.states[t] not in rest
        ]
