"""Do ids and fences survive their text form, and does the text say what is wrong with it?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure_core.fence import Fence, MalformedFence
from tenure_core.ids import ALPHABET, is_prefix, is_task_id, task_id

ids = st.binary(min_size=13, max_size=20).map(task_id)
fences = st.builds(Fence, st.integers(1, 2**63 - 1), ids, st.integers(1, 2**32 - 1))


@given(st.binary(min_size=13, max_size=13))
def test_an_id_is_the_first_100_bits_in_base_32(random: bytes) -> None:
    text = task_id(random)
    assert is_task_id(text)
    assert (
        sum(ALPHABET.index(c) << 5 * i for i, c in enumerate(reversed(text))) == int.from_bytes(random) >> 4
    )


def test_an_id_needs_enough_randomness() -> None:
    with pytest.raises(ValueError, match="needs 13 random bytes, got 12"):
        task_id(bytes(12))


@pytest.mark.parametrize(
    ("text", "good"), [("0", True), ("", False), ("u", False), ("0" * 20, True), ("0" * 21, False)]
)
def test_prefixes(text: str, good: bool) -> None:
    assert is_prefix(text) == good


@given(fences)
def test_the_text_reads_back(fence: Fence) -> None:
    assert Fence.parse(str(fence)) == fence


@given(fences, fences)
def test_order_is_incarnation_then_attempt_within_a_task(one: Fence, other: Fence) -> None:
    other = other._replace(task=one.task)
    assert one.newer_than(other) == ((one.n, one.attempt) > (other.n, other.attempt))
    assert one.newer_than(other) == (one > other)
    assert not one.newer_than(other._replace(task="z" * 20))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has 1 parts instead of 3"),
        ("1.2.3.4", "it has 4 parts"),
        ("1.short.1", "'short' is not a task id"),
        (f"x.{'0' * 20}.1", "its incarnation 'x' is not a positive whole number"),
        (f"0.{'0' * 20}.1", "its incarnation '0'"),
        (f"1.{'0' * 20}.-1", "its attempt '-1'"),
        (f"1.{'0' * 20}.01", "its attempt '01'"),
        (f"1.{'0' * 20}.²", "its attempt '²'"),
    ],
)
def test_what_is_not_a_fence_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(MalformedFence, match=reason):
        Fence.parse(text)
