"""Did anything happen in a recorded history that must never happen?

Pure functions over a History, one per invariant of the design; each returns sentences, and none is a good
answer. I4's part about deadlines and I6 leave no trace in these histories: the simulation looks at them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final, TypeAlias

from tenure.v1.task_pb2 import AttemptOutcome, LogState, TaskState
from tests.faults.eras import as_it_stands
from tests.faults.floors import shortfalls
from tests.faults.history import (
    GAP,
    OPENING,
    TORN,
    Begun,
    Cancelled,
    Committed,
    Fault,
    History,
    LeftOut,
    Read,
    Submitted,
    Told,
    Written,
)

TERMINAL: Final = frozenset(
    {TaskState.TASK_STATE_SUCCEEDED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_CANCELLED}
)
HELD: Final = TaskState.TASK_STATE_QUARANTINED
SUCCEEDED: Final = AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED
REFUSED: Final = 75
"""Exit code of a task whose write the ledger refused."""
FROZEN: Final = frozenset({"node-frozen"})
"""Kinds that stop warden, agent and tasks at once: the documented exception of I10."""
AFTER_THAW: Final = 1.0
"""For so many seconds after the last SIGCONT an overlap is still excused: a thawed task runs on until its
warden has looked at the clock, at least every 250 ms, and killed it. The rest is for a busy machine."""

_CANCELLED: Final = frozenset({TaskState.TASK_STATE_CANCELLING, TaskState.TASK_STATE_CANCELLED})

Check: TypeAlias = Callable[[History], list[str]]


def results_accepted_twice(history: History) -> list[str]:
    """I1: no two attempts of one task both have their result accepted."""
    found = []
    for task, records in history.by_task(Committed).items():
        successes = {a.number for record in records for a in record.attempts if a.outcome == SUCCEEDED}
        if len(successes) > 1:
            found.append(f"I1: attempts {sorted(successes)} of {task} all succeeded")
    return found


def effects_accepted_twice(history: History) -> list[str]:
    """I1 as the world outside sees it: a fence has its effect once, and none comes after a higher fence."""
    found = []
    for task, writes in history.by_task(Written).items():
        highest = (0, 0)
        done = set()
        for write in writes:
            fence = (write.incarnation, write.attempt)
            if not write.accepted:
                continue
            if fence < highest:
                found.append(f"I1: the ledger took {write.what} of {task} {fence} after {highest}")
            highest = max(highest, fence)
            if write.what == "effect":
                if fence in done:
                    found.append(f"I1: {task} {fence} had its effect twice")
                done.add(fence)
    return found


def results_without_effect(history: History) -> list[str]:
    """I1: an accepted success is one of an attempt that did its work and was not stale when it did."""
    effects = {(w.task, w.attempt) for w in history.all(Written) if w.what == "effect" and w.accepted}
    found = []
    for task, record in _newest(history).items():
        for attempt in record.attempts:
            if attempt.outcome == SUCCEEDED and (task, attempt.number) not in effects:
                found.append(f"I1: attempt {attempt.number} of {task} succeeded without its effect")
            if attempt.exit_code == REFUSED and record.state in TERMINAL and attempt.number == record.attempt:
                found.append(f"I1: the stale attempt {attempt.number} of {task} decided it")
    return found


def lost(history: History) -> list[str]:
    """I2: every acknowledged task has ended or is held."""
    newest = _newest(history)
    told = {entry.task: entry for entry in history.all(Told) if entry.last}
    found = []
    for entry in history.all(Submitted):
        record, answer = newest.get(entry.task), told.get(entry.task)
        if record is None:
            found.append(f"I2: {entry.task} was acknowledged and never committed")
        elif record.state not in TERMINAL | {HELD, 0}:
            found.append(f"I2: {entry.task} is {_state(record.state)} in the end")
        elif answer is None:
            found.append(f"I2: nobody was told how {entry.task} ended")
        elif answer.state != record.state:
            found.append(f"I2: {entry.task} is {_state(record.state)}, {_state(answer.state)} was told")
    return found


def reopened(history: History) -> list[str]:
    """I3: a terminal state never changes, neither in etcd nor in what was told."""
    found = []
    for task, records in history.by_task(Committed).items():
        for before, after in pairwise(sorted(records, key=lambda record: record.revision)):
            if before.state in TERMINAL and after.state not in (before.state, 0):
                found.append(f"I3: {task} went from {_state(before.state)} to {_state(after.state)}")
    for task, answers in history.by_task(Told).items():
        ends = {answer.state for answer in answers if answer.state in TERMINAL}
        if len(ends) > 1:
            found.append(f"I3: {task} was told to be {' and '.join(map(_state, sorted(ends)))}")
    return found


def executed_twice(history: History) -> list[str]:
    """I4: a fence is executed at most once."""
    processes: dict[tuple[str, int, int], set[str]] = defaultdict(set)
    for write in history.all(Written):
        processes[write.task, write.incarnation, write.attempt].add(write.process)
    return [f"I4: {fence} ran as {sorted(runs)}" for fence, runs in processes.items() if len(runs) > 1]


def unexplained_gaps(history: History) -> list[str]:
    """I5: every line once and in order, or a gap record in its place; all of them once a log is COMPLETE."""
    complete = {
        (answer.task, answer.incarnation, answer.attempt)
        for answer in history.all(Told)
        if answer.last
        and answer.log_state == LogState.LOG_STATE_COMPLETE
        and answer.state == TaskState.TASK_STATE_SUCCEEDED
    }
    found = []
    for read in history.all(Read):
        name = f"{read.task} attempt {read.attempt} as {read.reader} saw it"
        found += [f"I5: {name}: {fault}" for fault in _faults_of(read)]
        whole = (read.task, read.incarnation, read.attempt) in complete
        if whole and read.reader == "fresh" and (GAP in read.pieces or not read.finished):
            found.append(f"I5: {name}: it is COMPLETE and lines are missing")
    return found


def _faults_of(read: Read) -> Iterator[str]:
    pieces = read.pieces
    if pieces and not isinstance(pieces[0], str) and pieces[0][0] != 0:
        yield f"it begins with line {pieces[0][0]}"
    last = -1
    for at, piece in enumerate(pieces):
        if piece == TORN:
            # A gap may begin or end within a line, and a killed process leaves the end of its last line out.
            beside = pieces[max(0, at - 1) : at + 2]
            if GAP not in beside and (at + 1 < len(pieces) or read.finished):
                yield f"a torn line behind line {last}"
        elif not isinstance(piece, str):
            if piece[0] <= last:
                yield f"line {piece[0]} behind line {last}"
            elif at and pieces[at - 1] not in (GAP, TORN):
                yield f"lines {last + 1} to {piece[0] - 1} are missing"
            last = piece[1]


def started_after_cancel(history: History) -> list[str]:
    """I7: an acknowledged cancel is committed, and after it no new attempt is."""
    found = []
    committed: set[str] = set()
    for task, records in history.by_task(Committed).items():
        ordered = sorted(records, key=lambda record: record.revision)
        committed.update(task for record in ordered if _cancelled(record))
        for before, after in pairwise(ordered):
            if _cancelled(before) and after.attempt > before.attempt:
                found.append(f"I7: {task} got attempt {after.attempt} after its cancel was committed")
    for cancel in history.all(Cancelled):
        if cancel.state in _CANCELLED and cancel.task not in committed:
            found.append(f"I7: the cancel of {cancel.task} was acknowledged and never committed")
    return found


def _cancelled(record: Committed) -> bool:
    return record.cancelling or record.state in _CANCELLED


def over_capacity(history: History) -> list[str]:
    """I8: what is granted to open attempts never exceeds the worker's capacity."""
    begun = history.all(Begun)
    capacity = begun[0].capacity_milli if begun else 0
    cpu = {entry.task: entry.cpu_milli for entry in history.all(Submitted)}
    granted: dict[str, dict[str, int]] = defaultdict(dict)
    where: dict[str, str] = {}
    changes: dict[int, list[Committed]] = defaultdict(list)
    for record in history.all(Committed):
        changes[record.revision].append(record)
    found = []
    for revision in sorted(changes):
        touched = set()
        for record in changes[revision]:
            granted[where.pop(record.task, "")].pop(record.task, None)
            if record.attempts and not record.attempts[-1].outcome:
                worker = where[record.task] = record.attempts[-1].worker
                granted[worker][record.task] = cpu.get(record.task, 0)
                touched.add(worker)
        for worker in touched:
            if (total := sum(granted[worker].values())) > capacity:
                found.append(f"I8: {worker} has {total} of {capacity} granted at revision {revision}")
    return found


