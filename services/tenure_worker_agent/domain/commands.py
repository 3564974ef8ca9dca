"""What does an agent want to be done?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from tenure_core.levels import LevelDigest
from tenure_core.timing import Duration, Instant, UtcNs
from tenure_worker_agent.domain.results import Result


class Held(NamedTuple):
    """An attempt as the Hello names it."""

    fence: str
    started: bool
    started_ns: UtcNs
    pid: int
    result: Result | None
    stopping: bool = False
    ticks: int = 0


class Level(NamedTuple):
    """What this worker holds after having processed commands up to a number."""

    last_command: int
    digest: LevelDigest
    held: list[Held] | None
    """Everything; None: the digest says enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who this worker is and what it holds; the rest is configuration."""

    instance: str
    boot_id: str
    connect: int
    incarnation: int
    epoch: int
    welcomed: int
    held: list[Held]
    reduced: list[str]
    forward: bool = False
    """Whether a replica that does not lead is to hand the stream on."""


class Started(NamedTuple):
    """News: the process runs."""

    pid: int
    ticks: int
    at_ns: UtcNs


class NotStarted(NamedTuple):
    """News: it never ran and never will."""

    reason: str


class Stopped(NamedTuple):
    """News: nothing of it runs, and its result is of no interest."""

    end: Result | None = None
    """How it ended, as evidence; None: it is not known any more, or nothing ran."""


News: TypeAlias = Started | Result | NotStarted | Stopped


@dataclass(frozen=True, slots=True)
class SaveIdentity:
    """Make the connect counter durable; answer with IdentitySaved."""

    connect: int
    warden: str
    alias: str
    incarnation: int
    epoch: int
    welcomed: int


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Connect, say Hello and hand on what comes; StreamEnded is its end, whatever ended it."""

    stream: int
    address: str
    hello: Hello


@dataclass(frozen=True, slots=True)
class CloseStream:
    """End a stream in order; answer with StreamEnded."""

    stream: int


@dataclass(frozen=True, slots=True)
class SendReport:
    """Tell the leader."""

    stream: int
    last_command: int
    news: list[tuple[str, News]]
    stopping: bool = False
    """The node is being shut down: nothing is started here any more."""
    level: Level | None = None
    """What is held when the news are told."""


@dataclass(frozen=True, slots=True)
class AnnounceHold:
    """Tell the leader that this process restarts on purpose; a Commanded with `held` answers."""

    stream: int
    seconds: Duration


@dataclass(frozen=True, slots=True)
class SendBeat:
    """Renew the lease through this replica; answer with BeatAcked or BeatFailed."""

    ticket: int
    address: str
    session: int
    lease_id: int
    live_revision: int
    timeout: Duration


@dataclass(frozen=True, slots=True)
class KeepResults:
    """Make results durable that no journal of the warden has."""

    results: list[tuple[str, Result]]


@dataclass(frozen=True, slots=True)
class DropResults:
    """The outbox may forget these."""

    fences: list[str]


@dataclass(frozen=True, slots=True)
class OrderProcess:
    """Have the warden start an attempt."""

    fence: str
    order: dict[str, Any]
    not_after: Instant
    exclusive: tuple[Instant, Instant] | None
    note: dict[str, Any]
    """Handed back with the attempt after a restart of this process."""


@dataclass(frozen=True, slots=True)
class StopProcess:
    """Have the warden stop an attempt."""

    fence: str
    note: dict[str, Any]
    grace: Duration | None = None
    """None: that of its order."""


@dataclass(frozen=True, slots=True)
class KillProcess:
    """Kill an attempt's processes without the warden's help."""

    fence: str
    pid: int
    """0: nobody said whether it has one."""
    ticks: int


@dataclass(frozen=True, slots=True)
class ExtendDeadlines:
    """Exclusive attempts may go on: TERM and KILL are due at these instants."""

    deadlines: dict[str, tuple[Instant, Instant]]


@dataclass(frozen=True, slots=True)
class AcceptExits:
    """The scheduler needs these results no more; the warden remembers that."""

    fences: list[str]


@dataclass(frozen=True, slots=True)
class ForgetAttempts:
    """Neither result nor output is needed any more."""

    fences: list[str]


@dataclass(frozen=True, slots=True)
class PlaceLogs:
    """The output of an attempt goes to this relay."""

    fence: str
    relay: str
    fresh: bool = False
    """The attempt starts now: no relay has anything of it."""


@dataclass(frozen=True, slots=True)
class FinishLogs:
    """An attempt ended after so many frames; answer with LogsComplete when the relay has them."""

    fence: str
    frames: int
    tail: str = ""
    """Last frames, in hex, that the spool had no room for."""


@dataclass(frozen=True, slots=True)
class Say:
    """A line for the log."""

    level: str
    message: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This process cannot go on; the reason is a sentence for people."""

    reason: str
    lasting: bool = True
    """A new start would not change it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The shutdown is complete: nothing is left to be said to the scheduler."""


Command: TypeAlias = (
    SaveIdentity
    | OpenStream
    | CloseStream
    | SendReport
    | AnnounceHold
    | SendBeat
    | KeepResults
    | DropResults
    | OrderProcess
    | StopProcess
    | KillProcess
    | ExtendDeadlines
    | AcceptExits
    | ForgetAttempts
    | PlaceLogs
    | FinishLogs
    | Say
    | GiveUp
    | Finished
)
