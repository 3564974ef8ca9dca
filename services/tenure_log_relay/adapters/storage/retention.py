"""Which segments are deleted, and what must be known before that?

The oldest go first: those whose newest record is too old, and as many as it takes to come below the size
limit. An attempt that has not ended keeps its position: it is named once more in the segment that is being
written, and only when that is on disk is the old segment deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_log_relay.adapters.storage.segment import Segment


def expired(log: SegmentLog) -> list[Segment]:
    """The segments that have to go now, oldest first; never the one that is being written."""
    horizon = log.wall_ns() - int(log.limits.retain_seconds * 1e9)
    excess = log.bytes - log.limits.retain_bytes
    going = []
    for sequence in sorted(log.segments):
        segment = log.segments[sequence]
        if segment is log.active or (excess <= 0 and segment.newest_ns >= horizon):
            break
        excess -= segment.size
        going.append(segment)
    return going


async def enforce(log: SegmentLog) -> int:
    """Delete what has expired; returns how many bytes that were."""
    freed = 0
    for segment in expired(log):
        await _carry_over(log, segment)
        for key in segment.named:
            attempt = log.attempts.get(key)
            if attempt is not None:
                attempt.extents.drop_segment(segment.sequence)
                if attempt.complete and not len(attempt.extents):
                    log.forget(attempt)
        del log.segments[segment.sequence]
        segment.remove()
        freed += segment.size
    return freed


async def _carry_over(log: SegmentLog, segment: Segment) -> None:
    """Name the attempts that have not ended and lie in no later segment in the active one."""
    later = [s for sequence, s in log.segments.items() if sequence > segment.sequence]
    for key in segment.named:
        attempt = log.attempts.get(key)
        if attempt is not None and not attempt.complete and not any(key in s.named for s in later):
            log.note(attempt)
    await log.flush()
