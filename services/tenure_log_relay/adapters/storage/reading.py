"""How does a reader get frames that are no longer in memory?

Blocks of a segment are read in a thread and verified once more, since a disk may have lost a bit in the
meantime. A record that is damaged is left out; the view then tells the reader of a hole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tenure_core.frames import PORTION
from tenure_log_relay.adapters.storage.attempt import AttemptLog, Chunk
from tenure_log_relay.adapters.storage.hot import hot_chunk
from tenure_log_relay.adapters.storage.records import (
    HEADER_SIZE,
    MAGIC,
    DamagedRecord,
    Kind,
    Record,
    read_frames,
    record_at,
)

if TYPE_CHECKING:
    from tenure_core.frames import Frame
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_log_relay.adapters.storage.segment import Segment
    from tenure_log_relay.domain.extents import Extent

BLOCK: Final = 512 << 10


async def next_chunk(log: SegmentLog, attempt: AttemptLog, number: int, most: int = PORTION) -> Chunk | None:
    """Committed frames from frame `number` on; None when there are none yet.

    `after` of the chunk is where to go on, also when nothing of it could be read.
    """
    if number >= attempt.committed.number:
        return None
    chunk = hot_chunk(attempt, number, most)
    return chunk if chunk is not None else await _from_disk(log, attempt, number)


async def _from_disk(log: SegmentLog, attempt: AttemptLog, number: int) -> Chunk:
    extents = attempt.extents
    if not len(extents):
        hot = attempt.hot
        return Chunk([], number, hot[0].first if hot and hot[0].first > number else attempt.committed.number)
    index = extents.of_number(number)
    extent = extents[index]
    if number < extent.number:
        return Chunk([], number, extent.number, reached=extent.offsets)
    following = extents[index + 1] if index + 1 < len(extents) else None
    after = max(following.number if following is not None else attempt.committed.number, number + 1)
    reached = following.offsets if following is not None else None
    segment = log.segments.get(extent.segment)
    if segment is None:
        return Chunk([], number, after, reached=reached)
    slot = segment.named[attempt.key].slot
    segment.acquire()
    try:
        loop = asyncio.get_running_loop()
        frames, whole = await loop.run_in_executor(log.readers, _read, segment, extent, slot, number)
    finally:
        segment.release()
    if not whole:
        return Chunk(frames, number, frames[-1].number + 1)
    return Chunk(frames, number, after, reached=reached)


def _read(segment: Segment, extent: Extent, slot: int, number: int) -> tuple[list[Frame], bool]:
    """Up to a block of frames from `number` on; the flag says whether the extent ends with them."""
    view = memoryview(segment.read(extent.start, extent.length))
    frames: list[Frame] = []
    size = position = 0
    while position + HEADER_SIZE <= len(view):
        record = _record(view, position)
        if record is None:
            position = _next_header(view, position + 1)
            continue
        position = record.end
        if record.kind is not Kind.FRAMES or record.slot != slot:
            continue
        new = _frames(record, number)
        frames += new
        size += len(record.payload) if new else 0
        if size >= BLOCK:
            return frames, position + HEADER_SIZE > len(view)
    return frames, True


def _record(view: memoryview, position: int) -> Record | None:
    try:
        return record_at(view, position)
    except DamagedRecord:
        return None


def _next_header(view: memoryview, position: int) -> int:
    found = bytes(view).find(MAGIC, position)
    return found if found >= 0 else len(view)


def _frames(record: Record, number: int) -> list[Frame]:
    try:
        frames = read_frames(record)
    except DamagedRecord:
        return []
    return frames if not frames or frames[0].number >= number else [f for f in frames if f.number >= number]
