"""What of a segment can be believed after a crash?

Records are verified one after the other. Behind the first damaged one there is either nothing intact, then
it is the torn tail of a write that was never acknowledged, or a rotten piece in the middle: it is left
where it is, never served, and readers are told of a hole. A damaged record at the end of an attempt moves
the attempt's committed position back, so its agent pushes it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

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
    from collections.abc import Iterator

    from tenure_core.frames import Frame

NO_FRAMES: Final[list[Frame]] = []


@dataclass(slots=True)
class Found:
    """What a walk over a segment met besides intact records."""

    end: int = 0
    """Behind the last intact record: whatever follows is a torn tail."""
    rotten: list[tuple[int, int]] = field(default_factory=list)
    """Damaged stretches that lie before an intact record."""


def intact(view: memoryview, found: Found) -> Iterator[tuple[Record, list[Frame]]]:
    """The intact records of a segment with their verified frames.

    `found` is complete when the walk has ended.
    """
    position = 0
    while position + HEADER_SIZE <= len(view):
        record, frames = _verified(view, position)
        if record is None:
            following = _next_intact(view, position + 1)
            if following is None:
                return
            found.rotten.append((position, following))
            position = following
            continue
        yield record, frames
        position = found.end = record.end


def _verified(view: memoryview, position: int) -> tuple[Record | None, list[Frame]]:
    try:
        record = record_at(view, position)
        if record is None or record.kind is not Kind.FRAMES:
            return record, NO_FRAMES
        return record, read_frames(record)
    except DamagedRecord:
        return None, NO_FRAMES


def _next_intact(view: memoryview, position: int) -> int | None:
    """Where the next record starts that is intact from its header to its last byte."""
    data = view.obj if isinstance(view.obj, bytes) else bytes(view)
    while (position := data.find(MAGIC, position)) >= 0 and position + HEADER_SIZE <= len(data):
        if _verified(view, position)[0] is not None:
            return position
        position += 1
    return None
