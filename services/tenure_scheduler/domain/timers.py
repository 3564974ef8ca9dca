"""What is due, and when is the next thing due?

A timer is never cancelled: whoever set it checks, when it fires, whether its reason still holds. That keeps
the hot path free of bookkeeping.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from tenure_core.timing import Instant


class Timers:
    """A heap of (instant, order of setting, action, arguments)."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: Instant, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action(*arguments)` once, at the first `apply` at or after `when`."""
        self._count += 1
        heappush(self._heap, (when, self._count, action, arguments))

    def fire(self, now: Instant) -> None:
        """Call everything that is due, in order; what that sets for `now` or before is called as well."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, action, arguments = heappop(heap)
            action(*arguments)

    @property
    def next(self) -> Instant | None:
        """When the first timer is due."""
        return self._heap[0][0] if self._heap else None
