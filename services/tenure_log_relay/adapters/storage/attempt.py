"""What does the relay know of one attempt's output?"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tenure_core.frames import GAP, Frame
from tenure_log_relay.domain.extents import Extents
from tenure_log_relay.domain.ingest import Ingest
from tenure_log_relay.domain.position import NO_OFFSETS, START, Offsets, Position, advanced

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from tenure_core.fence import Fence

FRAME_COST: Final = 600
CHUNK_COST: Final = 1_500
SHARED_BYTES: Final = 4 << 20


class Signal:
    """Something that several coroutines wait for, again and again, without polling."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wake everybody who waits now."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            wake(waiter)

    def add(self, waiter: asyncio.Future[None]) -> None:
        """Let the next `notify` complete this future, which may wait for other signals as well."""
        self._waiters.add(waiter)

    @property
    def awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters)

    def discard(self, waiter: asyncio.Future[None]) -> None:
        """Forget a waiter, whether it was woken or not."""
        self._waiters.discard(waiter)


def wake(waiter: asyncio.Future[None]) -> None:
    """Complete a future that may be complete already."""
    if not waiter.done():
        waiter.set_result(None)


async def any_of(signals: Sequence[Signal], timeout: float | None = None) -> None:
    """Wait for the next notification of any of the signals, or for the time to pass."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    for signal in signals:
        signal.add(waiter)
    timer = None if timeout is None else loop.call_later(timeout, wake, waiter)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        for signal in signals:
            signal.discard(waiter)


class Chunk:
    """Neighbouring frames of one attempt in memory."""

    __slots__ = ("after", "cost", "first", "frames", "reached")

    def __init__(
        self, frames: list[Frame], first: int, after: int, size: int = 0, reached: Offsets | None = None
    ) -> None:
        self.frames = frames
        self.first = first
        """Number of the frame at which it begins."""
        self.after = after
        """Number of the frame that comes next."""
        self.reached = reached
        """Where the channels are at that frame, if that is known otherwise than from the frames."""
        self.cost = size + CHUNK_COST + FRAME_COST * len(frames)


class Shared:
    """Messages that several readers at the same place get, so that they are made once."""

    __slots__ = ("_kept", "_size")

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[list[bytes], Any, int]] | None = None
        self._size = 0

    def get(self, key: Hashable) -> tuple[list[bytes], Any] | None:
        """What was put under this key, while it is kept."""
        found = None if self._kept is None else self._kept.get(key)
        return None if found is None else found[:2]

    def put(self, key: Hashable, messages: list[bytes], state: Any) -> None:
        """Keep messages and the state behind them for a while."""
        if self._kept is None:
            self._kept = OrderedDict()
        size = sum(map(len, messages)) + CHUNK_COST
        self._kept[key] = (messages, state, size)
        self._size += size
        while self._size > SHARED_BYTES and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1][2]

    def clear(self) -> None:
        """Keep nothing."""
        self._kept = None
        self._size = 0


class End(NamedTuple):
    """How far an attempt was when something was written about it last."""

    position: Position
    missing: Offsets
    final_frames: int | None
    reported: bool


class AttemptLog:
    """One attempt: what was taken, what is committed, and where it lies."""

    __slots__ = (
        "changed",
        "committed",
        "declared_final",
        "extents",
        "fence",
        "final_frames",
        "hot",
        "ingest",
        "key",
        "missing",
        "readers",
        "reported",
        "shared",
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
        self.declared_final: int | None = None
        """The same, as soon as the agent said so."""
        self.reported = False
        """The scheduler acknowledged the state of this log."""
        self.extents = Extents()
        self.hot: deque[Chunk] = deque()
        self.changed = Signal()
        self.readers = 0
        self.shared = Shared()

    @property
    def complete(self) -> bool:
        """Whether everything that the attempt wrote is committed, gaps included."""
        return self.final_frames is not None and self.committed.number >= self.final_frames

    @property
    def end(self) -> End:
        """How far it is."""
        return End(self.committed, self.missing, self.final_frames, self.reported)

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
