"""What does the scheduler know about a task, an attempt and a worker?

These objects are the state: the leader is the only writer, so it mutates them in place, and the shell
encodes their present values when it seals a batch. Everything below the line "volatile" in a constructor is
rebuilt after a change of leadership; the rest is what the records in etcd hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_core.fence import Fence
from tenure_core.resources import Capacity, Grant, Pool
from tenure_core.states import (
    AttemptOutcome,
    AttemptStage,
    LogState,
    LossEvidence,
    TaskState,
    WorkerPhase,
    WorkerVerdict,
)
from tenure_core.timing import NEVER, Instant, UtcNs
from tenure_scheduler.domain.notes import LateEnd, Note, Ruling
from tenure_scheduler.domain.profiles import Profile, Shape

if TYPE_CHECKING:
    from tenure_scheduler.domain.events import Hello
    from tenure_scheduler.domain.queue import Lane

NO_STREAM: Final = 0
"""Streams are numbered from 1 by the shell."""
SUSPECTED_FROM: Final = 2
"""Counted losses that make a task a suspect. If one did, all tasks of a node that died would wait for one
another; with two only those do that were unlucky twice."""


class LogFinals(NamedTuple):
    """Where the output of an attempt ends: frames over all channels, bytes per channel."""

    frames: int = 0
    stdout: int = 0
    stderr: int = 0
    records: int = 0


class Attempt:
    """One grant of a task to one worker."""

    __slots__ = (
        "assigned_ns",
        "boot_id",
        "counted",
        "ended_ns",
        "evidence",
        "exit_code",
        "grant",
        "late",
        "log",
        "n",
        "number",
        "outcome",
        "pid",
        "reason",
        "relay",
        "ruling",
        "session",
        "signal",
        "start_number",
        "started_ns",
        "stop_number",
        "stopping",
        "ticks",
        "worker",
    )

    def __init__(self, number: int, worker: str, session: int, grant: Grant, assigned_ns: UtcNs) -> None:
        self.number = number
        self.worker = worker
        self.session = session
        self.grant = grant
        self.assigned_ns = assigned_ns
        self.outcome: AttemptOutcome | None = None
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.reason = ""
        self.evidence: LossEvidence | None = None
        self.counted = False
        """It used up one failure or one loss of the task's budgets."""
        self.started_ns: UtcNs = 0
        self.ended_ns: UtcNs = 0
        self.pid = 0
        self.ticks = 0
        """Start time of the process in clock ticks since boot."""
        self.boot_id = ""
        """Of the node when the attempt was begun there."""
        self.relay = ""
        self.log: LogFinals | None = None
        self.ruling: Ruling | None = None
        """For a loss: who decided, and on what."""
        self.late: LateEnd | None = None
        """What its worker said of its end after it was given up."""
        self.n = 0
        """The earlier incarnation that it belongs to; 0: the present one."""
        # volatile
        self.start_number = 0
        """Number of the command that carried its Start; 0: it came with a Hello."""
        self.stopping: AttemptOutcome | None = None
        """The outcome that a Stop asked for."""
        self.stop_number = 0
        """Number of the command that carried the last Stop; 0: none on this stream."""

    @property
    def stage(self) -> AttemptStage:
        if self.outcome is not None:
            return AttemptStage.ENDED
        return AttemptStage.STARTED if self.started_ns else AttemptStage.ASSIGNED


