"""Which states can a task and an attempt be in, and what may follow what?

The tables below are literal: nothing else decides what is allowed, a test walks their full cross product,
and the diagrams in the documentation are printed from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class TaskState(IntEnum):
    """Where a task is in its life."""

    PENDING = 1
    """Waits for a worker that fits."""
    BACKOFF = 2
    """Waits for a moment: `not_before`, or the delay before a retry."""
    ASSIGNED = 3
    """An attempt is committed to a worker; it may already run."""
    RUNNING = 4
    """The worker reported that the attempt started."""
    CANCELLING = 5
    """A cancel is committed; the attempt's end decides the final state."""
    QUARANTINED = 6
    """Held for a person: it was lost too often with its workers."""
    SUCCEEDED = 7
    FAILED = 8
    CANCELLED = 9


class AttemptOutcome(IntEnum):
    """How an attempt ended."""

    SUCCEEDED = 1
    FAILED = 2
    """It ended by itself with a non-zero exit code or a signal."""
    TIMED_OUT = 3
    REJECTED = 4
    """The worker found the task malformed; never retried."""
    CANCELLED = 5
    LOST = 6
    """Nobody can say how it ended; the evidence says why."""
    NOT_STARTED = 7
    """It provably never ran; never counted."""
    PREEMPTED = 8
    WORKER_SHUTDOWN = 9
    DRAINED = 10
    INTERNAL_ERROR = 11
    """Tenure itself failed; counted like a loss."""


class LossEvidence(IntEnum):
    """How it is known that an attempt is lost."""

    LEASE_EXPIRED = 1
    AGENT_UNREACHABLE = 2
    """Its connection was reset and it did not come back in time."""
    HOST_REBOOTED = 3
    PROCESS_VANISHED = 4
    """The worker came back without the attempt and without its exit."""
    WARDEN_DIED = 5
    WORKER_REPLACED = 6
    DECLARED_DEAD = 7
    OOM_KILLED = 8
    STORE_RESTORED = 9
    """It belongs to an earlier incarnation of the cluster: nobody waits for it."""


class LogState(IntEnum):
    """Whether all output of an attempt is at the relay; changes once, away from OPEN."""

    OPEN = 1
    COMPLETE = 2
    INCOMPLETE = 3
    UNKNOWN = 4


class AttemptStage(IntEnum):
    """How far an open attempt is."""

    ASSIGNED = 1
    STARTED = 2
    ENDED = 3


class WorkerVerdict(IntEnum):
    """What the scheduler thinks of a worker."""

    ACTIVE = 1
    DRAINING = 2
    LOST = 3
    RETIRED = 4


class WorkerPhase(IntEnum):
    """What an agent says of itself."""

    BOOTING = 1
    READY = 2
    STOPPING = 3
    """Its node is being shut down: it starts nothing any more."""


class OnDisconnect(IntEnum):
    """What becomes of a task whose worker cannot reach the scheduler."""

    CONTINUE = 1
    STOP = 2
    """Exclusive: killed before the lease may be given away, executions never overlap."""


S = TaskState
TASK_TRANSITIONS: Final[Mapping[TaskState, frozenset[TaskState]]] = {
    S.PENDING: frozenset(
        {S.BACKOFF, S.ASSIGNED, S.RUNNING, S.QUARANTINED, S.SUCCEEDED, S.FAILED, S.CANCELLED}
    ),
    S.BACKOFF: frozenset(
        {S.PENDING, S.ASSIGNED, S.RUNNING, S.QUARANTINED, S.SUCCEEDED, S.FAILED, S.CANCELLED}
    ),
    S.ASSIGNED: frozenset(
        {S.PENDING, S.BACKOFF, S.RUNNING, S.CANCELLING, S.QUARANTINED, S.SUCCEEDED, S.FAILED}
    ),
    S.RUNNING: frozenset({S.PENDING, S.BACKOFF, S.CANCELLING, S.QUARANTINED, S.SUCCEEDED, S.FAILED}),
    S.CANCELLING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED}),
    S.QUARANTINED: frozenset(
        {S.PENDING, S.BACKOFF, S.ASSIGNED, S.RUNNING, S.SUCCEEDED, S.FAILED, S.CANCELLED}
    ),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
}
"""What may follow what. PENDING, BACKOFF and QUARANTINED reach RUNNING or an end without ASSIGNED when a
worker that was declared lost returns with the attempt or its result before a newer one was committed."""

P = AttemptStage
ATTEMPT_TRANSITIONS: Final[Mapping[AttemptStage, frozenset[AttemptStage]]] = {
    P.ASSIGNED: frozenset({P.STARTED, P.ENDED}),
    P.STARTED: frozenset({P.ENDED}),
    P.ENDED: frozenset({P.ASSIGNED, P.STARTED}),
}
"""ENDED is left only when a loss is taken back because the worker still holds the attempt (`REOPENABLE`)."""

TERMINAL: Final = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED})
WAITING: Final = frozenset({S.PENDING, S.BACKOFF, S.QUARANTINED})
"""No attempt is open, and the task is not finished."""
PLACED: Final = frozenset({S.ASSIGNED, S.RUNNING, S.CANCELLING})
"""An attempt is open on a worker."""

O = AttemptOutcome  # noqa: E741
REOPENABLE: Final = frozenset({O.LOST, O.NOT_STARTED, O.DRAINED, O.WORKER_SHUTDOWN, O.PREEMPTED})
"""Outcomes that the scheduler concluded without a result: the attempt's own result still replaces them."""
COUNTED_AS_FAILURE: Final = frozenset({O.FAILED, O.TIMED_OUT})
COUNTED_AS_LOSS: Final = frozenset({O.LOST, O.INTERNAL_ERROR, O.CANCELLED})
"""CANCELLED stands here for an attempt that its worker cancelled although nobody asked the scheduler to."""
REQUEUED_UNCOUNTED: Final = frozenset({O.NOT_STARTED, O.PREEMPTED, O.WORKER_SHUTDOWN, O.DRAINED})


class ForbiddenTransition(AssertionError):
    """A state change that the transition table does not allow: a bug in the scheduler, never bad input."""

    def __init__(self, before: TaskState, after: TaskState) -> None:
        super().__init__(f"a task cannot go from {before.name} to {after.name}")


def check_transition(before: TaskState, after: TaskState) -> None:
    """Refuse a state change that the table does not name.

    Raises:
        ForbiddenTransition: always a bug.
    """
    if after not in TASK_TRANSITIONS[before]:
        raise ForbiddenTransition(before, after)


def mermaid() -> str:
    """The task states as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> PENDING", "    [*] --> BACKOFF: not_before"]
    for before, afters in TASK_TRANSITIONS.items():
        lines += [f"    {before.name} --> {after.name}" for after in sorted(afters)]
        if not afters:
            lines.append(f"    {before.name} --> [*]")
    return "\n".join(lines) + "\n"


def table() -> str:
    """The task states as a plain-text table: rows are the state before, columns the state after."""
    width = max(len(state.name) for state in TaskState)
    head = " " * width + "  " + "  ".join(state.name for state in TaskState)
    rows = [head]
    for before in TaskState:
        cells = (
            ("x" if after in TASK_TRANSITIONS[before] else ".").center(len(after.name)) for after in TaskState
        )
        rows.append(f"{before.name:<{width}}  " + "  ".join(cells))
    return "\n".join(row.rstrip() for row in rows) + "\n"
