"""Which committed bytes are still in memory?

Readers that are up to date are served from here right after the fsync. The oldest chunks go when the budget
is used up, whoever wants them still: those readers go on from the disk.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from tenure_core.frames import PORTION
from tenure_log_relay.adapters.storage.attempt import Chunk

if TYPE_CHECKING:
    from tenure_core.frames import Frame
    from tenure_log_relay.adapters.storage.attempt import AttemptLog


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


def hot_chunk(attempt: AttemptLog, number: int, most: int = PORTION) -> Chunk | None:
    """Chunks in memory from frame `number` on, joined while they cost at most `most` bytes.

    So who is behind gets fewer messages.
    """
    hot = attempt.hot
    if not hot or number < hot[0].first or number >= hot[-1].after:
        return None
    index = _index(hot, number)
    chunk = hot[index]
    if index == len(hot) - 1 or chunk.cost > most:
        return chunk
    frames: list[Frame] = []
    cost = 0
    for following in islice(hot, index, None):
        cost += following.cost
        if frames and cost > most:
            break
        frames += following.frames
        chunk = following
    return Chunk(frames, hot[index].first, chunk.after)


def _index(hot: deque[Chunk], number: int) -> int:
    """Index of the chunk that begins with, or holds, frame `number`."""
    low, high = 0, len(hot) - 1
    if number >= hot[-1].first:
        return high
    while low < high:
        middle = (low + high) // 2
        if number < hot[middle].after:
            high = middle
        else:
            low = middle + 1
    return low
