"""When is a byte acknowledged, and where is it then?

`SegmentLog` takes frames of any number of attempts, writes whatever has gathered in one go, fsyncs, and
only then moves the attempts' committed positions, wakes readers and completes the pushes' futures. One
write is in flight at a time, in a thread; what arrives meanwhile makes up the next one. When the disk
refuses (full, a limit, an I/O error) nothing is dropped and nothing is acknowledged: the same batch is
tried again until it succeeds, pushers wait for room, readers go on.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenure_log_relay.adapters.storage.attempt import AttemptLog, Chunk, Signal
from tenure_log_relay.adapters.storage.batch import Batch, Item
from tenure_log_relay.adapters.storage.direct import DirectWriter
from tenure_log_relay.adapters.storage.hot import HotMemory
from tenure_log_relay.adapters.storage.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tenure_core.fence import Fence
    from tenure_log_relay.adapters.storage.records import State
    from tenure_log_relay.domain.ingest import Offered

MIB: Final = 1 << 20
MOST_ARRIVALS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLimits:
    """How much the log may hold."""

    segment_bytes: int = 64 * MIB
    """A segment that has reached this size is sealed and a new one begun."""
    hot_bytes: int = 48 * MIB
    """Memory for what was committed last, from which live readers are served."""
    pending_bytes: int = 24 * MIB
    """Bytes that may wait for the disk before pushers have to wait."""
    retain_bytes: int = 20 * 1024 * MIB
    """Total size above which the oldest segments are deleted."""
    retain_seconds: float = 7 * 86_400.0
    """Age at which a segment is deleted, counted from its newest record."""
    retry_seconds: float = 0.5
    """Pause before a write that the disk refused is tried again."""


DEFAULT_LIMITS: Final = StorageLimits()


class SegmentLog:
    """The relay's log on disk. `restore` fills it, then `run` writes until it is cancelled."""

    def __init__(
        self,
        folder: Path,
        limits: StorageLimits = DEFAULT_LIMITS,
        *,
        placement: int = 0,
        wall_ns: Callable[[], int] = time.time_ns,
        on_refusal: Callable[[str | None], None] = lambda reason: None,
        on_complete: Callable[[AttemptLog], None] = lambda attempt: None,
        on_durable: Callable[[int, int], None] | None = None,
    ) -> None:
        self.folder = folder
        self.limits = limits
        self.wall_ns = wall_ns
        self.attempts: dict[str, AttemptLog] = {}
        self.tasks: dict[str, list[AttemptLog]] = {}
        """Attempts of each task, in the order of their fences."""
        self._arrivals: dict[str, Signal] = {}
        self.segments: dict[int, Segment] = {}
        self.opened_at = time.monotonic()
        self.refusal: str | None = None
        """Why the disk does not take writes at present; None while it does."""
        self.rotten_bytes = 0
        """Damaged bytes found when the log was restored."""
        self.readers = ThreadPoolExecutor(3, "segment-reader")
        self.finished: asyncio.Queue[Segment] = asyncio.Queue()
        """Segments that do not grow any more and have no index yet."""
        self._on_refusal = on_refusal
        self.on_complete = on_complete
        """Told of each attempt of which everything is on disk, unless the scheduler knows it already."""
        self._on_durable = on_durable
        """Told of a channel and how many bytes of it a batch made durable."""
        self._placement = placement
        self._active: Segment | None = None
        self._waiting: deque[Batch] = deque()
        self._writing: Batch | None = None
        self._pending = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._hot = HotMemory(limits.hot_bytes)
        self._writer = ThreadPoolExecutor(1, "segment-writer")
        self._direct = DirectWriter()

    # Attempts

    def attempt(self, fence: Fence) -> AttemptLog:
        """The log of an attempt, begun if there is none."""
        found = self.attempts.get(str(fence))
        if found is None:
            found = AttemptLog(fence)
            self.attempts[found.key] = found
            siblings = self.tasks.setdefault(fence.task, [])
            siblings.append(found)
            siblings.sort(key=lambda attempt: attempt.fence)
            arrival = self._arrivals.pop(fence.task, None)
            if arrival is not None:
                arrival.notify()
        return found

    def arrival(self, task: str) -> Signal:
        """Notifies of the next attempt of a task that the log did not have before."""
        if len(self._arrivals) > MOST_ARRIVALS:
            self._arrivals = {task: signal for task, signal in self._arrivals.items() if signal.awaited}
        return self._arrivals.setdefault(task, Signal())

    def forget(self, attempt: AttemptLog) -> None:
        """Drop an attempt of which nothing is kept any more."""
        del self.attempts[attempt.key]
        siblings = self.tasks[attempt.fence.task]
        siblings.remove(attempt)
        if not siblings:
            del self.tasks[attempt.fence.task]

    # Taking

    async def room(self) -> None:
        """Wait until the disk has caught up enough to take more."""
        await self._room.wait()

    def push(self, attempt: AttemptLog, frames: bytes | memoryview) -> Offered:
        """Take what is new in `frames`; it is on disk when the `settled` of this moment completes.

        Raises DamagedFrame or UnknownChannel, with nothing taken.
        """
        offered = attempt.ingest.offer(frames)
        if offered.frames:
            self._enqueue(Item(attempt, offered.pieces, offered.frames, offered.size))
        return offered

    def note(self, attempt: AttemptLog, state: State | None = None) -> None:
        """Keep a fact about an attempt, or only its position, in the segment that is being written."""
        self._enqueue(Item(attempt, state=state))

    def settled(self) -> asyncio.Future[None] | None:
        """Completes when everything that was taken until now is on disk; None when it is."""
        if self._waiting:
            return self._waiting[-1].done
        return self._writing.done if self._writing is not None else None

    def _enqueue(self, item: Item) -> None:
        if not self._waiting or self._waiting[-1].full:
            self._waiting.append(Batch(asyncio.get_running_loop().create_future()))
        self._waiting[-1].add(item)
        self._pending += item.size
        if self._pending > self.limits.pending_bytes:
            self._room.clear()
        self._work.set()

    # Writing

    async def run(self) -> None:
        """Commit batch after batch, for ever. A batch in flight is finished also when this is cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                batch = self._writing = self._waiting.popleft()
                await self._persist(batch)
                self._writing = None
                self._apply(batch)

    async def flush(self) -> None:
        """Wait until everything taken so far is on disk. Only while `run` runs."""
        last = self.settled()
        if last is not None:
            await asyncio.shield(last)

    async def _persist(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self._writer, self._write, batch)
            except OSError as error:
                self._refused(f"{error.strerror or error}")
                await asyncio.sleep(self.limits.retry_seconds)
            else:
                self._refused(None)
                return

    def _refused(self, reason: str | None) -> None:
        if reason != self.refusal:
            self.refusal = reason
            self._on_refusal(reason)

    def _write(self, batch: Batch) -> None:
        """In the writer's thread: append one batch to the active segment, or to a new one if that is full."""
        now_ns = self.wall_ns()
        segment = self._active
        if segment is None or segment.size >= self.limits.segment_bytes or segment.broken:
            newest = segment.sequence if segment is not None else max(self.segments, default=0)
            segment = self._active = Segment.create(self.folder, newest + 1)
        buffers, named = batch.lay_out(segment, placement=self._placement, now_ns=now_ns)
        segment.append(buffers, self._direct)
        segment.named.update(named)
        segment.newest_ns = max(segment.newest_ns, now_ns)
        batch.segment = segment

    def _apply(self, batch: Batch) -> None:
        """On the loop: what `batch` holds is durable."""
        touched: dict[AttemptLog, None] = {}
        segment = batch.segment
        assert segment is not None, "a batch is applied after it was written"
        if segment.sequence not in self.segments:
            self._begun(segment)
        for item in batch.items:
            attempt = item.attempt
            if item.frames:
                self._committed(item, segment.sequence)
            if item.state is not None:
                attempt.final_frames, attempt.reported = item.state
                if not attempt.reported:
                    self.on_complete(attempt)
            touched[attempt] = None
        for attempt in touched:
            segment.ends[attempt.key] = attempt.end
        self._pending -= batch.size
        if self._pending <= self.limits.pending_bytes:
            self._room.set()
        batch.done.set_result(None)
        for attempt in touched:
            attempt.changed.notify()

    def _begun(self, segment: Segment) -> None:
        before = max(self.segments, default=0)
        if before and self.segments[before].ends:
            self.finished.put_nowait(self.segments[before])
        self.segments[segment.sequence] = segment

    def _committed(self, item: Item, segment: int) -> None:
        attempt, frames = item.attempt, item.frames
        position = attempt.committed._replace(number=frames[0].number)
        if self._on_durable is not None:
            for frame in frames:
                if not frame.is_gap:
                    self._on_durable(frame.channel, len(frame.payload))
        attempt.extents.add(segment, item.start, item.record_size, position, frames[0].wall_ns)
        first = attempt.committed.number
        attempt.advance(frames)
        self._hot.add(attempt, Chunk(frames, first, attempt.committed.number, item.size))

    @property
    def active(self) -> Segment | None:
        """The segment that is being written."""
        return self._active

    @property
    def bytes(self) -> int:
        """Size of all segments."""
        return sum(segment.size for segment in self.segments.values())

    def close(self) -> None:
        """Close files and threads; `run` has ended."""
        self._writer.shutdown()
        self.readers.shutdown()
        for segment in self.segments.values():
            segment.close()
