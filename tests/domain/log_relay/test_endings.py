"""When does a reader stop waiting, and what is it told?"""

import pytest

from tenure_core.fence import Fence
from tenure_log_relay.domain.cursor import Cursor, MalformedCursor, Stage
from tenure_log_relay.domain.ending import (
    NO_LOG,
    PATIENCE,
    PATIENCE_SUPERSEDED,
    Around,
    AttemptFacts,
    LogFacts,
    LogState,
    ending,
    shortfall,
)
from tenure_log_relay.domain.turns import NOT_STARTED, next_turn, turns

TASK = "0123456789abcdefghjk"
SUCCEEDED, LOST = 1, 6
DONE = AttemptFacts(1, f"1.{TASK}.1", "w", SUCCEEDED, finals=(10, 5, 0))
GONE = AttemptFacts(1, f"1.{TASK}.1", "w", LOST, lost=True)
SILENT = AttemptFacts(1, f"1.{TASK}.1", "w", SUCCEEDED)
RUNS = AttemptFacts(1, f"1.{TASK}.1", "w")
ALL_HERE = LogFacts((10, 5, 0))
PART = LogFacts((9, 5, 0))
FINAL = LogFacts((9, 5, 0), complete=True)
HOLED = LogFacts((10, 5, 0), missing_bytes=3)


@pytest.mark.parametrize(
    ("log", "attempt", "around", "expected"),
    [
        (ALL_HERE, RUNS, Around(), None),
        (FINAL, RUNS, Around(), None),
        (FINAL, RUNS, Around(superseded=True), LogState.COMPLETE),
        (ALL_HERE, DONE, Around(), LogState.COMPLETE),
        (FINAL, DONE, Around(), LogState.COMPLETE),
        (NO_LOG, SILENT, Around(terminal=True, declared=LogState.COMPLETE), LogState.COMPLETE),
        (NO_LOG, SILENT, Around(terminal=True), None),
        (NO_LOG, SILENT, Around(superseded=True), LogState.COMPLETE),
        (HOLED, DONE, Around(), LogState.INCOMPLETE),
        (PART, DONE, Around(quiet=PATIENCE - 1), None),
        (PART, DONE, Around(quiet=PATIENCE), LogState.INCOMPLETE),
        (PART, DONE, Around(terminal=True, declared=LogState.INCOMPLETE), LogState.INCOMPLETE),
        (PART, DONE, Around(declared=LogState.COMPLETE), None),
        (PART, DONE, Around(quiet=PATIENCE_SUPERSEDED, declared=LogState.COMPLETE), LogState.INCOMPLETE),
        (PART, GONE, Around(quiet=PATIENCE - 1), None),
        (PART, GONE, Around(quiet=PATIENCE), LogState.UNKNOWN),
        (PART, GONE, Around(quiet=PATIENCE_SUPERSEDED, superseded=True), LogState.UNKNOWN),
        (FINAL, GONE, Around(), LogState.COMPLETE),
        (PART, None, Around(quiet=999.0), None),
        (PART, None, Around(quiet=PATIENCE_SUPERSEDED, terminal=True), LogState.UNKNOWN),
    ],
)
def test_endings(
    log: LogFacts, attempt: AttemptFacts | None, around: Around, expected: LogState | None
) -> None:
    assert ending(log, attempt, around) is expected


def test_what_did_not_come_is_named() -> None:
    assert shortfall(PART, DONE) == ((1, 9, 10),)
    assert shortfall(PART, GONE) == ()


def test_attempts_come_in_turn_whoever_knows_them() -> None:
    never = AttemptFacts(2, f"1.{TASK}.2", outcome=NOT_STARTED)
    third = AttemptFacts(3, f"1.{TASK}.3")
    old = Fence(1, TASK, 4)
    order = turns([third, never, DONE], [Fence(1, TASK, 1), old])
    assert [turn.fence.attempt for turn in order] == [1, 3, 4]
    assert [turn.facts for turn in order] == [DONE, third, None]
    first = next_turn(order, None, 0)
    assert first is not None
    assert [
        t and t.fence.attempt for t in (first, next_turn(order, first.fence, 0), next_turn(order, old, 0))
    ] == [1, 3, None]
    only = next_turn(order, None, 3)
    assert only is not None
    assert next_turn(order, only.fence, 3) is None


def test_cursors_are_read_back() -> None:
    cursor = Cursor(Fence(7, TASK, 2), (1, 2**63, 0), Stage.ENDED)
    sought = Cursor(Fence(7, TASK, 2), stage=Stage.SEEKING, since_ns=1_700_000_000_000_000_000)
    for one in (cursor, sought, cursor.behind(2, 2**64 - 1), cursor.behind_hole(1, 9)):
        assert Cursor.parse(str(one)) == one
    assert cursor.behind_hole(1, 9).told is LogState.INCOMPLETE


@pytest.mark.parametrize("text", ["", "x", "MSA", "%%%%", "A" * 400, str(Cursor(Fence(1, TASK, 1)))[:-3]])
def test_other_texts_are_not_cursors(text: str) -> None:
    with pytest.raises(MalformedCursor):
        Cursor.parse(text)
