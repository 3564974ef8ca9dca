"""When has a reader seen all of an attempt, and what is it told then?

The end of a task is the scheduler's to declare; the end of an attempt's output follows from the number of
frames that its agent declared final, or from the offsets in its accepted result. A lost attempt has
neither: after some quiet seconds its output is declared unknown to this reader. Bytes that come later are
kept all the same.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_log_relay.domain.position import NO_OFFSETS, Offsets

if TYPE_CHECKING:
    from tenure_core.timing import Duration, UtcNs

PATIENCE: Final[Duration] = 30.0
"""How long a reader waits for output that is due but does not come."""
PATIENCE_SUPERSEDED: Final[Duration] = 3.0
"""The same for a lost attempt when a newer one has begun: its readers want that."""


class LogState(IntEnum):
    """Whether all output is here; numbered like `tenure.v1.LogState`."""

    OPEN = 1
    COMPLETE = 2
    INCOMPLETE = 3
    UNKNOWN = 4


class AttemptFacts(NamedTuple):
    """What the scheduler's record says of an attempt."""

    number: int
    fence: str
    worker: str = ""
    outcome: int = 0
    """`tenure.v1.AttemptOutcome`; 0 while it has not ended."""
    lost: bool = False
    finals: Offsets = NO_OFFSETS
    """Where stdout and stderr end by the accepted result."""
    ended_ns: UtcNs = 0
    """When it ended or was given up, by the scheduler's clock; 0: that is not known."""

    @property
    def ended(self) -> bool:
        return self.outcome != 0


class LogFacts(NamedTuple):
    """What the relay has of an attempt."""

    committed: Offsets = NO_OFFSETS
    complete: bool = False
    """All frames that the agent declared final are committed."""
    missing_bytes: int = 0


class Around(NamedTuple):
    """What stands around an attempt whose committed output a reader has got."""

    quiet: Duration = 0.0
    """Seconds since the later of the last byte and the moment at which the attempt's end was known."""
    superseded: bool = False
    """A newer attempt of the task exists."""
    terminal: bool = False
    """The task is."""
    declared: LogState = LogState.OPEN
    """The scheduler's word on the log, if this attempt is the last one."""


NO_LOG: Final = LogFacts()


def log_state(log: LogFacts) -> LogState:
    """The state of a log of which everything is here that ever will be."""
    return LogState.INCOMPLETE if log.missing_bytes else LogState.COMPLETE


def reached(log: LogFacts, attempt: AttemptFacts) -> bool:
    """Whether everything that an attempt with an accepted result wrote is committed."""
    if not attempt.ended or attempt.lost:
        return False
    return log.committed[0] >= attempt.finals[0] and log.committed[1] >= attempt.finals[1]


def ending(log: LogFacts, attempt: AttemptFacts | None, around: Around) -> LogState | None:
    """What to say at the end of an attempt whose committed output was delivered; None: not yet, wait."""
    if attempt is None or not attempt.ended:
        return _without_result(log, around)
    if log.complete or (reached(log, attempt) and _told(attempt, around)):
        return log_state(log)
    if around.quiet >= patience(attempt, around):
        return LogState.UNKNOWN if attempt.lost else LogState.INCOMPLETE
    return None


def _told(attempt: AttemptFacts, around: Around) -> bool:
    """Whether the finals are known: none at all also means that there is output of other channels only."""
    return any(attempt.finals) or around.superseded or around.declared is not LogState.OPEN


def _without_result(log: LogFacts, around: Around) -> LogState | None:
    """For an attempt of which the scheduler's record says nothing, or not that it ended."""
    if not (around.superseded or around.terminal):
        return None
    if log.complete:
        return log_state(log)
    return LogState.UNKNOWN if around.quiet >= PATIENCE_SUPERSEDED else None


def patience(attempt: AttemptFacts, around: Around) -> Duration:
    """How long a reader waits for what is due of an attempt that has ended."""
    if around.declared in (LogState.INCOMPLETE, LogState.UNKNOWN):
        return 0.0
    if around.declared is LogState.COMPLETE or (around.superseded and attempt.lost):
        return PATIENCE_SUPERSEDED
    return PATIENCE


def shortfall(log: LogFacts, attempt: AttemptFacts | None) -> tuple[tuple[int, int, int], ...]:
    """(channel, from, to) of bytes that an accepted result promised and that did not come."""
    if attempt is None or attempt.lost:
        return ()
    pairs = enumerate(zip(log.committed, attempt.finals, strict=True), 1)
    return tuple((channel, have, final) for channel, (have, final) in pairs if final > have)