def fences_going_back(history: History) -> list[str]:
    """I9: the attempts of a task only grow, and so do those that the ledger sees start."""
    found = []
    for task, records in history.by_task(Committed).items():
        ordered = sorted((r for r in records if r.state), key=lambda record: record.revision)
        for before, after in pairwise(ordered):
            if after.attempt < before.attempt:
                found.append(f"I9: {task} went back from attempt {before.attempt} to {after.attempt}")
        for record in ordered:
            numbers = [attempt.number for attempt in record.attempts]
            if numbers != sorted(set(numbers)):
                found.append(f"I9: {task} has attempts {numbers}")
    return found


def overlaps(history: History) -> list[str]:
    """I10: executions of an exclusive task never overlap, unless the node of the earlier one was frozen."""
    exclusive = {entry.task for entry in history.all(Submitted) if entry.exclusive}
    frozen = [fault for fault in history.all(Fault) if fault.kind in FROZEN]
    found = []
    for task, writes in history.by_task(Written).items():
        if task not in exclusive:
            continue
        for (first, run), (second, after) in combinations(sorted(_runs(writes).items()), 2):
            excused = any(_outlived_in_ice(run, after, fault) for fault in frozen)
            if after.began < run.seen and not excused:
                found.append(
                    f"I10: {task} {second} began {run.seen - after.began:.3f} s before {first} ended"
                )
    return found