class Task:
    """One task: what was submitted, where it stands, and its newest attempts."""

    __slots__ = (
        "attempt",
        "attempts",
        "avoid_until_ns",
        "birth",
        "cancel_reason",
        "created_ns",
        "dirty",
        "dropped_attempts",
        "failures",
        "finished_ns",
        "id",
        "in_lane",
        "labels",
        "log_missing",
        "log_state",
        "losses",
        "measured",
        "measured_loss",
        "name",
        "next_attempt_ns",
        "notes",
        "outcome",
        "own",
        "profile",
        "reason",
        "request_id",
        "retry_of",
        "revision",
        "sequence",
        "spec",
        "state",
        "traceparent",
        "updated_ns",
        "worker",
    )

    def __init__(
        self,
        task_id: str,
        sequence: int,
        profile: Profile,
        spec: bytes,
        created_ns: UtcNs,
        name: str = "",
        labels: tuple[tuple[str, str], ...] = (),
        request_id: str = "",
        retry_of: str = "",
        traceparent: str = "",
    ) -> None:
        self.id = task_id
        self.sequence = sequence
        self.profile = profile
        self.spec = spec
        self.created_ns = created_ns
        self.name = name
        self.labels = labels
        self.request_id = request_id
        self.retry_of = retry_of
        self.traceparent = traceparent
        self.state = TaskState.PENDING
        self.reason = ""
        self.attempt = 0
        """Number of the newest attempt; 0: none yet."""
        self.attempts: tuple[Attempt, ...] = ()
        """The newest attempts, oldest first."""
        self.dropped_attempts = 0
        self.failures = 0
        self.losses = 0
        self.updated_ns = created_ns
        self.next_attempt_ns: UtcNs = 0
        """When BACKOFF ends."""
        self.finished_ns: UtcNs = 0
        self.cancel_reason = ""
        self.outcome: AttemptOutcome | None = None
        """Outcome of the attempt that decided, once the task is finished."""
        self.avoid_until_ns: UtcNs = 0
        self.log_state = LogState.OPEN
        self.log_missing = 0
        self.notes: tuple[Note, ...] = ()
        self.revision = 0
        """Revision of etcd at which the record last changed, as far as the shell has told."""
        # volatile
        self.birth: bytes | None = None
        """The shell's: the part of the record that never changes, encoded once."""
        self.worker: Worker | None = None
        """Who holds the open attempt."""
        self.own = 0
        """Session in whose name the key `own/<task>` was last written; 0: there is none."""
        self.dirty = False
        self.in_lane: Lane | None = None
        self.measured = False
        """The telemetry's: its end was counted."""
        self.measured_loss = 0
        """The telemetry's: the newest attempt that was counted as lost."""

    @property
    def current(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def suspect(self) -> bool:
        """It may be the reason why its workers are lost. Never changes while an attempt is open."""
        return self.losses >= SUSPECTED_FROM

    @property
    def shape(self) -> Shape:
        """What placement looks at now."""
        shape = self.profile.shape
        return shape.of_suspects() if self.losses >= SUSPECTED_FROM else shape


class JoinStep(NamedTuple):
    """A Hello that waits for etcd: which step is under way, and the Hello itself."""

    step: str
    """`delete` the old `live`, `grant` a lease, `register`, or `wait` until the other instance is gone."""
    stream: int
    direct: bool
    hello: Hello
    ticket: int
    same_instance: bool
    same_boot: bool

    @property
    def same_process(self) -> bool:
        """Whether attempts that it holds may be adopted."""
        return self.same_instance and self.same_boot


class Worker:
    """One worker: what its registration says, and what this leader knows of its session."""

    __slots__ = (
        "attempts",
        "blamed",
        "boot_id",
        "capacity",
        "closed_cause",
        "command_number",
        "connect",
        "cordoned",
        "deleting",
        "direct",
        "dirty",
        "disconnected_at",
        "drain_deadline_ns",
        "gone_at",
        "gone_evidence",
        "gone_saw",
        "greeted",
        "hold_until_ns",
        "instance",
        "joining",
        "labels",
        "lease_id",
        "leftovers",
        "live_revision",
        "name",
        "phase",
        "pool",
        "processed",
        "reason",
        "reduced_guarantees",
        "refused",
        "resumed_at",
        "sent",
        "sent_number",
        "session",
        "spared_until",
        "stream",
        "suspects",
        "task_types",
        "updated_ns",
        "verdict",
        "version",
        "watched_stream",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.session = 0
        self.connect = 0
        self.verdict = WorkerVerdict.ACTIVE
        self.cordoned = False
        self.reason = ""
        """Why it is cordoned, drained or lost: one sentence."""
        self.instance = ""
        self.boot_id = ""
        self.capacity = Capacity()
        self.labels: Mapping[str, str] = {}
        self.task_types: frozenset[str] = frozenset()
        self.version = ""
        self.reduced_guarantees: tuple[str, ...] = ()
        self.updated_ns: UtcNs = 0
        self.hold_until_ns: UtcNs = 0
        self.drain_deadline_ns: UtcNs = 0
        self.lease_id = 0
        # volatile
        self.live_revision = 0
        """Create revision of `live`; 0: it does not exist, as far as this leader knows."""
        self.stream = NO_STREAM
        self.direct = False
        self.disconnected_at: Instant = NEVER
        self.closed_cause = ""
        self.gone_at: Instant = NEVER
        """When it was proved that `live` is gone, while the consequences are still waited for."""
        self.gone_evidence = LossEvidence.LEASE_EXPIRED
        self.gone_saw = ""
        """What that proof was: one sentence."""
        self.spared_until: Instant = NEVER
        """Until when a worker that was just heard may say Hello (again), though its lease ended."""
        self.attempts: dict[str, Task] = {}
        """Open attempts by task."""
        self.suspects: dict[str, Task] = {}
        """Those of suspects that have not run here for long enough to be trusted."""
        self.blamed = 0
        """The last session that was lost while a suspect ran in it; 0: none."""
        self.leftovers: dict[Fence, Grant] = {}
        """Attempts that were given away while the worker had them: they occupy it until their exit."""
        self.pool = Pool(self.capacity)
        self.command_number = 0
        self.processed = 0
        """Number of the last command that the agent said it processed on this stream."""
        self.sent_number = 0
        """Number of the last command with Starts that left."""
        self.sent: deque[tuple[int, Instant]] = deque()
        """Commands with Starts that left and are not processed: number, when they left."""
        self.watched_stream = NO_STREAM  # for which a timer looks after unprocessed Starts
        self.deleting = False
        """A guarded deletion of `live` is under way."""
        self.joining: JoinStep | None = None
        self.resumed_at: Instant = NEVER  # when it last said Hello under the lease that it had
        self.refused = NO_STREAM  # the stream whose Hello failed, until the refusal has left
        self.greeted = False
        """It said Hello to this leader: what is missed of it from now on, it missed itself."""
        self.phase = 0
        """A `WorkerPhase` as the agent said it on this stream; 0: it has not said any."""
        self.dirty = False

    def may_have_started(self, attempt: Attempt) -> bool:
        """Whether this open attempt may have run: its Start left, and nobody said that it did not."""
        return bool(attempt.started_ns) or attempt.start_number <= self.sent_number

    @property
    def ready(self) -> bool:
        """Whether the session stands: `live` exists, and a stream carries commands."""
        return self.stream != NO_STREAM and self.live_revision != 0 and self.joining is None

    @property
    def schedulable(self) -> bool:
        """Whether new attempts may be placed here."""
        return (
            self.ready
            and not self.cordoned
            and self.verdict is WorkerVerdict.ACTIVE
            and self.phase != WorkerPhase.STOPPING
        )


class Damaged(NamedTuple):
    """A task whose record says nothing that can be relied on. It is never written."""

    task_id: str
    reason: str
    request_id: str = ""
    """As far as it can still be read."""
    sequence: int = 0


class Relay(NamedTuple):
    """A live log relay."""

    id: str
    address: str
