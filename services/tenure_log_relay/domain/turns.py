"""Which attempt does a reader of a task see next?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tenure_core.fence import Fence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tenure_log_relay.domain.ending import AttemptFacts


class Turn(NamedTuple):
    """One attempt as a reader meets it."""

    fence: Fence
    facts: AttemptFacts | None
    """None when only the relay's own log knows it."""


def turns(known: Iterable[AttemptFacts], logged: Iterable[Fence]) -> list[Turn]:
    """All attempts that the scheduler's record or the relay's log knows, in order, each once.

    Attempts that were never started and left nothing behind are passed over.
    """
    merged: dict[Fence, AttemptFacts | None] = dict.fromkeys(logged)
    for facts in known:
        fence = Fence.parse(facts.fence)
        if fence in merged or facts.outcome != NOT_STARTED:
            merged[fence] = facts
    return [Turn(fence, merged[fence]) for fence in sorted(merged)]


NOT_STARTED = 7
"""`tenure.v1.ATTEMPT_OUTCOME_NOT_STARTED`."""


def next_turn(order: Sequence[Turn], after: Fence | None, only: int) -> Turn | None:
    """The first attempt behind `after`; with `only`, the newest attempt of that number, once."""
    if only:
        matching = [turn for turn in order if turn.fence.attempt == only]
        return matching[-1] if matching and after is None else None
    return next((turn for turn in order if after is None or turn.fence > after), None)
