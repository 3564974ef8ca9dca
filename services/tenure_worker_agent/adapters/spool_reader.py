"""Where in an attempt's spool does a frame lie, and which whole frames follow it?

The warden writes, this only reads. Positions count the bytes of an attempt's frames from its first frame on,
over all files of the chain; a file's name says where it begins (`warden/segments.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_core.frames import (
    CHANNELS,
    HEADER,
    HEADER_SIZE,
    MAGIC,
    MAX_PAYLOAD,
    DamagedFrame,
    encode_gap,
    scan,
)
from tenure_worker_agent.warden.segments import Segment, by_fence

if TYPE_CHECKING:
    from tenure_core.frames import Frame

_SMALLEST_READ: Final = 64 << 10
_NEVER: Final = 1 << 62
_SEARCH: Final = 4 * (MAX_PAYLOAD + HEADER_SIZE)


class Run(NamedTuple):
    """Whole frames, one after the other."""

    data: bytes
    end: int
    """Position behind them in the spool."""
    next_frame: int
    """Number of the frame that follows."""


class Place(NamedTuple):
    """What a relay has of an attempt: the frame that it wants next, and its offset in each channel."""

    frame: int
    offsets: tuple[int, int, int]


class SpoolReader:
    """The spool of one attempt."""

    __slots__ = ("_directory", "_fence", "_segments")

    def __init__(self, directory: Path, fence: str) -> None:
        self._directory = directory
        self._fence = fence
        self._segments: list[Segment] = [Segment(fence, 0, 0, 0, 0, 0)]

    def read(self, position: int, end: int, size: int) -> Run | None:
        """At least one and about `size` bytes of whole frames from `position` on; None: nothing is there."""
        data = self._bytes(position, min(max(size, _SMALLEST_READ), end - position))
        cut, following = whole_frames(data)
        if cut == 0 and len(data) >= HEADER_SIZE:
            wanted = HEADER_SIZE + _payload_size(data)
            if position + wanted <= end:
                data = self._bytes(position, wanted)
                cut, following = whole_frames(data)
        if cut == 0:
            return None
        return Run(data if cut == len(data) else data[:cut], position + cut, following)

    def seek(self, place: Place, start: int, end: int) -> tuple[int, bytes]:
        """Where to go on for a relay that stands at `place`, and gap frames to send before.

        Gaps come from files that were dropped at the limit: the relay's place lies before what is left.
        """
        if start >= end:
            # Everything that was ever there was dropped or acknowledged: nothing is left to be sent.
            return end, b""
        self._list()
        first = self._segments[0]
        if place.frame < first.number:
            return first.position, _gaps(place, first, "output was dropped at the node's limit")
        segment = next(each for each in reversed(self._segments) if each.number <= place.frame)
        return self._walk(segment.position, end, place.frame), b""

    def intact(self, place: Place, position: int, end: int) -> int:
        """Up to where a relay at `place` would take what lies from `position` on, as far as was looked."""
        data = self._bytes(position, min(_SEARCH, end - position))
        taken, number, offsets = 0, place.frame, list(place.offsets)
        try:
            for frame in scan(data):
                if frame.number > number or frame.offset > offsets[frame.channel - 1]:
                    break
                number, offsets[frame.channel - 1] = frame.number + 1, frame.end_offset
                taken = frame.end
        except DamagedFrame:
            pass
        return position + taken

    def mend(self, place: Place, position: int, end: int) -> tuple[int, bytes]:
        """Go past what the relay refuses at `position`: (where to go on, the gap frame to send before)."""
        good = self._good_frame(position, end)
        if good is None:
            return end, b""
        at, frame = good
        missing = frame.offset - place.offsets[frame.channel - 1]
        if missing <= 0 and frame.number <= place.frame:
            return at, b""
        # Without missing bytes in this channel, the gap of 0 bytes lets the numbers jump: what is lost
        # belongs to another channel, whose next frame will tell how much.
        gap = encode_gap(
            max(missing, 0),
            "output was damaged on the node's disk",
            channel=frame.channel,
            number=place.frame,
            offset=place.offsets[frame.channel - 1],
            wall_ns=frame.wall_ns,
            boot_ns=frame.boot_ns,
        )
        return at, gap

    def _good_frame(self, position: int, end: int) -> tuple[int, Frame] | None:
        while position < end:
            data = self._bytes(position, min(_SEARCH, end - position))
            try:
                frame = next(scan(data), None)
            except DamagedFrame:
                frame = None
            if frame is not None:
                return position, frame
            found = data.find(MAGIC, 1)
            position += found if found > 0 else max(len(data) - len(MAGIC) + 1, 1)
        return None

    def _walk(self, position: int, end: int, number: int) -> int:
        """Position of frame `number`, or the end when it is not written yet."""
        while position < end:
            header = self._bytes(position, HEADER_SIZE)
            if len(header) < HEADER_SIZE or HEADER.unpack_from(header)[6] >= number:
                return position
            position += HEADER_SIZE + _payload_size(header)
        return end

    def _bytes(self, position: int, size: int) -> bytes:
        """Up to `size` bytes from `position` on, from one file."""
        segment = self._segment(position)
        if segment is None:
            return b""
        try:
            fd = os.open(self._directory / segment.name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            data = os.pread(fd, size, position - segment.position)
        finally:
            os.close(fd)
        if data or not self._follows(segment, position):
            return data
        return self._bytes(position, size)

    def _segment(self, position: int) -> Segment | None:
        return next((each for each in reversed(self._segments) if each.position <= position), None)

    def _follows(self, segment: Segment, position: int) -> bool:
        """Whether a fresh look finds a later file for this position."""
        self._list()
        return self._segment(position) not in (segment, None)

    def _list(self) -> None:
        prefix = f"{self._fence}@"
        names = (path.name for path in self._directory.glob(f"{prefix}*"))
        self._segments = by_fence(names).get(self._fence, self._segments)


def whole_frames(data: bytes) -> tuple[int, int]:
    """(bytes of the whole frames at the start of `data`, number of the frame that follows them).

    Headers only: the relay verifies what it takes. Stops before what is not a frame, unless that comes first.
    """
    position = following = 0
    size = len(data)
    while position + HEADER_SIZE <= size:
        magic, length, _, _, _, _, number, _, _, _ = HEADER.unpack_from(data, position)
        if magic != MAGIC or length > MAX_PAYLOAD:
            # Damaged: hand over what is there, so that the relay names the place.
            return (position, following) if position else (size, _NEVER)
        if position + HEADER_SIZE + length > size:
            break
        position += HEADER_SIZE + length
        following = number + 1
    return position, following


def _payload_size(header: bytes) -> int:
    return int(HEADER.unpack_from(header)[1])


def _gaps(place: Place, first: Segment, reason: str) -> bytes:
    """Gap frames from `place` to the beginning of `first`, one per channel that lost something."""
    frames = b""
    number = place.frame
    begins = (first.stdout, first.stderr, first.records)
    for channel, have, begin in zip(CHANNELS, place.offsets, begins, strict=True):
        if begin > have:
            frames += encode_gap(
                begin - have, reason, channel=channel, number=number, offset=have, wall_ns=0, boot_ns=0
            )
            number += 1
    return frames
