"""Which committed bytes are still in memory?

Readers that are up to date are served from here right after the fsync. The oldest chunks go when the budget
is used up, whoever wants them still: those readers go on from the disk.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure_log_relay.adapters.storage.attempt import AttemptLog, Chunk


class HotMemory:
    """A budget of bytes for the newest chunks of all attempts."""

    __slots__ = ("_order", "budget", "used")

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._order: deque[AttemptLog] = deque()

    def add(self, attempt: AttemptLog, chunk: Chunk) -> None:
        """Keep a chunk, and drop as many of the oldest as it takes."""
        attempt.hot.append(chunk)
        self._order.append(attempt)
        self.used += chunk.cost
        while self.used > self.budget and self._order:
            self.used -= self._order.popleft().hot.popleft().cost


def hot_chunk(attempt: AttemptLog, number: int) -> Chunk | None:
    """The chunk in memory that begins with, or holds, frame `number`."""
    hot = attempt.hot
    if not hot or number < hot[0].first:
        return None
    if number >= hot[-1].first:
        return hot[-1] if number < hot[-1].after else None
    low, high = 0, len(hot) - 1
    while low < high:
        middle = (low + high) // 2
        if number < hot[middle].after:
            high = middle
        else:
            low = middle + 1
    return hot[low]
