"""What does the core want done?

Every command says when it may leave (`release`). The shell keeps commands in the order in which the core gave
them and lets each go when its condition holds; since the conditions are monotone, one queue is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, TypeAlias

from tenure_core.fence import Fence
from tenure_core.states import AttemptOutcome
from tenure_core.timing import Duration, Instant
from tenure_scheduler.domain.model import Attempt, Relay, Task, Worker


class Release(IntEnum):
    """What must be committed before a command leaves."""

    AT_ONCE = 1
    """It tells nobody anything that a lost batch could make untrue."""
    AFTER_SEEN = 2
    """Everything that was changed up to now (`Core.dirty_marked` after this `apply`) is committed."""
    AFTER_PROOF = 3
    """As AFTER_SEEN, and a commit that began later than now succeeded, be it an empty one: we still lead."""


# --- to agents ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stop:
    """Stop an attempt; `outcome` is what to report if the stop is what ended it."""

    fence: Fence
    outcome: AttemptOutcome
    reason: str


@dataclass(slots=True)
class Fenced:
    """An attempt that no longer counts; `current` is the newest attempt, 0: the task is gone."""

    fence: Fence
    current: int
    reason: str


@dataclass(slots=True)
class SendCommands:
    """One Commands message for a worker. At most one per worker and `apply`."""

    release: ClassVar[Release] = Release.AFTER_PROOF
    worker: str
    stream: int
    session: int
    connect: int
    number: int
    starts: list[tuple[Task, Attempt]] = field(default_factory=list)
    """`Attempt` has what Start needs: number, grant, relay; answer with `CommandsSent` when they left."""
    stops: list[Stop] = field(default_factory=list)
    accepted: list[Fence] = field(default_factory=list)
    fenced: list[Fenced] = field(default_factory=list)
    placements: list[tuple[Fence, Relay]] = field(default_factory=list)
    """Attempts whose output goes to another relay from now on."""
    list_held: bool = False
    """The worker is to list everything that it holds: `LevelReported`."""
    hold: Duration = 0.0
    """A hold of so many seconds is committed; 0: none was announced."""

    @property
    def needs_proof(self) -> bool:
        """Whether a commit begun later is needed; otherwise AFTER_SEEN is enough."""
        return bool(self.stops or self.fenced)

    @property
    def only_accepts(self) -> bool:
        """Whether it tells nothing that the worker has to act on: results that it need not repeat."""
        urgent = self.starts or self.stops or self.fenced or self.placements
        return not (urgent or self.list_held or self.hold)


@dataclass(slots=True)
class WelcomeWorker:
    """The session stands. Always before the first `SendCommands` of the stream."""

    release: ClassVar[Release] = Release.AFTER_PROOF
    worker: str
    stream: int
    session: int
    connect: int
    lease_id: int
    live_revision: int
    adopted: list[Fence]


@dataclass(slots=True)
class RefuseHello:
    """No session for this stream; close it after saying so. `reason` is UPPER_SNAKE, for programs."""

    release: ClassVar[Release] = Release.AFTER_SEEN
    worker: str
    stream: int
    reason: str
    message: str
    retry_after_ms: int = 0


@dataclass(slots=True)
class CloseStream:
    """End a session stream; the agent's next Hello decides."""

    release: ClassVar[Release] = Release.AT_ONCE
    worker: str
    stream: int
    cause: str


# --- to etcd ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class GrantLease:
    """Grant a lease of the workers' TTL. Answer: `LeaseGranted` or `JoinFailed`."""

    release: ClassVar[Release] = Release.AT_ONCE
    worker: str
    ticket: int


@dataclass(slots=True)
class RegisterWorker:
    """Commit, as a batch of its own: put `reg`, put `live` on `lease_id`, comparing that `live` is absent.

    The shell encodes `worker` when it sends: its fields already have the new session's values.
    Answer: `WorkerRegistered` or `JoinFailed`.
    """

    release: ClassVar[Release] = Release.AFTER_SEEN
    worker: Worker
    ticket: int
    lease_id: int


@dataclass(slots=True)
class DeleteLive:
    """Commit, guarded by create_revision(live) = `live_revision`: delete `live`.

    Answer: `LiveDeleted` or `LiveSeen`.
    """

    release: ClassVar[Release] = Release.AFTER_SEEN
    worker: str
    live_revision: int
    cause: str


@dataclass(slots=True)
class ProveLive:
    """Read `live` linearizably, these workers in one read. Answer for each: `LiveGone` or `LiveSeen`."""

    release: ClassVar[Release] = Release.AT_ONCE
    workers: list[tuple[str, int]]
    """(worker, live_revision that the core believes in; 0: none)"""


# --- to clients ---------------------------------------------------------------------------------------------


class SubmitKind(IntEnum):
    """What became of a submitted item."""

    CREATED = 1
    EXISTING = 2
    CONFLICT = 3
    """The request id belongs to `task`, whose spec has other bytes. The shell decodes both: if no path
    differs the answer is EXISTING, otherwise ALREADY_EXISTS naming the paths."""


@dataclass(slots=True)
class AnswerSubmit:
    """The answer to `TasksSubmitted` (one per item) or `RetryRequested` (one)."""

    release: ClassVar[Release] = Release.AFTER_SEEN
    ticket: int
    results: list[tuple[SubmitKind, Task]]


@dataclass(slots=True)
class AnswerCancel:
    """The answer to `CancelRequested`: the tasks that exist; read their state when it leaves."""

    release: ClassVar[Release] = Release.AFTER_SEEN
    ticket: int
    tasks: list[Task]


@dataclass(slots=True)
class AnswerRelease:
    """The answer to `ReleaseRequested`: the ids that were released."""

    release: ClassVar[Release] = Release.AFTER_SEEN
    ticket: int
    task_ids: list[str]


@dataclass(slots=True)
class AnswerWorkers:
    """The answer to an operator's request: the workers that exist, and the names that do not."""

    release: ClassVar[Release] = Release.AFTER_SEEN
    ticket: int
    workers: list[Worker]
    unknown: list[str]


@dataclass(slots=True)
class AnswerError:
    """The request cannot be carried out. `reason` is that of the class in tenure_core.errors."""

    release: ClassVar[Release] = Release.AFTER_SEEN
    ticket: int
    reason: str
    message: str


@dataclass(slots=True)
class TellFinished:
    """Tasks that tickets wait for are finished, or (`unknown`) do not exist."""

    release: ClassVar[Release] = Release.AFTER_SEEN
    tasks: list[tuple[int, Task]]
    unknown: list[tuple[int, str]]


@dataclass(slots=True)
class TellOrphans:
    """A worker came with fenced attempts of an earlier incarnation. `unknown`: of no known task."""

    release: ClassVar[Release] = Release.AT_ONCE
    worker: str
    fences: list[Fence]
    unknown: int


@dataclass(slots=True)
class RaiseAlarm:
    """Something that an operator has to see; `since` orders repeated ones."""

    release: ClassVar[Release] = Release.AT_ONCE
    name: str
    message: str
    since: Instant


Command: TypeAlias = (
    SendCommands
    | WelcomeWorker
    | RefuseHello
    | CloseStream
    | GrantLease
    | RegisterWorker
    | DeleteLive
    | ProveLive
    | AnswerSubmit
    | AnswerCancel
    | AnswerRelease
    | AnswerWorkers
    | AnswerError
    | TellFinished
    | TellOrphans
    | RaiseAlarm
)
