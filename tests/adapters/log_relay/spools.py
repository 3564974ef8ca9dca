"""Output of tasks as a node would have it: frames in a row, and what they contain."""

from __future__ import annotations

from tenure_core.frames import encode_gap, encode_header, scan


class Spool:
    """The frames of one attempt, and the bytes of each channel."""

    def __init__(self, fence: str) -> None:
        self.fence = fence
        self.frames: list[bytes] = []
        self.content: dict[int, bytearray] = {1: bytearray(), 2: bytearray(), 3: bytearray()}
        self._offsets = {1: 0, 2: 0, 3: 0}
        self.number = 0

    def write(self, payload: bytes, channel: int = 1, *, wall_ns: int = 0) -> bytes:
        """Append a frame and return it."""
        wall_ns = wall_ns or 1_700_000_000_000_000_000 + self.number * 1_000_000
        header = encode_header(
            payload,
            channel=channel,
            number=self.number,
            offset=self._offsets[channel],
            wall_ns=wall_ns,
            boot_ns=self.number,
        )
        self.content[channel] += payload
        self._offsets[channel] += len(payload)
        return self._append(header + payload)

    def gap(self, skipped: int, reason: str, channel: int = 1) -> bytes:
        """Append a gap frame and return it; the content has nothing for it."""
        frame = encode_gap(
            skipped,
            reason,
            channel=channel,
            number=self.number,
            offset=self._offsets[channel],
            wall_ns=1_700_000_000_000_000_000,
            boot_ns=self.number,
        )
        self._offsets[channel] += skipped
        return self._append(frame)

    def end(self, channel: int) -> int:
        """Offset behind the last byte of a channel."""
        return self._offsets[channel]

    @classmethod
    def of(cls, spool: Spool, frames: int) -> Spool:
        """The first frames of another spool; to be pushed, not written on."""
        part = cls(spool.fence)
        part.frames = spool.frames[:frames]
        return part

    def _append(self, frame: bytes) -> bytes:
        self.frames.append(frame)
        self.number += 1
        return frame

    def __bytes__(self) -> bytes:
        return b"".join(self.frames)


def numbers(frames: bytes) -> list[int]:
    """The numbers of the frames in a row."""
    return [frame.number for frame in scan(frames)]
