"""How much of one attempt's output is there?

A position says how many bytes of each channel come before it and which frame comes next. Offsets decide which
bytes are new; the frame number keeps the order between the channels.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from tenure_core.frames import CHANNELS, Frame

Offsets = tuple[int, int, int]
"""Bytes of stdout, stderr and records, in the order of `CHANNELS`."""

NO_OFFSETS: Final[Offsets] = (0, 0, 0)
_PACKED: Final = struct.Struct("<QQQQB")


class Position(NamedTuple):
    """The place between two frames of one attempt."""

    number: int = 0
    """Number of the frame that comes next."""
    offsets: Offsets = NO_OFFSETS
    after_gap: bool = False
    """The frame before was a gap: frames may be missing with the bytes, so the next number may be higher."""

    def after(self, frame: Frame) -> Position:
        """The place just behind `frame`."""
        return Position(
            frame.number + 1, advanced(self.offsets, frame.channel, frame.end_offset), bool(frame.flags & 1)
        )

    def pack(self) -> bytes:
        """The fixed-size form kept in segments."""
        return _PACKED.pack(self.number, *self.offsets, self.after_gap)

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Position:
        """Read what `pack` wrote, from the start of `data`."""
        number, stdout, stderr, records, after_gap = _PACKED.unpack_from(data)
        return cls(number, (stdout, stderr, records), bool(after_gap))


PACKED_SIZE: Final = _PACKED.size
START: Final = Position()


def advanced(offsets: Offsets, channel: int, end: int) -> Offsets:
    """`offsets` with one channel moved to `end`."""
    stdout, stderr, records = offsets
    if channel == 1:
        return end, stderr, records
    if channel == 2:
        return stdout, end, records
    return stdout, stderr, end


def reaches(offsets: Offsets, finals: Offsets) -> bool:
    """Whether every channel has got as far as `finals`."""
    return offsets[0] >= finals[0] and offsets[1] >= finals[1] and offsets[2] >= finals[2]


def is_channel(channel: int) -> bool:
    """Whether frames of this channel exist."""
    return channel in CHANNELS
