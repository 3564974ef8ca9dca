"""What is kept of a task only so that people can see later what happened?

Nothing is decided by any of it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from tenure_core.states import AttemptOutcome
from tenure_core.timing import UtcNs

KEPT: Final = 20
"""Notes per task."""
TEXT: Final = 200
"""Characters of a sentence that somebody else wrote."""


class EventKind(IntEnum):
    """What kind of thing happened; the numbers are those of tenure.v1.HistoryEventKind."""

    SUBMITTED = 1
    ASSIGNED = 2
    STARTED = 3
    ENDED = 4
    GIVEN_UP = 5
    TAKEN_BACK = 6
    LATE_END = 7
    CANCEL_REQUESTED = 8
    HELD = 9
    RELEASED = 10
    FINISHED = 11


class Note(NamedTuple):
    """Something that happened to a task beside its attempts."""

    at_ns: UtcNs
    kind: EventKind
    attempt: int
    text: str


class Ruling(NamedTuple):
    """Why an attempt counts as lost."""

    epoch: int
    """The leadership that decided."""
    saw: str
    excuse: str = ""
    """Why it used up none of the task's losses; empty: it did."""
    reported: bool = False
    """Its own worker said so, and nothing of it ran any more then."""


class LateEnd(NamedTuple):
    """How an attempt really ended that had been given up, as its worker said later."""

    outcome: AttemptOutcome
    exit_code: int | None
    signal: int | None
    reason: str
    started_ns: UtcNs
    ended_ns: UtcNs
    reported_ns: UtcNs
    unseen: bool
    """Nobody saw the end; it was not later than that."""


def appended(notes: tuple[Note, ...], note: Note) -> tuple[Note, ...]:
    """The notes with one more; the oldest goes when there are too many."""
    return (*notes[-(KEPT - 1) :], note)


def clock(utc_ns: UtcNs) -> str:
    """Time of day in UTC with milliseconds."""
    seconds, milliseconds = divmod(utc_ns // 1_000_000, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
