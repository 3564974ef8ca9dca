"""What can happen to an agent?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tenure_core.states import AttemptOutcome
from tenure_core.timing import Duration, Instant
from tenure_worker_agent.domain.plans import Start
from tenure_worker_agent.domain.results import Result


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed; whatever is due is done."""


@dataclass(frozen=True, slots=True)
class OutboxRead:
    """Results that an earlier agent process left in the outbox."""

    results: list[tuple[str, Result]]


@dataclass(frozen=True, slots=True)
class WardenListed:
    """The warden told everything that it knows; nothing that was told before counts any more."""

    instance: str
    boot_id: str
    reduced: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    exits: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """The warden started an attempt's process."""

    fence: str
    pid: int
    ticks: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class ProcessRefused:
    """The warden did not start an attempt and never will."""

    fence: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class ProcessExited:
    """An attempt ended and the warden's journal has how."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WardenStopping:
    """The warden was told to end and is stopping every attempt."""


@dataclass(frozen=True, slots=True)
class WardenDied:
    """The warden is gone."""


@dataclass(frozen=True, slots=True)
class IdentitySaved:
    """A connect counter is durable."""

    connect: int


@dataclass(frozen=True, slots=True)
class LogsComplete:
    """The relay has the whole output of an ended attempt."""

    fence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcomed:
    """The session holds."""

    stream: int
    session: int
    connect: int
    lease_id: int
    live_revision: int
    ttl: Duration
    margin: Duration
    incarnation: int
    epoch: int
    schedulers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Redirected:
    """Another replica leads; an empty address: nobody knows which."""

    stream: int
    leader: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker cannot have a session."""

    stream: int
    reason: str
    message: str
    retry_after: Duration


@dataclass(frozen=True, slots=True)
class Stop:
    """An attempt to stop, and what to report when that is what ended it."""

    fence: str
    outcome: AttemptOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class Commanded:
    """What the leader wants."""

    stream: int
    number: int
    stops: list[Stop] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    fenced: list[tuple[str, str]] = field(default_factory=list)
    """Fences that were given away, and why."""
    placements: list[tuple[str, str]] = field(default_factory=list)
    """Fences and the relay's address for their output."""
    starts: list[Start] = field(default_factory=list)
    list_held: bool = False
    """The leader wants to know everything that is held."""
    held: bool = False
    """The hold that was announced is committed."""


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A session stream is closed and its connection is gone."""

    stream: int
    reason: str


@dataclass(frozen=True, slots=True)
class BeatAcked:
    """The lease was renewed and the session proved to hold."""

    ticket: int
    sent_at: Instant
    """Before the request left."""
    ttl: Duration
    exclusive: list[str]
    leader: str


@dataclass(frozen=True, slots=True)
class BeatFailed:
    """A replica did not renew the lease."""

    ticket: int
    session_lost: bool
    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """This process was told to end; tasks run on."""


Event: TypeAlias = (
    Ticked
    | OutboxRead
    | WardenListed
    | ProcessStarted
    | ProcessRefused
    | ProcessExited
    | WardenStopping
    | WardenDied
    | IdentitySaved
    | LogsComplete
    | Welcomed
    | Redirected
    | Refused
    | Commanded
    | StreamEnded
    | BeatAcked
    | BeatFailed
    | StopRequested
)
