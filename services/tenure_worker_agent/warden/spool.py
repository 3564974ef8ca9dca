"""How does a task's output reach the disk, and what happens when there is no room for it?

Frames go to the spool in arrival order as they are read; the file is created at the first byte. Nothing is
silent: what is dropped at a limit leaves with whole segments, whose successors' names say what is missing,
and what could not be written for want of disk space becomes a gap frame as soon as there is room again, at
the latest in the exit record.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from tenure_core.frames import CHANNELS, encode_gap, encode_header
from tenure_worker_agent.warden.clock import boottime_ns
from tenure_worker_agent.warden.segments import Segment

SEGMENT: Final = 64 << 20
SMALLEST_SEGMENT: Final = 64 << 10
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


@dataclass(slots=True)
class Usage:
    """What all spools of the node hold together."""

    unacked: int = 0
    disk: int = 0


class Spool:
    """The output of one attempt."""

    __slots__ = (
        "_acked",
        "_directory",
        "_fd",
        "_kept",
        "_missing",
        "_segment_size",
        "_trouble",
        "_usage",
        "cap",
        "end",
        "fence",
        "number",
        "offsets",
    )

    def __init__(self, directory: str, fence: str, cap: int, usage: Usage) -> None:
        self._directory = directory
        self.fence = fence
        self.cap = cap
        self._segment_size = max(SMALLEST_SEGMENT, min(SEGMENT, cap // 8))
        self._usage = usage
        self._fd = -1
        self._kept: deque[Segment] = deque()
        self._acked = 0
        self._trouble: OSError | None = None
        """Why the newest write failed."""
        self._missing = dict.fromkeys(CHANNELS, 0)
        self.number = 0
        """Number of the next frame."""
        self.offsets = dict.fromkeys(CHANNELS, 0)
        self.end = 0
        """Position behind the last frame."""

    @property
    def start(self) -> int:
        """Position of the first byte that is still there."""
        return self._kept[0].position if self._kept else self.end

    @property
    def unacked(self) -> int:
        """Bytes that exist only here."""
        return self.end - max(self._acked, self.start)

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end

    @property
    def finals(self) -> tuple[int, tuple[int, ...]]:
        """Number of frames and offsets of the channels, once nothing more will come."""
        return self.number, tuple(self.offsets[channel] for channel in CHANNELS)

    def append(self, channel: int, payload: memoryview) -> None:
        """Write one frame; without room on the disk the bytes become a gap."""
        if self._missing[channel] and not self._settle(channel):
            self._skip(channel, len(payload))
            return
        header = encode_header(
            payload,
            channel=channel,
            number=self.number,
            offset=self.offsets[channel],
            wall_ns=time.time_ns(),
            boot_ns=boottime_ns(),
        )
        if self._write(header, payload):
            self.offsets[channel] += len(payload)
        else:
            self._skip(channel, len(payload))

    def drop_oldest(self, limit: int) -> None:
        """Give up the oldest segments until at most `limit` bytes are unacknowledged."""
        while self.unacked > limit and len(self._kept) > 1:
            self._drop()

    def drop_acked(self) -> bool:
        """Free the oldest segment if the relay has all of it; False when there is none such."""
        if len(self._kept) < 2 or self._kept[1].position > self._acked:
            return False
        self._drop()
        return True

    def acked(self, position: int) -> None:
        """The relay has everything before `position`."""
        before = self.unacked
        self._acked = min(max(self._acked, position), self.end)
        self._usage.unacked -= before - self.unacked

    def finish(self) -> bytes:
        """Close the file; returns the gap frames that had no room on the disk."""
        tail = b""
        for channel in CHANNELS:
            if self._missing[channel] and not self._settle(channel):
                tail += self._gap(channel)
                self._advance(channel)
        self.close()
        return tail

    def close(self) -> None:
        """Let go of the file; everything stays as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def delete(self) -> None:
        """Remove everything."""
        self.close()
        self._usage.unacked -= self.unacked
        self._usage.disk -= self.end - self.start
        while self._kept:
            self._unlink(self._kept.popleft())
        self._acked = self.end

    def _write(self, header: bytes, payload: memoryview | bytes) -> bool:
        size = len(header) + len(payload)
        full = self._fd < 0 or self.end - self._kept[-1].position + size > self._segment_size
        if full and not self._rotate():
            return False
        try:
            written = os.writev(self._fd, (header, payload)) if payload else os.write(self._fd, header)
        except OSError as error:
            self._trouble = error
            return False
        if written != size:
            os.ftruncate(self._fd, self.end - self._kept[-1].position)
            return False
        self.number += 1
        self.end += size
        self._usage.unacked += size
        self._usage.disk += size
        return True

    def _rotate(self) -> bool:
        segment = Segment(self.fence, self.end, self.number, *self.offsets.values())
        try:
            fd = os.open(f"{self._directory}/{segment.name}", _FLAGS, 0o600)
        except OSError as error:
            self._trouble = error
            return False
        self.close()
        self._fd = fd
        if not self._kept or self._kept[-1] != segment:
            self._kept.append(segment)
        return True

    def _drop(self) -> None:
        before, unacked = self.start, self.unacked
        self._unlink(self._kept.popleft())
        self._usage.disk -= self.start - before
        self._usage.unacked -= unacked - self.unacked

    def _unlink(self, segment: Segment) -> None:
        try:
            os.unlink(f"{self._directory}/{segment.name}")
        except FileNotFoundError:
            pass

    def _skip(self, channel: int, size: int) -> None:
        self._missing[channel] += size

    @property
    def _reason(self) -> str:
        error = self._trouble
        if error is None or error.errno in NO_ROOM:
            return "the node's disk was full"
        return f"the node's disk failed: {error.strerror}"

    def _gap(self, channel: int) -> bytes:
        return encode_gap(
            self._missing[channel],
            self._reason,
            channel=channel,
            number=self.number,
            offset=self.offsets[channel],
            wall_ns=time.time_ns(),
            boot_ns=boottime_ns(),
        )

    def _settle(self, channel: int) -> bool:
        """Write the gap frame that is due on a channel."""
        number = self.number
        if not self._write(self._gap(channel), b""):
            return False
        self.number = number
        self._advance(channel)
        return True

    def _advance(self, channel: int) -> None:
        self.number += 1
        self.offsets[channel] += self._missing[channel]
        self._missing[channel] = 0

    def carried(self) -> dict[str, object]:
        """What a re-executed warden needs to go on."""
        return {
            "cap": self.cap,
            "fd": self._fd,
            "kept": list(self._kept),
            "acked": self._acked,
            "missing": list(self._missing.values()),
            "number": self.number,
            "offsets": list(self.offsets.values()),
            "end": self.end,
        }

    @classmethod
    def resumed(cls, directory: str, fence: str, usage: Usage, carried: dict[str, object]) -> Spool:
        """The spool that `carried` describes; counts into `usage`."""
        spool = cls(directory, fence, _int(carried["cap"]), usage)
        spool._fd, spool._acked = _int(carried["fd"]), _int(carried["acked"])
        spool.number, spool.end = _int(carried["number"]), _int(carried["end"])
        spool._kept.extend(Segment(str(each[0]), *map(_int, each[1:])) for each in _list(carried["kept"]))
        spool._missing = dict(zip(CHANNELS, map(_int, _list(carried["missing"])), strict=True))
        spool.offsets = dict(zip(CHANNELS, map(_int, _list(carried["offsets"])), strict=True))
        usage.unacked += spool.unacked
        usage.disk += spool.end - spool.start
        return spool


def left_behind(directory: str, chain: list[Segment], usage: Usage) -> Spool:
    """The spool of an attempt of a former warden: complete as far as its files go, never appended to."""
    last = chain[-1]
    spool = Spool(directory, last.fence, 0, usage)
    spool._kept.extend(chain)
    spool.end = last.position + os.stat(f"{directory}/{last.name}").st_size
    usage.unacked += spool.unacked
    usage.disk += spool.end - spool.start
    return spool


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _list(value: object) -> list[list[object]]:
    assert isinstance(value, list)
    return value
