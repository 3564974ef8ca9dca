"""Is each check seen to fail on a history that violates it, and quiet on one that does not?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tenure.v1.task_pb2 import AttemptOutcome, LogState, TaskState
from tests.faults import checker, report
from tests.faults.history import (
    GAP,
    TORN,
    Attempt,
    Begun,
    Cancelled,
    Committed,
    Fault,
    History,
    LeftOut,
    Piece,
    Read,
    Recorder,
    Restored,
    Submitted,
    Told,
    Written,
)

PENDING, RUNNING = TaskState.TASK_STATE_PENDING, TaskState.TASK_STATE_RUNNING
SUCCEEDED, FAILED = TaskState.TASK_STATE_SUCCEEDED, TaskState.TASK_STATE_FAILED
CANCELLED = TaskState.TASK_STATE_CANCELLED
OK, LOST = AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED, AttemptOutcome.ATTEMPT_OUTCOME_LOST


def attempts(*outcomes: int, worker: str = "w") -> tuple[Attempt, ...]:
    numbered = enumerate(outcomes, 1)
    return tuple(Attempt(number=n, worker=worker, outcome=o) for n, o in numbered)


def committed(revision: int, state: int, *outcomes: int, task: str = "t", **more: Any) -> Committed:
    return Committed(
        at=revision,
        revision=revision,
        task=task,
        state=state,
        attempt=len(outcomes),
        attempts=attempts(*outcomes),
        **more,
    )


def written(
    at: float,
    attempt: int,
    what: str,
    *,
    accepted: bool = True,
    process: str = "",
    n: int = 1,
    worker: str = "",
) -> Written:
    return Written(
        at=at,
        task="t",
        incarnation=n,
        attempt=attempt,
        process=process or str(attempt),
        what=what,
        accepted=accepted,
        worker=worker or f"worker-{attempt}",
    )


def read(*pieces: Piece, reader: str = "fresh", finished: bool = True, attempt: int = 2) -> Read:
    return Read(reader=reader, task="t", attempt=attempt, pieces=pieces, finished=finished)


BEGUN = Begun(at=0, seed=1, capacity_milli=1000)
SUBMITTED = Submitted(at=1, task="t", exclusive=True, cpu_milli=600)
LAST = Told(at=9, task="t", state=SUCCEEDED, attempt=2, log_state=LogState.LOG_STATE_COMPLETE, last=True)
GOOD: list[Any] = [
    BEGUN,
    SUBMITTED,
    committed(1, PENDING),
    committed(2, RUNNING, 0),
    written(2.0, 1, "start"),
    written(2.5, 1, "beat"),
    committed(3, PENDING, LOST),
    committed(4, RUNNING, LOST, 0),
    written(4.0, 2, "start"),
    written(4.5, 2, "effect"),
    written(4.6, 1, "effect", accepted=False),
    committed(5, SUCCEEDED, LOST, OK),
    LAST,
    read((0, 3), GAP, (7, 9), attempt=1, finished=False),
    read((0, 9)),
    Fault(at=2.6, until=3, kind="node-killed", targets=("w",)),
    LeftOut(kind="link-down", why="it needs root"),
]
GOOD[10] = written(4.0, 1, "start", accepted=False)  # refused at its start: it ran nowhere near attempt 2


def test_a_good_history_passes() -> None:
    verdict = checker.judge(History(GOOD))
    assert verdict.violations == []
    assert verdict.passed
    assert (verdict.tasks, verdict.stale_rejected, verdict.gaps_explained) == (1, 1, 1)
    assert verdict.kinds == {"node-killed": 1}
    assert verdict.left_out == {"link-down": "it needs root"}
    assert "left out: link-down: it needs root" in report.as_table(verdict, 7, Path())


def test_a_run_in_which_nothing_was_refused_proves_nothing() -> None:
    verdict = checker.judge(History([e for e in GOOD if not isinstance(e, Written) or e.accepted]))
    assert verdict.violations == []
    assert not verdict.passed


VIOLATIONS: list[tuple[checker.Check, list[Any]]] = [
    (checker.results_accepted_twice, [committed(1, SUCCEEDED, OK, OK)]),
    (checker.results_accepted_twice, [committed(1, SUCCEEDED, OK), committed(2, SUCCEEDED, LOST, OK)]),
    (checker.effects_accepted_twice, [written(1, 2, "start"), written(2, 1, "effect")]),
    (checker.effects_accepted_twice, [written(1, 1, "effect"), written(2, 1, "effect")]),
    (checker.effects_accepted_twice, [written(1, 1, "effect", n=2), written(2, 9, "effect", n=1)]),
    (checker.results_without_effect, [committed(1, SUCCEEDED, OK)]),
    (checker.results_without_effect, [committed(1, SUCCEEDED, OK), written(1, 1, "effect", accepted=False)]),
    (
        checker.results_without_effect,
        [
            Committed(
                at=1,
                revision=1,
                task="t",
                state=FAILED,
                attempt=1,
                attempts=(Attempt(number=1, worker="w", outcome=2, exit_code=75),),
            )
        ],
    ),
    (checker.lost, [SUBMITTED]),
    (checker.lost, [SUBMITTED, committed(1, PENDING), LAST]),
    (checker.lost, [SUBMITTED, committed(1, SUCCEEDED, LOST, OK)]),
    (checker.lost, [SUBMITTED, committed(1, FAILED, 2), LAST]),
    (checker.reopened, [committed(1, SUCCEEDED, OK), committed(2, PENDING, OK)]),
    (checker.reopened, [committed(2, FAILED, OK), committed(1, SUCCEEDED, OK)]),
    (checker.reopened, [LAST, dataclasses.replace(LAST, state=CANCELLED, last=False)]),
    (checker.executed_twice, [written(1, 1, "start", process="7"), written(2, 1, "beat", process="8")]),
    (checker.unexplained_gaps, [read((1, 9))]),
    (checker.unexplained_gaps, [read((0, 3), (5, 9))]),
    (checker.unexplained_gaps, [read((0, 3), (3, 9))]),
    (checker.unexplained_gaps, [read((0, 3), GAP, (2, 9))]),
    (checker.unexplained_gaps, [read((0, 3), TORN, (5, 9))]),
    (checker.unexplained_gaps, [LAST, read((0, 3), finished=False)]),
    (checker.unexplained_gaps, [LAST, read((0, 3), GAP, (6, 9))]),
    (
        checker.started_after_cancel,
        [committed(1, RUNNING, 0, cancelling=True), committed(2, RUNNING, LOST, 0, cancelling=True)],
    ),
    (
        checker.started_after_cancel,
        [Cancelled(at=1, task="t", state=CANCELLED), committed(1, RUNNING, LOST, 0)],
    ),
    (
        checker.over_capacity,
        [
            BEGUN,
            SUBMITTED,
            dataclasses.replace(SUBMITTED, task="u"),
            committed(1, RUNNING, 0),
            committed(2, RUNNING, 0, task="u"),
        ],
    ),
    (checker.fences_going_back, [committed(1, RUNNING, LOST, 0), committed(2, RUNNING, 0)]),
    (
        checker.fences_going_back,
        [Committed(at=1, revision=1, task="t", state=2, attempt=1, attempts=attempts(LOST)[:1] * 2)],
    ),
    (
        checker.overlaps,
        [SUBMITTED, written(1, 1, "start"), written(3, 1, "beat"), written(2, 2, "start")],
    ),
]


@pytest.mark.parametrize(("check", "entries"), VIOLATIONS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_violation_is_found(check: checker.Check, entries: list[Any]) -> None:
    assert len(check(History(entries))) == 1


def test_every_check_is_seen_to_fail() -> None:
    assert {check.__name__ for check, _ in VIOLATIONS} == set(checker.CHECKS)


FROZEN = Fault(at=1.5, until=2.5, kind="node-frozen", targets=("worker-1",))
OVERLAP: list[Any] = [SUBMITTED, written(1, 1, "start"), written(3, 1, "beat"), written(2, 2, "start")]


def test_an_overlap_on_a_frozen_node_is_the_documented_exception() -> None:
    assert checker.overlaps(History([*OVERLAP, FROZEN])) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": ("worker-2",)},  # where the successor ran
        {"targets": ("worker-3",)},  # where neither ran
        {"at": 5, "until": 6},
        {"at": 2.1},  # the successor had begun before the freeze
        {"until": 2.9 - checker.AFTER_THAW},  # nobody killed it after the thaw
        {"kind": "agent-frozen"},
        {"kind": "warden-frozen"},
    ],
    ids=str,
)
def test_a_freeze_excuses_no_overlap_elsewhere_or_at_another_time(changes: dict[str, Any]) -> None:
    assert len(checker.overlaps(History([*OVERLAP, dataclasses.replace(FROZEN, **changes)]))) == 1


def test_an_overlap_with_an_attempt_long_before_is_found_too() -> None:
    between = [written(1.2, 2, "start"), written(1.4, 2, "beat"), written(2, 3, "start")]
    entries = [SUBMITTED, written(1, 1, "start"), written(3, 1, "beat"), *between]
    assert len(checker.overlaps(History(entries))) == 2


RESTORED = Restored(at=5.5, revision=2)
BEFORE_RESTORE: list[Any] = [
    BEGUN,
    SUBMITTED,
    committed(1, PENDING),
    committed(2, RUNNING, 0),
    written(2.0, 1, "effect"),
    committed(3, SUCCEEDED, OK),
    dataclasses.replace(LAST, at=4, attempt=1, last=False),
    dataclasses.replace(SUBMITTED, at=4, task="u"),
    committed(4, PENDING, task="u"),
    RESTORED,
]
AFTER_RESTORE: list[Any] = [
    committed(3, PENDING, LOST, era=1),
    committed(4, RUNNING, LOST, 0, era=1),
    written(6.0, 1, "beat", accepted=False),
    written(6.0, 2, "effect", n=2),
    committed(5, FAILED, LOST, 2, era=1),
    dataclasses.replace(LAST, state=FAILED),
]


def test_a_restore_takes_back_what_its_backup_did_not_have() -> None:
    """Task u was acknowledged too late, and the success of task t never was."""
    assert checker.judge(History([*BEFORE_RESTORE, *AFTER_RESTORE])).violations == []


@pytest.mark.parametrize(
    ("more", "invariant"),
    [
        (committed(6, PENDING, LOST, 2, era=1), "I3"),
        (dataclasses.replace(SUBMITTED, at=6, task="v"), "I2"),
        (written(6.5, 1, "effect"), "I1"),
    ],
)
def test_everything_else_holds_across_a_restore(more: Any, invariant: str) -> None:
    violations = checker.judge(History([*BEFORE_RESTORE, *AFTER_RESTORE, more])).violations
    assert any(violation.startswith(invariant) for violation in violations)


def test_the_end_of_a_killed_process_may_be_torn() -> None:
    assert checker.unexplained_gaps(History([read((0, 3), TORN, finished=False)])) == []
    assert checker.unexplained_gaps(History([read((0, 3), TORN, GAP, TORN, (8, 9))])) == []


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for entry in GOOD:
        recorder.add(entry)
    recorder.close()
    read_again = History.read(tmp_path)
    assert sorted(map(repr, read_again.entries)) == sorted(map(repr, GOOD))
    assert checker.judge(read_again) == checker.judge(History(GOOD))
