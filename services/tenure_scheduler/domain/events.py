"""What can happen to the scheduler's core?

Every event is in the past tense and carries all that the core needs: ids, random bits and times are data. A
`ticket` is a number of the shell's own; the answer to a request carries it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from tenure_core.fence import Fence
from tenure_core.levels import LevelDigest
from tenure_core.resources import Capacity
from tenure_core.states import AttemptOutcome, LogState, LossEvidence
from tenure_core.timing import Duration, Instant, UtcNs
from tenure_scheduler.domain.model import LogFinals, Relay
from tenure_scheduler.domain.profiles import Profile

# --- from clients -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SubmitItem:
    """One valid task to store. `task_id` is fresh; it is used only if the request id is new."""

    task_id: str
    profile: Profile
    spec: bytes
    """Canonical serialization of the spec, opaque to the core; equal specs have equal bytes."""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    request_id: str = ""
    not_before_ns: UtcNs = 0
    traceparent: str = ""
    retry_of: str = ""


@dataclass(slots=True)
class TasksSubmitted:
    """A client submitted valid tasks. Answer: `AnswerSubmit`."""

    ticket: int
    items: list[SubmitItem]


@dataclass(slots=True)
class RetryRequested:
    """A client wants a finished task again, as `new_id`. Answer: `AnswerSubmit` or `AnswerError`."""

    ticket: int
    task_id: str
    new_id: str
    request_id: str = ""
    traceparent: str = ""


@dataclass(slots=True)
class CancelRequested:
    """A client wants tasks cancelled; unknown ids are left out of the answer. Answer: `AnswerCancel`."""

    ticket: int
    task_ids: list[str]
    reason: str = ""


@dataclass(slots=True)
class ReleaseRequested:
    """A client lets quarantined tasks go on. Answer: `AnswerRelease`."""

    ticket: int
    task_ids: list[str]


@dataclass(slots=True)
class WaitRequested:
    """A client waits for the end of these tasks. Answer: one or more `TellFinished` that name the ticket."""

    ticket: int
    task_ids: list[str]


@dataclass(slots=True)
class WaitEnded:
    """The client stopped waiting."""

    ticket: int


# --- from operators -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class CordonRequested:
    """Nothing new on these workers (or again, with `cordoned` False). Answer: `AnswerWorkers`."""

    ticket: int
    workers: list[str]
    cordoned: bool = True
    reason: str = ""


@dataclass(slots=True)
class DrainRequested:
    """Nothing new on these workers, and what is left is stopped after `deadline`. Answer: `AnswerWorkers`."""

    ticket: int
    workers: list[str]
    deadline: Duration
    reason: str = ""


@dataclass(slots=True)
class DrainCancelled:
    """The drain ends and the workers serve again. Answer: `AnswerWorkers`."""

    ticket: int
    workers: list[str]


@dataclass(slots=True)
class DeadDeclared:
    """A person vouches that workers are dead: no grace, hold or storm applies. Answer: `AnswerWorkers`."""

    ticket: int
    workers: list[str]
    reason: str = ""


# --- from agents --------------------------------------------------------------------------------------------


class ReportKind(IntEnum):
    """What a report says of an attempt."""

    STARTED = 1
    RESULT = 2
    NOT_STARTED = 3
    """It never ran and never will."""
    STOPPED = 4
    """A Stop was carried out; no result is to come."""
    HELD = 5
    """Only in lists of what is held: it is journaled and about to start."""


@dataclass(slots=True)
class AttemptReport:
    """News of one attempt, or (in a Hello) what the worker holds of it."""

    fence: Fence
    kind: ReportKind
    outcome: AttemptOutcome = AttemptOutcome.SUCCEEDED
    """For RESULT."""
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    evidence: LossEvidence | None = None
    started_ns: UtcNs = 0
    """By the node's clock."""
    ended_ns: UtcNs = 0
    pid: int = 0
    log: LogFinals | None = None
    """For RESULT; None: it wrote nothing."""
    ticks: int = 0
    """Start time of the process in clock ticks since boot."""
    end: AttemptReport | None = None
    """For STOPPED: the result that nobody waits for, as evidence; None: it is not known."""
    stopping: bool = False
    """Only in lists of what is held: the worker is ending it."""


@dataclass(slots=True)
class ReportsReceived:
    """An agent reported. `processed` is the number of the last command it has processed on this stream."""

    worker: str
    stream: int
    processed: int
    reports: list[AttemptReport]
    phase: int = 0
    """What the agent says of itself; 0: unchanged."""


@dataclass(slots=True)
class DigestReported:
    """An agent said in short what it holds, after having processed commands up to `processed`."""

    worker: str
    stream: int
    processed: int
    digest: LevelDigest
    phase: int = 0


@dataclass(slots=True)
class LevelReported:
    """An agent listed everything that it holds, results that nobody acknowledged yet included.

    It speaks for the commands up to `processed`; whatever was started by a later one is not judged.
    """

    worker: str
    stream: int
    processed: int
    held: list[AttemptReport]
    phase: int = 0


