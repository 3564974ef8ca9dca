"""What is true of a cluster that was taken back to a backup?

An era is what lies between two restores, or between a restore and the new incarnation. What was committed in
an era and not in the backup is gone, acknowledged or not: nobody can promise otherwise. What the backup had
counts on, and everything that is said is held against the era that it was said in. Only a message that was on
its way when an era ended may still tell of that one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tenure_core.fence import Fence
from tenure_core.states import TERMINAL
from tests.simulation.world import Process


@dataclass
class Seen:
    """One task as of its last version."""

    record: Any
    revision: int
    n: int
    """The incarnation that wrote it."""
    last_assigned: int = 0
    """Revision at which the newest attempt was committed."""

    def fence(self, task: str, attempt: Any) -> Fence:
        """What one of its attempts is called."""
        return Fence(attempt.incarnation or self.n, task, attempt.number)


@dataclass
class Era:
    """What is committed, now or when the era ended."""

    n: int = 0
    tasks: dict[str, Seen] = field(default_factory=dict)

    def task(self, task_id: str) -> Any:
        """The record; None: there is none."""
        seen = self.tasks.get(task_id)
        return seen.record if seen is not None else None

    def superseded(self, fence: Fence) -> bool:
        """Whether an attempt has been given away, or its task ended."""
        record = self.task(fence.task)
        if record is None or fence.n != self.n:
            return True
        given_away: bool = record.attempt != fence.attempt or record.state in TERMINAL
        return given_away or bool(record.attempts[-1].outcome)

    def accepted(self, fence: Fence) -> bool:
        """Whether an attempt of this incarnation has an outcome."""
        if fence.n != self.n:
            return False
        seen = self.tasks.get(fence.task)
        if seen is None:
            return True
        for attempt in seen.record.attempts:
            if attempt.number == fence.attempt:
                return bool(attempt.outcome) and seen.fence(fence.task, attempt) == fence
        return bool(seen.record.attempt >= fence.attempt)

    def assigned(self, fence: Fence, worker: str) -> bool:
        """Whether this very attempt was committed, to this worker."""
        seen = self.tasks.get(fence.task)
        if seen is None or fence.n != self.n:
            return False
        record = seen.record
        return any(
            seen.fence(fence.task, each) == fence and each.worker == worker for each in record.attempts
        ) or bool(record.dropped_attempts and record.attempt > fence.attempt)

    def copy(self) -> Era:
        """As it is now."""
        tasks = {
            name: Seen(seen.record, seen.revision, seen.n, seen.last_assigned)
            for name, seen in self.tasks.items()
        }
        return Era(self.n, tasks)


@dataclass
class Eras:
    """The present era and those before it, and which of them may still be told of."""

    now: Era = field(default_factory=Era)
    past: list[Era] = field(default_factory=list)
    taken_back: set[str] = field(default_factory=set)
    """Tasks that a restore undid: their ids are random, so nobody may ever write them again."""
    _speakers: list[tuple[Process, int]] = field(default_factory=list)

    def begin(self, era: Era | None = None) -> None:
        """Another era begins, with what there is or with what a backup had."""
        self.past.append(self.now.copy())
        if era is not None:
            self.taken_back |= self.now.tasks.keys() - era.tasks.keys()
            self.now = era

    def speaks(self, process: Process) -> None:
        """A scheduler starts. It knows nothing of the eras that are over."""
        self._speakers.append((process, len(self.past)))

    def since(self) -> int:
        """The earliest era that a question may be answered from which is asked now."""
        self._speakers = [each for each in self._speakers if each[0].alive]
        return min((era for _, era in self._speakers), default=len(self.past))

    def ever(self, since: int, true: Callable[[Era], bool]) -> bool:
        """Whether something holds now, or held when one of the eras `since` then ended."""
        return true(self.now) or any(true(era) for era in reversed(self.past[since:]))
