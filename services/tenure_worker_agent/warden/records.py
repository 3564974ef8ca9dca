"""What does the journal know, and what survives a crash of the warden?

Records, by their first element: H(eader), I(ntent, before exec), S(tarted), X (exit), A(ccepted), F(orgotten). The state is
their fold; a rewritten journal holds one I, S and X per attempt that is still of interest and the newest forgotten
fences, since a fence must never be exec'd again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tenure_worker_agent.warden.journal import Record

REMEMBERED: Final = 4096

ExitRecord = dict[str, Any]


def exit_record(fence: str, cause: str, **more: Any) -> ExitRecord:
    """How an attempt ended, for the journal and the agent.

    `cause` says what ended it: `self` (it exited, or somebody else's signal), `stop`, `timeout`, `deadline`
    (exclusive and not extended), `shutdown`, `output` (log limit with overflow `fail`), `oom`, `spawn` (never
    ran; `error` classifies), `lost` (`evidence` says how).

    Further keys: code or signal; killed (KILL was needed); error, message; evidence; pid; started, ended (wall
    clock ns); frames, offsets (where the output ends; absent when nobody can know); tail (frames in hex that come
    after the spool's: gaps that did not fit on the disk); note; stop (the stop command's note).
    """
    return {"fence": fence, "cause": cause, **more}


@dataclass(slots=True)
class Known:
    """An attempt in the journal."""

    note: Any
    pid: int = 0
    ticks: int = 0
    at: int = 0
    exit: ExitRecord | None = None
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

    def apply(self, record: Record) -> None:
        """Take one record into account; unknown kinds are from newer versions and skipped."""
        match record:
            case ["H", instance, boot_id]:
                self.instance, self.boot_id = instance, boot_id
            case ["I", fence, note]:
                self.attempts[fence] = Known(note)
            case ["S", fence, pid, ticks, at] if fence in self.attempts:
                known = self.attempts[fence]
                known.pid, known.ticks, known.at = pid, ticks, at
            case ["X", exit_] if exit_["fence"] in self.attempts:
                self.attempts[exit_["fence"]].exit = exit_
            case ["A", fence] if fence in self.attempts:
                self.attempts[fence].accepted = True
            case ["F", fence]:
                self.attempts.pop(fence, None)
                self.forget(fence)

    def forget(self, fence: str) -> None:
        """Remember only that this fence was exec'd."""
        self.forgotten[fence] = None
        while len(self.forgotten) > REMEMBERED:
            del self.forgotten[next(iter(self.forgotten))]

    def records(self) -> Iterator[Record]:
        """The shortest journal with this state."""
        yield ["H", self.instance, self.boot_id]
        for fence in self.forgotten:
            yield ["F", fence]
        for fence, known in self.attempts.items():
            yield ["I", fence, known.note]
            if known.pid:
                yield ["S", fence, known.pid, known.ticks, known.at]
            if known.exit is not None:
                yield ["X", known.exit]
            if known.accepted:
                yield ["A", fence]


def fold(records: Iterable[Record]) -> Ledger:
    """The state that a journal describes."""
    ledger = Ledger()
    for record in records:
        ledger.apply(record)
    return ledger