@dataclass(slots=True)
class Hello:
    """Who an agent is, and what it holds."""

    worker: str
    instance: str
    boot_id: str
    connect: int
    capacity: Capacity
    task_types: frozenset[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    incarnation: int = 0
    """That the agent last saw; 0: none."""
    epoch: int = 0
    """Newest that the agent has seen."""
    welcomed: int = 0
    """Connect counter of its last Hello that was welcomed in that incarnation; 0: none was."""
    version: str = ""
    reduced_guarantees: tuple[str, ...] = ()
    held: list[AttemptReport] = field(default_factory=list)
    """HELD, STARTED, or RESULT for an attempt that ended and is not acknowledged."""


@dataclass(slots=True)
class HelloReceived:
    """An agent opened session stream number `stream`; `direct`: not forwarded by another replica."""

    stream: int
    direct: bool
    hello: Hello


class StreamEnd(IntEnum):
    """How a session stream ended."""

    RESET = 1
    """The connection broke: the peer's process is gone, or the network."""
    ENDED = 2
    """The agent ended it in order."""
    CLOSED = 3
    """We closed it."""


@dataclass(slots=True)
class StreamClosed:
    """A session stream ended."""

    worker: str
    stream: int
    how: StreamEnd


@dataclass(slots=True)
class HoldAnnounced:
    """A worker announced that it restarts and will be back within `seconds`."""

    worker: str
    stream: int
    seconds: Duration


# --- from etcd ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class LeaseGranted:
    """`GrantLease` was carried out."""

    worker: str
    ticket: int
    lease_id: int


@dataclass(slots=True)
class WorkerRegistered:
    """`RegisterWorker` was committed: `live` exists, created at `live_revision`."""

    worker: str
    ticket: int
    live_revision: int


@dataclass(slots=True)
class JoinFailed:
    """A step of a worker's registration failed (lease gone, `live` not as expected). The stream is closed."""

    worker: str
    ticket: int
    reason: str


@dataclass(slots=True)
class LiveGone:
    """A linearizable read begun at `proved_at` shows no `live` with this create revision.

    From the watch this is only a hint: the shell proves it before it says so.
    """

    worker: str
    live_revision: int
    proved_at: Instant
    revision: int = 0
    """Of the store, at which that was so; 0: not told."""


@dataclass(slots=True)
class LiveSeen:
    """A linearizable read shows that `live` exists, created at `live_revision`."""

    worker: str
    live_revision: int


@dataclass(slots=True)
class LiveDeleted:
    """`DeleteLive` was committed, or found `live` gone already; `proved_at`: before the commit was sent."""

    worker: str
    live_revision: int
    proved_at: Instant
    revision: int = 0
    """Of the store, at which that was so; 0: not told."""


@dataclass(slots=True)
class WorkerLeaseGone:
    """A commit found `live` of this worker gone and left out what it would have put on its lease.

    The shell has thrown away the `SendCommands` to this worker that waited for that commit.
    """

    worker: str
    live_revision: int
    proved_at: Instant
    revision: int = 0
    """Of the store, at which that was so; 0: not told."""


@dataclass(slots=True)
class StallNoticed:
    """This process did not run, or could not read from etcd, for more than a third of the workers' TTL."""

    seconds: Duration
    cause: str


@dataclass(slots=True)
class RelaysChanged:
    """The live log relays are these."""

    relays: tuple[Relay, ...]


@dataclass(slots=True)
class LogStateReported:
    """A relay says that the output of an attempt is at its end: COMPLETE or INCOMPLETE."""

    fence: Fence
    state: LogState
    missing_bytes: int = 0
    relay: str = ""
    """Its id."""


@dataclass(slots=True)
class CommandsSent:
    """The Starts of command `number` went to the stream: the time for their acknowledgement begins."""

    worker: str
    stream: int
    number: int


@dataclass(slots=True)
class StoreFilled:
    """How near the store is to refusing submissions: 0, not at all, to 1."""

    pressure: float


@dataclass(slots=True)
class RollbackSeen:
    """A process saw that the store went back: one sentence that says which, and what to do."""

    sentence: str


@dataclass(slots=True)
class TimePassed:
    """The time that `Core.next_wakeup` named has come. `apply([], now)` does the same."""


Event: TypeAlias = (
    TasksSubmitted
    | RetryRequested
    | CancelRequested
    | ReleaseRequested
    | WaitRequested
    | WaitEnded
    | CordonRequested
    | DrainRequested
    | DrainCancelled
    | DeadDeclared
    | ReportsReceived
    | DigestReported
    | LevelReported
    | HelloReceived
    | StreamClosed
    | HoldAnnounced
    | LeaseGranted
    | WorkerRegistered
    | JoinFailed
    | LiveGone
    | LiveSeen
    | LiveDeleted
    | WorkerLeaseGone
    | StallNoticed
    | RelaysChanged
    | LogStateReported
    | CommandsSent
    | RollbackSeen
    | StoreFilled
    | TimePassed
)
