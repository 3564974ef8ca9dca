"""Are the transition tables complete, literal and sound?"""

from __future__ import annotations

from itertools import product

import pytest

from tenure_core.states import (
    ATTEMPT_TRANSITIONS,
    COUNTED_AS_FAILURE,
    COUNTED_AS_LOSS,
    PLACED,
    REOPENABLE,
    REQUEUED_UNCOUNTED,
    TASK_TRANSITIONS,
    TERMINAL,
    WAITING,
    AttemptOutcome,
    AttemptStage,
    ForbiddenTransition,
    TaskState,
    check_transition,
    mermaid,
    table,
)

ALLOWED = """
PENDING     > BACKOFF ASSIGNED RUNNING QUARANTINED SUCCEEDED FAILED CANCELLED
BACKOFF     > PENDING ASSIGNED RUNNING QUARANTINED SUCCEEDED FAILED CANCELLED
ASSIGNED    > PENDING BACKOFF RUNNING CANCELLING QUARANTINED SUCCEEDED FAILED
RUNNING     > PENDING BACKOFF CANCELLING QUARANTINED SUCCEEDED FAILED
CANCELLING  > SUCCEEDED FAILED CANCELLED
QUARANTINED > PENDING BACKOFF ASSIGNED RUNNING SUCCEEDED FAILED CANCELLED
SUCCEEDED   >
FAILED      >
CANCELLED   >
"""


def allowed() -> set[tuple[TaskState, TaskState]]:
    pairs = set()
    for line in ALLOWED.strip().splitlines():
        before, _, afters = line.partition(">")
        pairs |= {(TaskState[before.strip()], TaskState[after]) for after in afters.split()}
    return pairs


@pytest.mark.parametrize(("before", "after"), list(product(TaskState, TaskState)))
def test_every_pair_of_task_states(before: TaskState, after: TaskState) -> None:
    if (before, after) in allowed():
        check_transition(before, after)
    else:
        with pytest.raises(ForbiddenTransition, match=f"{before.name} to {after.name}"):
            check_transition(before, after)


@pytest.mark.parametrize(("before", "after"), list(product(AttemptStage, AttemptStage)))
def test_every_pair_of_attempt_stages(before: AttemptStage, after: AttemptStage) -> None:
    forbidden = {
        (AttemptStage.ASSIGNED, AttemptStage.ASSIGNED),
        (AttemptStage.STARTED, AttemptStage.STARTED),
        (AttemptStage.STARTED, AttemptStage.ASSIGNED),
        (AttemptStage.ENDED, AttemptStage.ENDED),
    }
    assert (after in ATTEMPT_TRANSITIONS[before]) == ((before, after) not in forbidden)


def test_each_state_is_of_one_kind() -> None:
    assert set(TaskState) == TERMINAL | WAITING | PLACED
    assert len(TaskState) == len(TERMINAL) + len(WAITING) + len(PLACED)


def test_terminal_states_lead_nowhere_and_every_other_state_to_an_end() -> None:
    for state in TaskState:
        assert (not TASK_TRANSITIONS[state]) == (state in TERMINAL)
        assert state in TERMINAL or TASK_TRANSITIONS[state] & TERMINAL


def test_every_outcome_has_one_consequence() -> None:
    decided = {AttemptOutcome.SUCCEEDED, AttemptOutcome.REJECTED}
    kinds = [decided, COUNTED_AS_FAILURE, COUNTED_AS_LOSS, REQUEUED_UNCOUNTED]
    for outcome in AttemptOutcome:
        assert sum(outcome in kind for kind in kinds) == 1
    assert REOPENABLE.isdisjoint(decided | COUNTED_AS_FAILURE)


def test_the_diagrams_show_the_table() -> None:
    drawn = mermaid()
    rows = dict(line.split(maxsplit=1) for line in table().splitlines()[1:])
    for before, after in product(TaskState, TaskState):
        assert (f"    {before.name} --> {after.name}\n" in drawn) == ((before, after) in allowed())
    assert rows["CANCELLING"].split() == [*"......xxx"]
