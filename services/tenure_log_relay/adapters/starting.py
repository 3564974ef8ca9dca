"""At which frame and byte does a reader of one attempt begin?

To the byte, also when it asks for the last lines: then a cursor says by its offsets alone what is wanted.
Only an instant can be one that no output has reached yet; the reader carries it until some has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure_log_relay.adapters.storage.reading import next_chunk
from tenure_log_relay.domain.position import NO_OFFSETS, Offsets, advanced
from tenure_log_relay.domain.view import Channels, Run, ViewState, lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tenure_core.frames import Frame
    from tenure_core.timing import UtcNs
    from tenure_log_relay.adapters.storage.attempt import AttemptLog
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_log_relay.domain.extents import Extent


class Start:
    """Where a reader begins, and until which instant it skips what comes; 0: it does not."""

    __slots__ = ("number", "since_ns", "state")

    def __init__(self, number: int = 0, seen: Offsets = NO_OFFSETS, since_ns: UtcNs = 0) -> None:
        self.number = number
        self.state = ViewState(seen)
        self.since_ns = since_ns


def at_offsets(
    attempt: AttemptLog | None, offsets: Offsets, channels: Channels, since_ns: UtcNs = 0
) -> Start:
    """Behind these bytes, and not before this instant."""
    if attempt is None or not len(attempt.extents):
        return Start(0, offsets, since_ns)
    extents = attempt.extents
    index = min(extents.of_offset(channel, offsets[channel - 1]) for channel in channels)
    # The oldest extent may begin behind these bytes: what is gone before it is told where it was.
    return Start(extents[index].number if index else 0, offsets, since_ns)


def at_time(attempt: AttemptLog | None, since_ns: UtcNs) -> Start:
    """At the first frame that the node read at or after this time."""
    if attempt is not None and len(attempt.extents):
        index = attempt.extents.of_time(since_ns)
        extent = attempt.extents[index]
        if index or extent.wall_ns < since_ns:
            return Start(extent.number, extent.offsets, since_ns)
        # What came before the oldest that is kept may also have been late enough: a hole is owed for it.
    return Start(since_ns=since_ns)


async def at_last_lines(log: SegmentLog, attempt: AttemptLog | None, count: int, channels: Channels) -> Start:
    """At the last `count` lines of what is committed now.

    A line that has no newline yet counts, and comes after all that have one. What is missing counts to the
    line in which it is; with fewer lines than asked for, everything is wanted, and what is missing of it.
    """
    if attempt is None:
        return Start()
    committed = attempt.committed
    ends = {c: committed.offsets[c - 1] for c in sorted(channels)}
    starts = {c: await _line_start(log, attempt, c, end) for c, end in ends.items()}
    opened = [c for c in ends if starts[c] < ends[c]]
    if count <= len(opened):
        for channel in opened[: len(opened) - count]:
            starts[channel] = ends[channel]
        return at_offsets(attempt, _offsets(starts), channels)
    first, before, found = committed.number, committed.offsets, len(opened)
    while found <= count:
        extent = _extent_before(attempt, first)
        if extent is None:
            return Start()
        async for frames in _frames(log, attempt, extent.number, first):
            data = (frame.payload for frame in frames if frame.channel in channels and not frame.is_gap)
            found += sum(bytes(payload).count(b"\n") for payload in data)
        first, before = extent.number, extent.offsets
    starts = await _behind_lines(log, attempt, Start(first, before), found - count, channels)
    for channel in channels - starts.keys():
        starts[channel] = await _line_start(log, attempt, channel, before[channel - 1])
    return at_offsets(attempt, _offsets(starts), channels)


def _offsets(of: dict[int, int]) -> Offsets:
    offsets = NO_OFFSETS
    for channel, offset in of.items():
        offsets = advanced(offsets, channel, offset)
    return offsets


def _extent_before(attempt: AttemptLog, number: int) -> Extent | None:
    """The extent that lies before frame `number`; looked up anew each time, since retention may take some."""
    extents = attempt.extents
    if not len(extents) or extents[0].number >= number:
        return None
    return extents[extents.of_number(number - 1)]


async def _frames(log: SegmentLog, attempt: AttemptLog, number: int, stop: int) -> AsyncIterator[list[Frame]]:
    """What can be read of the frames [number, stop)."""
    while number < stop:
        chunk = await next_chunk(log, attempt, number)
        if chunk is None:
            return
        yield [frame for frame in chunk.frames if number <= frame.number < stop]
        number = chunk.after


async def _behind_lines(
    log: SegmentLog, attempt: AttemptLog, start: Start, skip: int, channels: Channels
) -> dict[int, int]:
    """Where the first `skip` lines behind `start` end, in the channels that have any of them."""
    ends: dict[int, int] = {}
    state = start.state
    async for frames in _frames(log, attempt, start.number, attempt.committed.number):
        items, state = lines(frames, state, channels)
        for run in items:
            if type(run) is not Run or run.cut:
                continue
            texts = run.texts[:skip]
            ends[run.channel] = run.offset + sum(map(len, texts)) + len(texts)
            skip -= len(texts)
            if not skip:
                return ends
    return ends


async def _line_start(log: SegmentLog, attempt: AttemptLog, channel: int, offset: int) -> int:
    """Where the line begins to which a byte at `offset` would belong: behind the last newline before it.

    0 when no newline is left; what is missing has none.
    """
    extents = attempt.extents
    while offset > 0 and len(extents):
        index = extents.of_offset(channel, offset - 1)
        extent = extents[index]
        stop = extents[index + 1].number if index + 1 < len(extents) else attempt.committed.number
        found = 0
        async for frames in _frames(log, attempt, extent.number, stop):
            for frame in frames:
                if frame.channel == channel and not frame.is_gap and frame.offset < offset:
                    newline = bytes(frame.payload[: offset - frame.offset]).rfind(b"\n")
                    found = frame.offset + newline + 1 if newline >= 0 else found
        if found or extent.offsets[channel - 1] >= offset:
            return found
        offset = extent.offsets[channel - 1]
    return 0
