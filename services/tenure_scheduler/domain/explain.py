"""Why does a task stand where it stands, and what would change that?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from tenure_core.states import TaskState
from tenure_core.timing import SECOND_NS
from tenure_scheduler.domain.model import Attempt, Task
from tenure_scheduler.domain.notes import clock
from tenure_scheduler.domain.placement import (
    has_room,
    room_reasons,
    session_reasons,
    static_reasons,
)
from tenure_scheduler.domain.profiles import Shape
from tenure_scheduler.domain.world import World

WORKERS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class WorkerReason:
    """Why one worker does or does not take the task."""

    worker: str
    fits: bool
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Explanation:
    """What `explain` found out."""

    summary: str
    ahead: int = 0
    """Tasks that go first; only for a pending task."""
    workers: list[WorkerReason] = field(default_factory=list)
    """Those that are furthest from fitting first."""
    counts: dict[str, int] = field(default_factory=dict)
    """Kind of reason → workers that it keeps from taking the task."""
    suggestions: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


def explain(world: World, task: Task) -> Explanation:
    """Everything that is known about why `task` is where it is."""
    found = Explanation(_summary(world, task), story=story(world, task))
    if task.state is TaskState.PENDING:
        found.ahead = world.queue.ahead_of(task)
        _judge_workers(world, task.shape, found)
        found.suggestions = _suggestions(world, task, found)
        found.summary = _pending_summary(world, found)
    elif task.state is TaskState.QUARANTINED:
        again = f"`tenure release {task.id}` (ReleaseTasks) lets it run again"
        found.suggestions = [again, f"`tenure cancel {task.id}` (CancelTasks) ends it"]
    return found


def _summary(world: World, task: Task) -> str:
    match task.state:
        case TaskState.PENDING:
            return "it waits for a worker"
        case TaskState.BACKOFF:
            left = max(task.next_attempt_ns - world.now.utc_ns, 0) / SECOND_NS
            return f"it waits {left:.1f} s more: {task.reason}"
        case TaskState.ASSIGNED | TaskState.RUNNING:
            return f"attempt {task.attempt} is {task.state.name} on worker {task.attempts[-1].worker}"
        case TaskState.CANCELLING:
            return f"it is being cancelled on worker {task.attempts[-1].worker}: {task.cancel_reason}"
        case TaskState.QUARANTINED:
            return f"it is held for a person: {task.reason}"
        case TaskState.SUCCEEDED:
            return f"attempt {task.attempt} ended well on worker {task.attempts[-1].worker}"
        case TaskState.FAILED | TaskState.CANCELLED:
            when = {0: "before its first attempt", 1: "after 1 attempt"}.get(
                task.attempt, f"after {task.attempt} attempts"
            )
            return f"it has ended {when}" + (f": {task.reason}" if task.reason else "")
    assert_never(task.state)


def _judge_workers(world: World, shape: Shape, found: Explanation) -> None:
    judged = []
    for worker in world.workers.values():
        never = static_reasons(shape, worker)
        session = session_reasons(worker)
        room = [] if never or session else room_reasons(world, shape, worker)
        weight = 4 * bool(never) + 2 * bool(session) + bool(room)
        judged.append((-weight, worker.name, (*never, *session, *room)))
        for reason in {reason.partition(":")[0] for reason in (*never, *session, *room)}:
            found.counts[reason] = found.counts.get(reason, 0) + 1
    judged.sort()
    found.workers = [WorkerReason(name, not why, why) for _, name, why in judged[:WORKERS_SHOWN]]


def _pending_summary(world: World, found: Explanation) -> str:
    if world.alarm:
        return f"nothing is assigned: {world.alarm}"
    if not world.workers:
        return "no worker has ever registered"
    if any(worker.fits for worker in found.workers):
        return f"a worker has room; {found.ahead} tasks go first"
    worst = sorted(found.counts.items(), key=lambda item: (-item[1], item[0]))
    why = ", ".join(f"{count} × {reason}" for reason, count in worst)
    return f"none of {len(world.workers)} workers takes it: {why}"


def _suggestions(world: World, task: Task, found: Explanation) -> list[str]:
    shape = task.shape
    if not world.workers:
        return ["start a worker agent that can reach this scheduler"]
    suitable = [w for w in world.workers.values() if not static_reasons(shape, w)]
    if not suitable:
        needs = [f"task type {shape.kind!r}", *(str(constraint) for constraint in shape.constraints)]
        lacks = {reason for judged in found.workers for reason in judged.reasons if "too small" in reason}
        return [f"start a worker with {', '.join(needs)}", *sorted(lacks)[:5]]
    idle = [w for w in suitable if not w.schedulable]
    advice = [f"bring back worker {w.name}: {'; '.join(session_reasons(w))}" for w in idle[:5]]
    if any(w.schedulable and not has_room(world, shape, w) for w in suitable):
        advice.append("wait until running tasks end, or add workers")
    return advice


def story(world: World, task: Task) -> list[str]:
    """What happened to the task so far, one line each, oldest first."""
    lines = [
        f"{clock(task.created_ns)} submitted" + (f" as a retry of {task.retry_of}" * bool(task.retry_of))
    ]
    if task.dropped_attempts:
        lines.append(f"({task.dropped_attempts} earlier attempts are no longer recorded)")
    for attempt in task.attempts:
        lines += _attempt_story(attempt)
    if task.cancel_reason:
        lines.append(f"cancelled: {task.cancel_reason}")
    if task.finished_ns:
        lines.append(
            f"{clock(task.finished_ns)} {task.state.name}" + (f": {task.reason}" * bool(task.reason))
        )
    elif task.reason:
        lines.append(f"{clock(task.updated_ns)} {task.state.name}: {task.reason}")
    return lines


def _attempt_story(attempt: Attempt) -> list[str]:
    who = f"attempt {attempt.number}"
    lines = [f"{clock(attempt.assigned_ns)} {who} assigned to {attempt.worker} (session {attempt.session})"]
    if attempt.started_ns:
        lines.append(f"{clock(attempt.started_ns)} {who} started")
    if attempt.outcome is not None:
        how = attempt.outcome.name
        if attempt.signal is not None:
            how += f" by signal {attempt.signal}"
        elif attempt.exit_code is not None:
            how += f" with exit code {attempt.exit_code}"
        if attempt.evidence is not None:
            how += f" ({attempt.evidence.name})"
        why = f": {attempt.reason}" if attempt.reason else ""
        lines.append(f"{clock(attempt.ended_ns)} {who} {how}{why}" + ", counted" * attempt.counted)
    return lines
