"""How do a task's output bytes look on disk and on the wire?

One frame format serves the node's spool, the push to the relay and the relay's segments, so that no hop
encodes anything again. A frame is a 48-byte little-endian header and its payload:

    magic     4 bytes   b"TNF1", finds the next frame after a damaged one
    length    uint32    payload bytes
    crc       uint32    CRC-32 (zlib's) of the header after this field, then of the payload
    channel   uint8     1 stdout, 2 stderr, 3 records
    flags     uint8     bit 0: gap, the payload is a reason in UTF-8 and `skipped` bytes are missing
    (2 bytes of zero)
    number    uint64    counts the frames of one attempt from 0, over all channels: keeps their order
    offset    uint64    of the payload's first byte within the channel
    wall_ns   int64     wall clock, nanoseconds since the epoch (display only)
    boot_ns   int64     CLOCK_BOOTTIME of the node, nanoseconds

A gap frame's payload is `skipped` (uint64, bytes that cannot be delivered) followed by the reason.
CRC-32 and not CRC-32C: the warden, which writes the frames, needs the standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tenure_core.checksum import crc32

MAGIC: Final = b"TNF1"
HEADER: Final = struct.Struct("<4sIIBBHQQqq")
_CHECKED: Final = struct.Struct("<BBHQQqq")
_PREFIX: Final = struct.Struct("<4sII")
_SKIPPED: Final = struct.Struct("<Q")
HEADER_SIZE: Final = HEADER.size
MAX_PAYLOAD: Final = 1 << 20
BLOCK: Final = 256 << 10
"""Payload of a full frame: what a warden reads of a pipe at once."""
PORTION: Final = 4 * (HEADER_SIZE + BLOCK)
"""Four full frames: what is pushed, stored and sent to a reader at once while a task writes much.

A gRPC stream of messages of 1 MiB takes half the processor time per byte of one of 256 KiB. One size on the
whole way keeps a reader level with the pusher, since both take turns on the relay's loop.
"""

STDOUT: Final = 1
STDERR: Final = 2
RECORDS: Final = 3
CHANNELS: Final = (STDOUT, STDERR, RECORDS)
CHANNEL_NAMES: Final = {STDOUT: "stdout", STDERR: "stderr", RECORDS: "records"}

GAP: Final = 1


class DamagedFrame(ValueError):
    """The bytes at this position are not a whole, intact frame."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"damaged frame at byte {position}: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame; `payload` is a view into the buffer that was scanned, not a copy."""

    channel: int
    flags: int
    number: int
    offset: int
    wall_ns: int
    boot_ns: int
    payload: memoryview
    start: int
    """Position of the header in the scanned buffer."""

    @property
    def is_gap(self) -> bool:
        return bool(self.flags & GAP)

    @property
    def end_offset(self) -> int:
        """Offset within the channel just behind this frame: a gap moves it by what it skips."""
        return self.offset + (self.gap()[0] if self.is_gap else len(self.payload))

    @property
    def end(self) -> int:
        """Position just behind this frame in the scanned buffer."""
        return self.start + HEADER_SIZE + len(self.payload)

    def gap(self) -> tuple[int, str]:
        """(bytes that are missing, why). Only for gap frames."""
        (skipped,) = _SKIPPED.unpack_from(self.payload)
        return skipped, bytes(self.payload[_SKIPPED.size :]).decode("utf-8", "replace")


def encode_header(
    payload: bytes | bytearray | memoryview,
    *,
    channel: int,
    number: int,
    offset: int,
    wall_ns: int,
    boot_ns: int,
    flags: int = 0,
) -> bytes:
    """The 48 bytes that go before `payload`; written apart so that large payloads are never copied."""
    checked = _CHECKED.pack(channel, flags, 0, number, offset, wall_ns, boot_ns)
    crc = crc32(payload, crc32(checked))
    return _PREFIX.pack(MAGIC, len(payload), crc) + checked


def encode_gap(
    skipped: int, reason: str, *, channel: int, number: int, offset: int, wall_ns: int, boot_ns: int
) -> bytes:
    """A whole gap frame: `skipped` bytes of the channel from `offset` on will never be delivered."""
    payload = _SKIPPED.pack(skipped) + reason.encode()
    header = encode_header(
        payload, channel=channel, number=number, offset=offset, wall_ns=wall_ns, boot_ns=boot_ns, flags=GAP
    )
    return header + payload


def scan(buffer: bytes | bytearray | memoryview, start: int = 0, *, verify: bool = True) -> Iterator[Frame]:
    """Yield the whole frames of `buffer` from `start` on; stop silently before a torn tail.

    Raises:
        DamagedFrame: a header with a wrong magic or length, or a payload with a wrong checksum.
    """
    view = memoryview(buffer)
    size = len(view)
    while start + HEADER_SIZE <= size:
        magic, length, crc, channel, flags, _, number, offset, wall_ns, boot_ns = HEADER.unpack_from(
            view, start
        )
        if magic != MAGIC or length > MAX_PAYLOAD:
            raise DamagedFrame(start, "no frame header" if magic != MAGIC else f"length {length}")
        body = start + HEADER_SIZE
        if body + length > size:
            return
        payload = view[body : body + length]
        if verify and crc32(payload, crc32(view[start + _PREFIX.size : body])) != crc:
            raise DamagedFrame(start, "checksum differs")
        yield Frame(channel, flags, number, offset, wall_ns, boot_ns, payload, start)
        start = body + length
