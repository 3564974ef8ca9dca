"""How does a new leader get its memory?

From the committed records alone. What was only in the old leader's memory (who is connected, timers,
RUNNING of tasks that just started) comes back with the Hellos; what was half done, as a large loss, is
carried on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from tenure_core.resources import Pool
from tenure_core.states import PLACED, AttemptOutcome, LogState, TaskState, WorkerVerdict
from tenure_scheduler.domain import restored, retention
from tenure_scheduler.domain.assign import arm_backoff, arm_queue_timeout, hold
from tenure_scheduler.domain.index import TaskIndex
from tenure_scheduler.domain.losses import arm_exclusive, declare_due, lose_attempts
from tenure_scheduler.domain.model import SUSPECTED_FROM, Damaged, Task, Worker
from tenure_scheduler.domain.queue import Lane
from tenure_scheduler.domain.requests import arm_drain
from tenure_scheduler.domain.results import arm_log_unknown
from tenure_scheduler.domain.suspects import blame_again
from tenure_scheduler.domain.world import World

PENDING: Final = TaskState.PENDING


@dataclass(slots=True)
class Records:
    """Everything that is committed, as of one revision. Index, tasks and workers become the core's own.

    A `Task` or `Worker` from a record has its persisted attributes set and the volatile ones as constructed
    (`COMMITTED_TASK`, `COMMITTED_WORKER` and `COMMITTED_ATTEMPT` name the former).
    """

    index: TaskIndex = field(default_factory=TaskIndex)
    workers: Iterable[Worker] = ()
    lives: Mapping[str, int] = field(default_factory=dict)
    """Worker → create revision of its `live`."""
    owns: Iterable[tuple[str, int, int]] = ()
    """(task, attempt, session) of each key `own/<task>`."""
    floor: int = 0
    """The watch floor."""
    began: int = 0
    """The revision at which the present incarnation began: what is older is of an earlier one."""
    n_at: Callable[[int], int] = lambda revision: 0
    """The n of the earlier incarnation that a revision before `began` belongs to."""
    alarm: str = ""
    """Why nothing may be assigned; empty: all is well."""
    next_sequence: int = 1
    """At least one more than the highest sequence ever used, of removed tasks too."""
    damaged: Iterable[Damaged] = ()


COMMITTED_TASK = (
    *("id", "sequence", "profile", "spec", "created_ns", "name", "labels", "request_id", "retry_of"),
    *("traceparent", "state", "reason", "attempt", "attempts", "dropped_attempts", "failures", "losses"),
    *("updated_ns", "next_attempt_ns", "cancel_reason", "outcome", "avoid_until_ns", "log_state"),
    *("log_missing", "notes", "revision"),
)
COMMITTED_ATTEMPT = (
    *("number", "worker", "session", "grant", "assigned_ns", "outcome", "exit_code", "signal", "reason"),
    *("evidence", "counted", "started_ns", "ended_ns", "pid", "ticks", "boot_id", "relay", "log"),
    *("ruling", "late", "n"),
)
COMMITTED_WORKER = (
    *("name", "session", "connect", "verdict", "cordoned", "reason", "instance", "boot_id", "capacity"),
    *("labels", "task_types", "version", "reduced_guarantees", "updated_ns", "hold_until_ns"),
    *("drain_deadline_ns", "lease_id"),
)


def own_token(attempt: int, session: int) -> int:
    """What `Task.own` remembers of the key `own/<task>`: it is rewritten when either changes."""
    return session << 32 | attempt


def load(world: World, records: Records) -> None:
    """Fill a world that has nothing but the index of the records."""
    world.floor = records.floor
    world.alarm = records.alarm
    for worker in records.workers:
        _load_worker(world, worker, records.lives.get(worker.name, 0))
    earlier = _load_tasks(world, records)
    for damaged in records.damaged:
        world.damaged[damaged.task_id] = damaged
    last = world.order[-1].sequence if world.order else 0
    # The newest tasks of all may be those whose records are damaged.
    last = max([last + len(world.damaged), *(damaged.sequence for damaged in world.damaged.values())])
    world.next_sequence = max(records.next_sequence, last + 1)
    for task_id, attempt, session in records.owns:
        if task_id in world.tasks:
            world.tasks[task_id].own = own_token(attempt, session)
    for worker in world.workers.values():
        worker.pool = Pool(worker.capacity)
        for task in worker.attempts.values():
            worker.pool.take_back(task.attempts[-1].grant)
    restored.give_up_earlier(world, earlier, records.began)
    _load_storm(world)
    _resume_losses(world)
    retention.arm(world)


def _load_worker(world: World, worker: Worker, live_revision: int) -> None:
    world.workers[worker.name] = worker
    worker.live_revision = live_revision
    worker.disconnected_at = world.now.boot
    if worker.verdict is WorkerVerdict.DRAINING and worker.drain_deadline_ns:
        arm_drain(world, worker)


def _load_tasks(world: World, records: Records) -> list[Task]:
    """Put the tasks in their places; returns those that an earlier incarnation may have left open.

    Nobody leads meanwhile, and there may be 100,000, most of them finished or waiting: what holds for those
    takes one look at each.
    """
    world.order = sorted(world.tasks.values(), key=attrgetter("sequence"))
    counts, began = world.counts, records.began
    lanes: dict[int, Lane] = {}  # by id of the profile: there are few of them
    finished, special, earlier = [], [], []
    for task in world.order:
        counts[task.state] += 1
        if task.revision < began:
            _name_incarnation(task, records.n_at(task.revision))
            earlier.append(task)
        if task.outcome is not None:
            finished.append(task)
        elif task.state is not PENDING or task.losses or task.profile.queue_timeout:
            special.append(task)
        else:
            profile = task.profile
            lane = lanes.get(id(profile))
            if lane is None:
                lane = lanes[id(profile)] = world.queue.lane(profile.shape, profile.priority)
            task.in_lane = lane
            lane.fresh.append(task)
    for task in special:
        _load_special(world, task)
        if task.state in PLACED and task.attempts[-1].n and task.revision >= began:
            earlier.append(task)
    _load_finished(world, finished)
    return earlier


def _name_incarnation(task: Task, n: int) -> None:
    """Attempts of an earlier incarnation keep its n in their fences: their logs lie under it."""
    for attempt in task.attempts:
        attempt.n = attempt.n or n


def _load_special(world: World, task: Task) -> None:
    """A task that is not finished, and was lost before or does more than wait."""
    if task.losses > SUSPECTED_FROM:
        blame_again(world, task)
    if task.state is PENDING:
        world.queue.push(task)
    else:
        _load_open(world, task)
    arm_queue_timeout(world, task)


def _load_open(world: World, task: Task) -> None:
    if task.state is TaskState.BACKOFF:
        arm_backoff(world, task)
    elif task.state in PLACED:
        name = task.attempts[-1].worker
        worker = world.workers.get(name)
        if worker is None:
            worker = world.workers[name] = Worker(name)
            worker.verdict = WorkerVerdict.LOST
        hold(world, worker, task)


def _load_finished(world: World, finished: list[Task]) -> None:
    for task in finished:
        if task.losses > SUSPECTED_FROM:
            blame_again(world, task)
        task.finished_ns = task.updated_ns
        if task.log_state is LogState.OPEN and task.attempts:
            attempt = task.attempts[-1]
            world.open_logs[task.id] = attempt.worker
            worker = world.workers.get(attempt.worker)
            gone = worker is None or worker.verdict is WorkerVerdict.LOST
            if gone or attempt.outcome is AttemptOutcome.LOST:
                arm_log_unknown(world, task, attempt)
    finished.sort(key=lambda task: (task.finished_ns, task.sequence))
    world.finished.extend(finished)


def _load_storm(world: World) -> None:
    """Who should be live and is not: after the grace that is a loss, unless it is all of them."""
    serving = (WorkerVerdict.ACTIVE, WorkerVerdict.DRAINING)
    expected = [worker for worker in world.workers.values() if worker.verdict in serving]
    gone = [worker for worker in expected if not worker.live_revision]
    storm = world.storm
    storm.live.append((world.now.boot, len(expected)))
    storm.all_lost = len(gone) == len(expected) >= 2
    for worker in gone:
        worker.gone_at = world.now.boot
        worker.gone_saw = "its key `live` was not there when this leadership began"
        storm.gone[worker.name] = worker
        arm_exclusive(world, worker)
    if gone:
        world.timers.at(storm.start_until, declare_due, world)


def _resume_losses(world: World) -> None:
    """Workers that were declared lost: what was not carried out for all their tasks is carried out now."""
    for worker in list(world.workers.values()):
        if worker.verdict in (WorkerVerdict.LOST, WorkerVerdict.RETIRED) and worker.attempts:
            worker.gone_at = world.now.boot
            worker.gone_saw = "an earlier leadership had declared the worker lost"
            arm_exclusive(world, worker)
            lose_attempts(world, worker, worker.gone_evidence)
