"""Which of the bytes that an agent pushes are new?

The relay accepts exactly the next bytes of each channel and the next frame of the attempt. What it has
already is trimmed, so a pusher may repeat itself freely; what would leave a hole is refused together with
the position from which the pusher has to go on. A gap frame is accepted like data: it says that bytes are
lost for good. Frames may be lost with them, so the frame behind it may carry a higher number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenure_core.frames import Frame, encode_gap, encode_header, scan
from tenure_log_relay.domain.position import START, Position, is_channel

if TYPE_CHECKING:
    from collections.abc import Iterable

Piece = bytes | memoryview


@dataclass(slots=True)
class Offered:
    """What became of one push."""

    frames: list[Frame] = field(default_factory=list)
    """Accepted frames, in order."""
    pieces: list[Piece] = field(default_factory=list)
    """The bytes of those frames; neighbours in the pushed buffer stay one piece."""
    trimmed: int = 0
    """Frames, or heads of frames, that were there already."""
    behind: bool = False
    """The push would leave a hole: the pusher must go back to the relay's position."""

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


class UnknownChannel(ValueError):
    """The frame belongs to no channel of a task."""


class Ingest:
    """What the relay has taken of one attempt, committed or on its way to the disk."""

    __slots__ = ("position",)

    def __init__(self, position: Position = START) -> None:
        self.position = position

    def offer(self, buffer: bytes | memoryview) -> Offered:
        """Take what is new in `buffer`, a sequence of whole frames.

        Raises:
            DamagedFrame: a frame is not intact; the frames before it were not taken either.
            UnknownChannel: a frame names a channel that does not exist; likewise.
        """
        return self.take(buffer, list(scan(buffer)))

    def take(self, buffer: bytes | memoryview, frames: Iterable[Frame]) -> Offered:
        """Like `offer`, for frames that were scanned before."""
        taking = _Taking(self.position, memoryview(buffer))
        for frame in frames:
            if not taking.add(frame):
                break
        self.position = taking.position
        return taking.finish()


class _Taking:
    """One walk over pushed frames."""

    __slots__ = ("_end", "_start", "_view", "offered", "position")

    def __init__(self, position: Position, view: memoryview) -> None:
        self.position = position
        self.offered = Offered()
        self._view = view
        self._start = self._end = 0

    def add(self, frame: Frame) -> bool:
        """Take, trim or refuse one frame; False when what follows cannot be taken either."""
        at, offered = self.position, self.offered
        if not is_channel(frame.channel):
            raise UnknownChannel(f"frame {frame.number} names channel {frame.channel}")
        have = at.offsets[frame.channel - 1]
        if frame.offset > have:
            offered.behind = True
            return False
        if frame.number < at.number and frame.end_offset <= have:
            offered.trimmed += 1
            return True
        if frame.number > at.number and not at.after_gap:
            offered.behind = True
            return False
        if frame.offset == have and frame.number >= at.number:
            self._whole(frame)
        else:
            self._tail(frame, have)
        return True

    def _whole(self, frame: Frame) -> None:
        if frame.start != self._end or self._start == self._end:
            self._cut()
            self._start = frame.start
        self._end = frame.end
        self.offered.frames.append(frame)
        self.position = self.position.after(frame)

    def _tail(self, frame: Frame, have: int) -> None:
        """Take the part of `frame` behind `have`, as a frame of its own with the next number."""
        self._cut()
        self.offered.trimmed += 1
        data = _reframed(frame, have, max(frame.number, self.position.number))
        (tail,) = scan(data, verify=False)
        self.offered.pieces.append(data)
        self.offered.frames.append(tail)
        self.position = self.position.after(tail)

    def _cut(self) -> None:
        if self._end > self._start:
            self.offered.pieces.append(self._view[self._start : self._end])
        self._start = self._end = 0

    def finish(self) -> Offered:
        self._cut()
        return self.offered


def _reframed(frame: Frame, have: int, number: int) -> bytes:
    if frame.is_gap:
        skipped, reason = frame.gap()
        return encode_gap(
            max(0, skipped - (have - frame.offset)),
            reason,
            channel=frame.channel,
            number=number,
            offset=have,
            wall_ns=frame.wall_ns,
            boot_ns=frame.boot_ns,
        )
    payload = frame.payload[have - frame.offset :]
    header = encode_header(
        payload,
        channel=frame.channel,
        number=number,
        offset=have,
        wall_ns=frame.wall_ns,
        boot_ns=frame.boot_ns,
    )
    return header + bytes(payload)
