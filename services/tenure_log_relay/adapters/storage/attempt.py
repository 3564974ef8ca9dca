"""What does the relay know of one attempt's output?"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from tenure_core.fence import Fence
from tenure_core.frames import GAP, Frame
from tenure_log_relay.domain.extents import Extents
from tenure_log_relay.domain.ingest import Ingest
from tenure_log_relay.domain.position import NO_OFFSETS, START, Offsets, Position, advanced

FRAME_COST: Final = 600
CHUNK_COST: Final = 1_500


class Signal:
    """Something that several coroutines wait for, again and again, without polling."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Wake everybody who waits now."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def waiter(self) -> asyncio.Future[None]:
        """A future that the next `notify` completes. Take it before looking at the state that it announces."""
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        return future

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Drop a waiter that lost its interest."""
        if not waiter.done():
            waiter.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)


class Chunk:
    """Neighbouring frames of one attempt in memory, with what views made of them for readers at the same place."""

    __slots__ = ("after", "cost", "first", "frames", "views")

    def __init__(self, frames: list[Frame], first: int, after: int, size: int = 0) -> None:
        self.frames = frames
        self.first = first
        """Number of the frame at which it begins."""
        self.after = after
        """Number of the frame that comes next."""
        self.cost = size + CHUNK_COST + FRAME_COST * len(frames)
        self.views: dict[Any, Any] | None = None
        """None for a chunk that only one reader sees."""


class AttemptLog:
    """One attempt: what was taken, what is committed, and where it lies."""

    __slots__ = (
        "changed",
        "committed",
        "extents",
        "fence",
        "final_frames",
        "hot",
        "ingest",
        "key",
        "missing",
        "reported",
    )

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        self.key = str(fence)
        self.ingest = Ingest()
        self.committed: Position = START
        self.missing: Offsets = NO_OFFSETS
        """Bytes within the committed offsets that are not there."""
        self.final_frames: int | None = None
        """How many frames the attempt has in all, once its agent said so and it is on disk."""
        self.reported = False
        """The scheduler acknowledged the state of this log."""
        self.extents = Extents()
        self.hot: deque[Chunk] = deque()
        self.changed = Signal()

    @property
    def complete(self) -> bool:
        """Whether everything that the attempt wrote is committed, gaps included."""
        return self.final_frames is not None and self.committed.number >= self.final_frames

    @property
    def missing_bytes(self) -> int:
        return sum(self.missing)

    def advance(self, frames: list[Frame]) -> None:
        """These frames are on disk."""
        number, offsets, after_gap = self.committed
        for frame in frames:
            have = offsets[frame.channel - 1]
            end = frame.end_offset if frame.flags & GAP else frame.offset + len(frame.payload)
            lost = max(0, (end if frame.flags & GAP else frame.offset) - have)
            if lost:
                channel = frame.channel
                self.missing = advanced(self.missing, channel, self.missing[channel - 1] + lost)
            if end > have:
                offsets = advanced(offsets, frame.channel, end)
            number = frame.number + 1
            after_gap = bool(frame.flags & GAP)
        self.committed = Position(number, offsets, after_gap)
