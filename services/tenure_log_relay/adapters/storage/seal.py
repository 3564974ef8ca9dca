"""How does a relay start quickly although it keeps gigabytes?

When a segment will not grow any more, what a walk over it would find is written beside it: who is in it,
where, and how far each attempt was at its end. A start then reads only the newest segments in full. An
index that does not fit its segment is ignored, and the segment is walked over instead.
"""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from array import array
from typing import TYPE_CHECKING, Final

from tenure_core.fence import Fence
from tenure_log_relay.adapters.storage.attempt import End
from tenure_log_relay.adapters.storage.segment import Named, sync_folder
from tenure_log_relay.domain.position import PACKED_SIZE, Position

if TYPE_CHECKING:
    from pathlib import Path

    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_log_relay.adapters.storage.segment import Segment

MAGIC: Final = b"TLI1"
_HEAD: Final = struct.Struct("<4sIQQI")
_ENTRY: Final = struct.Struct("<HIQIQB3Q")
SLICE: Final = 500


async def run(log: SegmentLog) -> None:
    """Write the index of each segment that was finished, for ever."""
    while True:
        segment = await log.finished.get()
        body = await _packed(log, segment)
        if body is not None:
            await asyncio.get_running_loop().run_in_executor(log.readers, _write, segment, body)
            segment.ends.clear()


async def _packed(log: SegmentLog, segment: Segment) -> bytes | None:
    """The entries of a segment's index; None when the segment was deleted meanwhile."""
    parts: list[bytes] = []
    for count, (key, end) in enumerate(list(segment.ends.items())):
        if count % SLICE == 0:
            await asyncio.sleep(0)
            if segment.sequence not in log.segments:
                return None
        attempt = log.attempts.get(key)
        if attempt is not None:
            parts.append(_entry(key, segment.named[key], end, attempt.extents.words_of(segment.sequence)))
    return b"".join(parts)


def _entry(key: str, named: Named, end: End, words: array[int]) -> bytes:
    fence = key.encode()
    final = 0 if end.final_frames is None else end.final_frames + 1
    head = _ENTRY.pack(len(fence), named.slot, named.at, len(words), final, end.reported, *end.missing)
    return b"".join((head, end.position.pack(), fence, words.tobytes()))


def _write(segment: Segment, body: bytes) -> None:
    """A disk that refuses leaves no index, which is no loss."""
    head = _HEAD.pack(MAGIC, zlib.crc32(body), segment.size, segment.newest_ns, len(body))
    partial = segment.index_path.with_suffix(".new")
    try:
        with partial.open("wb") as out:
            out.write(head + body)
            out.flush()
            os.fsync(out.fileno())
        partial.rename(segment.index_path)
        sync_folder(partial.parent)
    except OSError:
        _discard(partial)


def _discard(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        return


def load(log: SegmentLog, segment: Segment) -> bool:
    """Take a segment's contents from its index; False when there is none that fits."""
    try:
        data = segment.index_path.read_bytes()
    except OSError:
        return False
    if len(data) < _HEAD.size:
        return False
    magic, crc, size, newest_ns, length = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if magic != MAGIC or size != segment.size or length != len(body) or zlib.crc32(body) != crc:
        return False
    segment.newest_ns = newest_ns
    at = 0
    while at < length:
        at = _take(log, segment, body, at)
    return True


def _take(log: SegmentLog, segment: Segment, body: memoryview, at: int) -> int:
    entry: tuple[int, ...] = _ENTRY.unpack_from(body, at)
    size, slot, named_at, words, final, reported, *missing = entry
    at += _ENTRY.size
    position = Position.unpack(body[at:])
    at += PACKED_SIZE
    attempt = log.attempt(Fence.parse(bytes(body[at : at + size]).decode()))
    at += size
    segment.named[attempt.key] = Named(slot, named_at)
    attempt.extents.add_words(array("q", bytes(body[at : at + 8 * words])))
    if position.number >= attempt.committed.number:
        attempt.committed = position
        attempt.missing = (missing[0], missing[1], missing[2])
    if final:
        attempt.final_frames, attempt.reported = final - 1, bool(reported)
    return at + 8 * words
