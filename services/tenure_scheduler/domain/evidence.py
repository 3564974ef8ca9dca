"""On what does a loss rest, in a sentence that a person can check later?"""

from __future__ import annotations

from tenure_core.states import REOPENABLE, LossEvidence
from tenure_core.timing import SECOND_NS
from tenure_scheduler.domain.events import AttemptReport, Hello, ReportKind
from tenure_scheduler.domain.model import Attempt, Task, Worker
from tenure_scheduler.domain.notes import TEXT, EventKind, LateEnd, Note, appended, clock
from tenure_scheduler.domain.world import World

UNSEEN = frozenset({LossEvidence.WARDEN_DIED, LossEvidence.HOST_REBOOTED})
"""The next warden says so, once it has killed whatever was left."""


def live_missed(worker: Worker, revision: int) -> str:
    """A read, or a commit, at `revision` of the store found `live` gone."""
    at = f" at revision {revision}" if revision else ""
    return f"its key `live`, created at revision {worker.live_revision}, was not there{at}"


def live_deleted(world: World, worker: Worker, revision: int) -> str:
    """`live` was deleted by our own commit, after the connection was reset."""
    away = max(world.now.boot - worker.disconnected_at, 0.0)
    since = clock(world.now.utc_ns - int(away * SECOND_NS))
    at = f" at revision {revision}" if revision else ""
    return (
        f"its connection was gone since {since} ({worker.closed_cause or 'unknown'}), no Hello came for"
        f" {away:.1f} s, and its key `live`, created at revision {worker.live_revision}, was deleted{at}"
    )


def not_in_hello(hello: Hello, evidence: LossEvidence, attempt: Attempt) -> str:
    """A Hello came without the attempt, or from somebody who cannot have it."""
    said = f"Hello {hello.connect} came"
    match evidence:
        case LossEvidence.HOST_REBOOTED:
            before = f", the attempt began in {attempt.boot_id}" if attempt.boot_id else ""
            return f"{said} from boot {hello.boot_id}{before}"
        case LossEvidence.WORKER_REPLACED:
            return f"{said} from another instance, {hello.instance}"
        case _:
            return f"{said} from the same instance and boot, and named neither the attempt nor its end"


def take_note(world: World, task: Task, kind: EventKind, text: str, attempt: int = 0) -> None:
    """Keep for people that something happened; whoever changes the task as well marks it for writing."""
    task.notes = appended(task.notes, Note(world.now.utc_ns, kind, attempt, text[:TEXT]))


def note_late_end(world: World, worker: Worker, report: AttemptReport) -> None:
    """A worker says how an attempt ended that had been given up: keep it, and change nothing else."""
    end = report.end if report.kind is ReportKind.STOPPED else report
    task = world.tasks.get(report.fence.task)
    if task is None or end is None or end.kind is not ReportKind.RESULT or not end.ended_ns:
        return
    for attempt in task.attempts:
        if attempt.worker == worker.name and world.fence(task, attempt) == report.fence:
            _keep_late_end(world, task, attempt, end)


def _keep_late_end(world: World, task: Task, attempt: Attempt, end: AttemptReport) -> None:
    told_before = attempt.ruling is not None and attempt.ruling.reported and end.outcome is attempt.outcome
    if attempt.late is None and attempt.outcome in REOPENABLE and not told_before:
        attempt.late = LateEnd(
            end.outcome,
            end.exit_code,
            end.signal,
            end.reason[:TEXT],
            end.started_ns,
            end.ended_ns,
            world.now.utc_ns,
            end.evidence in UNSEEN,
        )
        world.touch(task)
