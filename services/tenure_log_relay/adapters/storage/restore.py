"""What does the relay have after a start?

The segments say everything: which attempts there are, how far each is, whether it has ended. Damage was
judged by `recovery`; what it took from the end of an attempt moves that attempt's position back, and its
agent fills it again. A new segment is begun for what comes, so that nothing is ever appended behind a
repaired end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure_core.fence import Fence
from tenure_log_relay.adapters.storage import recovery, seal
from tenure_log_relay.adapters.storage.records import Kind, Name, Record, read_name, read_state
from tenure_log_relay.adapters.storage.segment import Named, Segment, segment_paths

if TYPE_CHECKING:
    from tenure_core.frames import Frame
    from tenure_log_relay.adapters.storage.attempt import AttemptLog
    from tenure_log_relay.adapters.storage.log import SegmentLog


def restore(log: SegmentLog) -> None:
    """Load what is in the log's folder. Blocks.

    To be called once, before anything else is done with the log.
    """
    log.folder.mkdir(parents=True, exist_ok=True)
    for path in segment_paths(log.folder):
        _restore_segment(log, Segment.open(path))
    for attempt in log.attempts.values():
        attempt.ingest.position = attempt.committed
        attempt.declared_final = attempt.final_frames


def _restore_segment(log: SegmentLog, segment: Segment) -> None:
    if seal.load(log, segment):
        log.segments[segment.sequence] = segment
        return
    found = recovery.Found()
    walked = list(recovery.intact(memoryview(segment.read(0, segment.size)), found))
    slots = _slots(log, segment, [record for record, _ in walked if record.kind is Kind.NAME])
    for record, frames in walked:
        segment.newest_ns = max(segment.newest_ns, record.written_ns)
        attempt = slots.get(record.slot)
        if attempt is None:
            log.rotten_bytes += record.end - record.start
        elif record.kind is Kind.NAME:
            _begin(attempt, read_name(record))
        elif record.kind is Kind.STATE:
            attempt.final_frames, attempt.reported = read_state(record)
        elif frames:
            _place(attempt, segment.sequence, record, frames)
    log.rotten_bytes += sum(end - start for start, end in found.rotten)
    if found.end == 0:
        segment.remove()
        return
    if found.end < segment.size:
        segment.truncate(found.end)
        segment.sync()
    segment.ends = {key: log.attempts[key].end for key in segment.named}
    log.segments[segment.sequence] = segment
    log.finished.put_nowait(segment)


def _slots(log: SegmentLog, segment: Segment, names: list[Record]) -> dict[int, AttemptLog]:
    """Who stands behind each slot; also for records before the name, whose own may be damaged."""
    slots = {}
    for record in names:
        attempt = slots[record.slot] = log.attempt(Fence.parse(read_name(record).fence))
        segment.named[attempt.key] = Named(record.slot, record.start)
    return slots


def _begin(attempt: AttemptLog, name: Name) -> None:
    """What comes before the named position may be gone with older segments, but it was here."""
    if name.position.number > attempt.committed.number and not len(attempt.extents):
        attempt.committed, attempt.missing = name.position, name.missing


def _place(attempt: AttemptLog, segment: int, record: Record, frames: list[Frame]) -> None:
    if frames[-1].number < attempt.committed.number:
        return
    position = attempt.committed._replace(number=frames[0].number)
    attempt.extents.add(segment, record.start, record.end - record.start, position, frames[0].wall_ns)
    attempt.advance(frames)
