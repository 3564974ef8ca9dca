"""What does the journal know, and what survives a crash of the warden?

Records are JSON arrays, by their first element: H(eader), I(ntent, before exec), S(tarted), X (exit),
A(ccepted), F(orgotten). The state is their fold; a rewritten journal holds what is still of interest of each
attempt and the newest forgotten fences, since a fence must never be exec'd again. Every change is made by a
method here that returns the record to write, so that state and journal cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tenure_worker_agent.warden.protocol import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tenure_worker_agent.warden.journal import Record

REMEMBERED: Final = 4096

ExitRecord = dict[str, Any]


def exit_record(fence: str, cause: str, **more: Any) -> ExitRecord:
    """How an attempt ended, for the journal and the agent.

    `cause` says what ended it: `self` (it exited, or somebody else's signal), `stop`, `timeout`, `deadline`
    (exclusive and not extended), `shutdown`, `output` (log limit with overflow `fail`), `oom`, `spawn` (never
    ran; `error` classifies), `lost` (`evidence` says how).

    Further keys: code or signal; killed (KILL was needed); error, message; evidence; pid, ticks; started,
    ended (wall clock ns); frames, offsets (where the output ends; absent when nobody can know); tail (frames
    in hex that come after the spool's: gaps that did not fit on the disk); note; stop (the note of the stop).
    """
    return {"fence": fence, "cause": cause, **more}


@dataclass(slots=True)
class Known:
    """An attempt in the journal."""

    note: Any
    pid: int = 0
    ticks: int = 0
    at: int = 0
    exit: str = ""
    """The exit record as JSON."""
    accepted: bool = False
    """The scheduler has the result."""


@dataclass(slots=True)
class Ledger:
    """The fold of the journal's records."""

    instance: str = ""
    boot_id: str = ""
    attempts: dict[str, Known] = field(default_factory=dict)
    forgotten: dict[str, None] = field(default_factory=dict)
    """Insertion-ordered, the oldest first; bounded."""

    def knows(self, fence: str) -> bool:
        """Whether the fence was ever begun here."""
        return fence in self.attempts or fence in self.forgotten

    def intend(self, fence: str, note: Any) -> str:
        """The attempt is about to be exec'd."""
        self.attempts[fence] = Known(note)
        return f'["I","{fence}",{to_json(note)}]'

    def started(self, fence: str, pid: int, ticks: int, at: int) -> str:
        """Its process runs."""
        known = self.attempts[fence]
        known.pid, known.ticks, known.at = pid, ticks, at
        return f'["S","{fence}",{pid},{ticks},{at}]'

    def ended(self, fence: str, record: str) -> str:
        """Its exit record, as JSON."""
        self.attempts[fence].exit = record
        return f'["X","{fence}",{record}]'

    def accept(self, fence: str) -> str:
        """The scheduler has its result."""
        if fence in self.attempts:
            self.attempts[fence].accepted = True
        return f'["A","{fence}"]'

    def forget(self, fence: str) -> str:
        """Remember only that this fence was begun."""
        self.attempts.pop(fence, None)
        self.forgotten[fence] = None
        while len(self.forgotten) > REMEMBERED:
            del self.forgotten[next(iter(self.forgotten))]
        return f'["F","{fence}"]'

    def apply(self, record: Record) -> None:
        """Take a record that was read into account; unknown kinds are from newer versions and skipped."""
        match record:
            case ["H", instance, boot_id]:
                self.instance, self.boot_id = instance, boot_id
            case ["I", fence, note]:
                self.intend(fence, note)
            case ["S", fence, pid, ticks, at] if fence in self.attempts:
                self.started(fence, pid, ticks, at)
            case ["X", fence, exit_] if fence in self.attempts:
                self.ended(fence, to_json(exit_))
            case ["A", fence]:
                self.accept(fence)
            case ["F", fence]:
                self.forget(fence)

    def records(self) -> Iterator[str]:
        """The shortest journal with this state."""
        yield to_json(["H", self.instance, self.boot_id])
        for fence in self.forgotten:
            yield f'["F","{fence}"]'
        for fence, known in self.attempts.items():
            yield f'["I","{fence}",{to_json(known.note)}]'
            if known.pid:
                yield f'["S","{fence}",{known.pid},{known.ticks},{known.at}]'
            if known.exit:
                yield f'["X","{fence}",{known.exit}]'
            if known.accepted:
                yield f'["A","{fence}"]'


def fold(records: Iterable[Record]) -> Ledger:
    """The state that a journal describes."""
    ledger = Ledger()
    for record in records:
        ledger.apply(record)
    return ledger
