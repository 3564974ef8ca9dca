"""Do resources balance, labels match, and retries wait as they say?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure_core.labels import Constraint, Operator, Preference, preference_score, unmet
from tenure_core.resources import Capacity, Demand, Grant, Pool
from tenure_core.retry import LossBudget, RetryPolicy, repeated_delay
from tenure_core.states import AttemptOutcome
from tenure_core.timing import SECOND_NS, Now

CAPACITY = Capacity(4_000, 1_000, {"licence": 2}, {"gpu": (0, 1, 2), "fpga": (7,)})
amounts = st.integers(0, 3)
demands = st.builds(
    Demand,
    st.integers(0, 3_000),
    st.integers(0, 600),
    st.one_of(st.just(()), st.tuples(st.tuples(st.just("licence"), amounts))),
    st.one_of(st.just(()), st.tuples(st.tuples(st.just("gpu"), amounts))),
)


@given(st.lists(st.one_of(demands, st.integers(0, 5)), max_size=30))
def test_whatever_is_taken_and_given_back_the_books_balance(steps: list[Demand | int]) -> None:
    """A demand is taken if it fits; a number gives that grant back."""
    pool, granted = Pool(CAPACITY), list[Grant]()
    for step in steps:
        if isinstance(step, int):
            if step < len(granted):
                pool.give_back(granted.pop(step))
        elif pool.fits(step):
            assert pool.lacking(step) == []
            granted.append(pool.take(step))
        else:
            assert pool.lacking(step)
        assert pool.faults(granted) == []
        assert not pool.overdrawn


def test_devices_are_granted_by_index_lowest_first() -> None:
    pool = Pool(CAPACITY)
    two = Demand(indexed=(("gpu", 2),))
    first = pool.take(two)
    assert first.indexes == (("gpu", (0, 1)),)
    assert not pool.fits(two)
    assert pool.lacking(two) == ["gpu: needs 2 devices, free 1"]
    pool.give_back(first)
    assert pool.fits(two)


def test_a_worker_that_comes_back_smaller_is_overdrawn_until_its_attempts_end() -> None:
    grant = Pool(CAPACITY).take(Demand(cpu_milli=4_000, indexed=(("gpu", 3),)))
    pool = Pool(Capacity(1_000, 1_000, {}, {"gpu": (0,)}))
    pool.take_back(grant)
    assert pool.overdrawn
    assert not pool.fits(Demand(cpu_milli=1))
    pool.give_back(grant)
    assert pool.indexed["gpu"] == [0]
    assert not pool.overdrawn


def test_the_books_show_a_device_that_was_granted_twice() -> None:
    pool = Pool(CAPACITY)
    grant = pool.take(Demand(indexed=(("gpu", 1),)))
    assert any("granted twice" in fault for fault in pool.faults([grant, grant]))


@pytest.mark.parametrize(
    ("operator", "values", "label", "matches"),
    [
        (Operator.IN, ("a", "b"), "b", True),
        (Operator.IN, ("a", "b"), "c", False),
        (Operator.IN, ("a",), None, False),
        (Operator.NOT_IN, ("a",), None, True),
        (Operator.NOT_IN, ("a",), "a", False),
        (Operator.EXISTS, (), "", True),
        (Operator.EXISTS, (), None, False),
        (Operator.NOT_EXISTS, (), None, True),
        (Operator.NOT_EXISTS, (), "x", False),
        (Operator.GREATER_THAN, ("9",), "10", True),
        (Operator.GREATER_THAN, ("9",), "9", False),
        (Operator.GREATER_THAN, ("9",), "many", False),
        (Operator.LESS_THAN, ("2.5",), "2.4", True),
        (Operator.LESS_THAN, ("2.5",), None, False),
    ],
)
def test_constraints(operator: Operator, values: tuple[str, ...], label: str | None, matches: bool) -> None:
    labels = {} if label is None else {"key": label}
    constraint = Constraint("key", operator, values)
    assert constraint.problem() is None
    assert constraint.matches(labels) == matches
    assert (unmet((constraint,), labels) is None) == matches
    assert str(constraint).startswith("key ")


@pytest.mark.parametrize(
    ("constraint", "problem"),
    [
        (Constraint("", Operator.EXISTS), "the label's key is empty"),
        (Constraint("k", Operator.IN), "'in' needs at least one value"),
        (Constraint("k", Operator.EXISTS, ("a",)), "'exists' takes no values, got 1"),
        (Constraint("k", Operator.LESS_THAN, ("a", "b")), "'<' takes one value, got 2"),
        (Constraint("k", Operator.LESS_THAN, ("a",)), "'a' is not a number"),
    ],
)
def test_constraints_that_cannot_be_meant(constraint: Constraint, problem: str) -> None:
    assert constraint.problem() == problem


def test_preferences_score_between_minus_one_and_one() -> None:
    near, far = Constraint("zone", Operator.IN, ("a",)), Constraint("zone", Operator.IN, ("b",))
    wishes = (Preference(near, 3), Preference(far, -1))
    assert preference_score(wishes, {"zone": "a"}) == 0.75
    assert preference_score(wishes, {"zone": "b"}) == -0.25
    assert preference_score((), {"zone": "a"}) == 0.0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds(failures: int, roll: float) -> None:
    policy = RetryPolicy(
        max_failures=5, initial_backoff=2.0, backoff_factor=3.0, max_backoff=100.0, jitter=0.5
    )
    whole = min(2.0 * 3.0 ** min(failures - 1, 64), 100.0)
    assert whole * 0.5 <= policy.delay(failures, roll) <= whole


def test_which_failures_are_retried() -> None:
    failed, timed_out = AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT
    assert not RetryPolicy().allows(failed, 1, 1)
    some = RetryPolicy(max_failures=2, retry_exit_codes=frozenset({75, 137}))
    assert some.allows(failed, 75, 2)
    assert not some.allows(failed, 75, 3)
    assert not some.allows(failed, 1, 1)
    assert some.allows(timed_out, None, 1)


@pytest.mark.parametrize(
    ("workers", "exhausted"),
    [
        ("a", False),
        ("aab", True),
        ("aaa", False),
        ("aaaa", False),
        ("aaaaa", True),
        ("ab", False),
        ("aaaab", True),
    ],
)
def test_the_loss_budget(workers: str, exhausted: bool) -> None:
    assert LossBudget().exhausted(list(workers)) == exhausted


def test_attempts_that_keep_not_starting_come_later_and_later() -> None:
    assert [repeated_delay(n) for n in (0, 1, 2, 3, 9, 50)] == [0.0, 0.0, 0.5, 1.0, 30.0, 30.0]


def test_a_persisted_deadline_is_clamped() -> None:
    now = Now(100.0, 50 * SECOND_NS)
    assert now.until(53 * SECOND_NS, 10.0) == 103.0
    assert now.until(0, 10.0) == 100.0
    assert now.until(10_000 * SECOND_NS, 10.0) == 110.0
    assert now.utc_after(1.5) == 51_500_000_000
