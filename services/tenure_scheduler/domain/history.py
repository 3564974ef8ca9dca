"""What happened to a task, and did two of its attempts ever run at the same time?

From the record alone, so that any leader says the same. Starts and ends are by the clocks of the nodes, the
rest by the scheduler's: where they differ, so do the windows.
"""

from __future__ import annotations

from typing import NamedTuple

from tenure_core.states import REOPENABLE, AttemptOutcome, LossEvidence, OnDisconnect
from tenure_core.timing import UtcNs
from tenure_scheduler.domain.model import Attempt, Task
from tenure_scheduler.domain.notes import EventKind, LateEnd, Note

O = AttemptOutcome  # noqa: E741
NOTHING_RAN = frozenset({LossEvidence.HOST_REBOOTED, LossEvidence.PROCESS_VANISHED})
"""What the worker itself has shown: nothing of the attempt ran any more when it was given up."""


class Overlap(NamedTuple):
    """Two attempts ran at the same time, or may have."""

    earlier: int
    later: int
    begins_ns: UtcNs
    ends_ns: UtcNs
    """0: both may still run."""
    certain: bool
    text: str


def timeline(task: Task) -> list[Note]:
    """What happened, oldest first; what happened at the same time, in the order in which it must have."""
    submitted = "a retry of " + task.retry_of if task.retry_of else ""
    found = [Note(task.created_ns, EventKind.SUBMITTED, 0, submitted), *task.notes]
    for attempt in task.attempts:
        found += _of_attempt(attempt)
    if task.finished_ns:
        found.append(Note(task.finished_ns, EventKind.FINISHED, 0, task.reason))
    return sorted(found, key=lambda note: note.at_ns)


def _of_attempt(attempt: Attempt) -> list[Note]:
    number = attempt.number
    where = f"worker {attempt.worker}, session {attempt.session}"
    found = [Note(attempt.assigned_ns, EventKind.ASSIGNED, number, where)]
    late = attempt.late
    started_ns = attempt.started_ns or (late.started_ns if late is not None else 0)
    if started_ns:
        found.append(Note(started_ns, EventKind.STARTED, number, _process(attempt)))
    if attempt.outcome is not None:
        own = attempt.outcome not in REOPENABLE
        kind = EventKind.ENDED if own else EventKind.GIVEN_UP
        found.append(Note(attempt.ended_ns, kind, number, _end(attempt)))
    if late is not None:
        found.append(Note(late.ended_ns, EventKind.LATE_END, number, _late_end(late)))
    return found


def _process(attempt: Attempt) -> str:
    if not attempt.pid:
        return ""
    boot = f" in boot {attempt.boot_id}" if attempt.boot_id else ""
    return f"process {attempt.pid}, started at tick {attempt.ticks}{boot}"


def _end(attempt: Attempt) -> str:
    assert attempt.outcome is not None
    said = [_how(attempt.outcome, attempt.exit_code, attempt.signal)]
    if attempt.evidence is not None:
        said[0] += f" ({attempt.evidence.name})"
    if attempt.reason and attempt.reason not in said[0]:
        said.append(attempt.reason)
    ruling = attempt.ruling
    if ruling is not None:
        said += [f"epoch {ruling.epoch} saw: {ruling.saw}"] if ruling.saw else []
        said.append(f"not counted: {ruling.excuse}" if not attempt.counted else "counted as a loss")
    elif attempt.counted:
        said.append("counted")
    return "; ".join(said)


def _late_end(late: LateEnd) -> str:
    said = f"its worker said later that it ended {_how(late.outcome, late.exit_code, late.signal)}"
    said += ", by then at the latest" if late.unseen else ""
    return f"{said}; {late.reason}" if late.reason and late.reason not in said else said


def _how(outcome: AttemptOutcome, exit_code: int | None, signal: int | None) -> str:
    if signal is not None:
        return f"{outcome.name} by signal {signal}"
    return f"{outcome.name} with exit code {exit_code}" if exit_code is not None else outcome.name


def overlaps(task: Task) -> list[Overlap]:
    """When two attempts ran at the same time, or may have; the earliest first.

    Another attempt is assigned only after the end of the one before it was accepted, or after that one was
    given up. So only one that was given up can have run on, whatever the clocks say.
    """
    found = []
    for index, one in enumerate(task.attempts):
        end_ns = _late_end_of(task, one)
        if end_ns is not None:
            others = task.attempts[index + 1 :]
            found += [overlap for other in others if (overlap := _overlap(one, end_ns, other))]
    return sorted(found, key=lambda overlap: overlap.begins_ns)


def _late_end_of(task: Task, attempt: Attempt) -> UtcNs | None:
    """When an attempt ended that had been given up; 0: nobody knows; None: before it was given up."""
    if attempt.late is not None:
        return attempt.late.ended_ns
    if attempt.outcome is not O.LOST or attempt.evidence in NOTHING_RAN:
        return None
    reported = attempt.ruling is not None and attempt.ruling.reported
    exclusive = task.profile.on_disconnect is OnDisconnect.STOP
    # A `stop` task is given up when its warden has killed it, unless a person says that the worker is dead.
    known = reported or (exclusive and attempt.evidence is not LossEvidence.DECLARED_DEAD)
    return None if known else 0


def _overlap(one: Attempt, end_ns: UtcNs, other: Attempt) -> Overlap | None:
    began_ns = _start(other)
    if not began_ns:
        return None
    begins = max(began_ns, other.assigned_ns, _start(one))
    until = min((ns for ns in (end_ns, _end_ns(other)) if ns), default=0)
    if until and until <= begins:
        return None
    pair = f"attempt {one.number} on {one.worker} ran on beside attempt {other.number} on {other.worker}"
    certain = bool(end_ns and _start(one)) and one.late is not None and not one.late.unseen
    text = pair if certain else pair.replace(" ran on ", " may have run on ", 1)
    return Overlap(one.number, other.number, begins, until, certain, text)


def _start(attempt: Attempt) -> UtcNs:
    """When its process started; 0: it never did, as far as is known."""
    late = attempt.late
    return attempt.started_ns or (late.started_ns if late is not None else 0)


def _end_ns(attempt: Attempt) -> UtcNs:
    """When it ended; 0: it runs, or nobody knows."""
    if attempt.late is not None:
        return attempt.late.ended_ns
    return 0 if attempt.outcome is O.LOST else attempt.ended_ns