@dataclass(frozen=True, slots=True)
class _Run:
    """One execution: where, and when it was seen first and last."""

    worker: str
    began: float
    seen: float


def _runs(writes: list[Written]) -> dict[tuple[int, int], _Run]:
    """The executions of one task by their fence."""
    runs: dict[tuple[int, int], _Run] = {}
    for write in writes:
        if write.what == "start" and not write.accepted:
            continue  # it ended at once
        fence = (write.incarnation, write.attempt)
        known = runs.get(fence, _Run(write.worker, write.at, write.at))
        runs[fence] = _Run(write.worker, min(known.began, write.at), max(known.seen, write.at))
    return runs


def _outlived_in_ice(run: _Run, after: _Run, fault: Fault) -> bool:
    """Whether the freeze of its own node is why the run was still there: nothing there could kill it.

    A successor that began before the freeze had nobody frozen to wait for, and what is seen later than the
    warden needs after the thaw was not killed at all.
    """
    here = run.worker in fault.targets
    return here and fault.at <= after.began and run.seen <= fault.until + AFTER_THAW


CHECKS: Final[dict[str, Check]] = {
    check.__name__: check
    for check in (
        results_accepted_twice,
        effects_accepted_twice,
        results_without_effect,
        lost,
        reopened,
        executed_twice,
        unexplained_gaps,
        started_after_cancel,
        over_capacity,
        fences_going_back,
        overlaps,
    )
}
_DUPLICATES: Final = (results_accepted_twice, effects_accepted_twice, results_without_effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the checks found, and the figures of the report."""

    violations: list[str]
    tasks: int
    lost: int
    duplicate_effects: int
    stale_rejected: int
    gaps_unexplained: int
    gaps_explained: int
    kinds: dict[str, int]
    failed_injections: dict[str, int]
    """How often a kind could not be injected or healed as planned; these are not counted in `kinds`."""
    shortfalls: list[str]
    """What the run was to do and did not, in sentences."""
    left_out: dict[str, str]
    """Kinds that could not be had, and why."""

    @property
    def passed(self) -> bool:
        """Nothing was violated, something stale was refused, and the run did what it was to do.

        Else it has proved nothing.
        """
        return not self.violations and not self.shortfalls and self.stale_rejected > 0


def judge(history: History) -> Verdict:
    """All checks over one history."""
    history = as_it_stands(history)
    found = {name: check(history) for name, check in CHECKS.items()}
    done = Counter(f.kind for f in history.all(Fault) if not f.error and f.kind != OPENING)
    tasks = len({entry.task for entry in history.all(Submitted)})
    return Verdict(
        violations=[violation for violations in found.values() for violation in violations],
        tasks=tasks,
        lost=len(found[lost.__name__]),
        duplicate_effects=sum(len(found[check.__name__]) for check in _DUPLICATES),
        stale_rejected=sum(not write.accepted for write in history.all(Written)),
        gaps_unexplained=len(found[unexplained_gaps.__name__]),
        gaps_explained=sum(GAP in read.pieces for read in history.all(Read)),
        kinds=dict(sorted(done.items())),
        failed_injections=dict(sorted(Counter(f.kind for f in history.all(Fault) if f.error).items())),
        shortfalls=shortfalls(history, done, tasks),
        left_out={entry.kind: entry.why for entry in history.all(LeftOut)},
    )


def _newest(history: History) -> dict[str, Committed]:
    """The last record of each task that was not a deletion."""
    found: dict[str, Committed] = {}
    for record in history.all(Committed):
        if record.state and record.revision >= found.get(record.task, record).revision:
            found[record.task] = record
    return found


def _state(number: int) -> str:
    return TaskState.Name(TaskState.ValueType(number)).removeprefix("TASK_STATE_")
