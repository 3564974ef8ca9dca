"""At which frame and byte does a reader of one attempt begin?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure_log_relay.adapters.storage.reading import next_chunk
from tenure_log_relay.domain.position import NO_OFFSETS, Offsets
from tenure_log_relay.domain.view import Channels, Item, Run, ViewState

if TYPE_CHECKING:
    from tenure_log_relay.adapters.storage.attempt import AttemptLog
    from tenure_log_relay.adapters.storage.log import SegmentLog


class Start:
    """Where a reader begins, and what of the first messages it does not want."""

    __slots__ = ("number", "since_ns", "skip_lines", "state")

    def __init__(self, number: int = 0, seen: Offsets = NO_OFFSETS) -> None:
        self.number = number
        self.state = ViewState(seen)
        self.skip_lines = 0
        self.since_ns: int | None = None


def at_offsets(attempt: AttemptLog | None, offsets: Offsets, channels: Channels) -> Start:
    """Behind these bytes."""
    if attempt is None or not len(attempt.extents):
        return Start(0, offsets)
    extents = attempt.extents
    index = min(extents.of_offset(channel, offsets[channel - 1]) for channel in channels)
    return Start(extents[index].number, offsets)


def at_time(attempt: AttemptLog | None, since_ns: int) -> Start:
    """At the first frame that the node read at or after this time."""
    start = Start()
    if attempt is not None and len(attempt.extents):
        extent = attempt.extents[attempt.extents.of_time(since_ns)]
        start = Start(extent.number, extent.offsets)
    start.since_ns = since_ns
    return start


async def at_last_lines(log: SegmentLog, attempt: AttemptLog | None, count: int, channels: Channels) -> Start:
    """At the last `count` lines of what is committed now."""
    if attempt is None or not len(attempt.extents):
        return Start()
    extents, found, opened = attempt.extents, 0, 0
    end = attempt.committed.number
    index = len(extents)
    while index > 0 and found <= count:
        index -= 1
        newlines, last = await _lines_between(log, attempt, extents[index].number, end, channels)
        if end == attempt.committed.number and last:
            opened = 1
        found += newlines
        end = extents[index].number
    first = extents[index]
    start = Start(first.number, first.offsets)
    start.skip_lines = max(0, found + opened - count)
    return start


async def _lines_between(
    log: SegmentLog, attempt: AttemptLog, number: int, end: int, channels: Channels
) -> tuple[int, bool]:
    """Newlines of the wanted channels in frames [number, end), and whether a line stays open behind them."""
    newlines, open_ends = 0, {}
    while number < end:
        chunk = await next_chunk(log, attempt, number)
        if chunk is None:
            break
        for frame in chunk.frames:
            if (
                number <= frame.number < end
                and frame.channel in channels
                and not frame.is_gap
                and frame.payload
            ):
                newlines += bytes(frame.payload).count(b"\n")
                open_ends[frame.channel] = frame.payload[-1] != 10
        number = chunk.after
    return newlines, any(open_ends.values())


def without_first_lines(items: list[Item], skip: int) -> tuple[list[Item], int]:
    """`items` without their first `skip` lines, and how many are still to be left out.

    Pieces of a line that was cut count together with its last piece.
    """
    kept: list[Item] = []
    for item in items:
        if not skip or type(item) is not Run:
            if not skip:
                kept.append(item)
        elif not item.cut:
            texts = item.texts
            dropped = min(skip, len(texts))
            skip -= dropped
            if dropped < len(texts):
                offset = item.offset + sum(map(len, texts[:dropped])) + dropped
                kept.append(item._replace(offset=offset, texts=texts[dropped:]))
    return kept, skip
