"""How does a record in a segment look?

A segment is a sequence of records. Every record has a 40-byte little-endian header:

    magic       4 bytes   b"TLR1", finds the next record after a damaged one
    crc         uint32    zlib.crc32 of the header after this field; for NAME and STATE also of the payload
    kind        uint8     see below
    (3 bytes of zero)
    slot        uint32    names the attempt within this segment
    length      uint32    payload bytes
    frames      uint32    frames in the payload
    placement   uint64    placement number of the relay when it wrote the record
    written_ns  int64     the relay's wall clock

    NAME        the attempt that `slot` stands for from here on, and its position at this place
    FRAMES      whole frames of the attempt as the agent pushed them; each carries its own checksum
    STATE       how many frames the attempt has in all, and whether the scheduler was told

The payload of FRAMES is covered by the frames' own checksums, so that bytes are summed once.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_core.frames import DamagedFrame, Frame, scan
from tenure_log_relay.domain.position import PACKED_SIZE, Offsets, Position

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"TLR1"
_PREFIX: Final = struct.Struct("<4sI")
_CHECKED: Final = struct.Struct("<BBHIIIQq")
_HEADER: Final = struct.Struct("<4sIBBHIIIQq")
_MISSING: Final = struct.Struct("<QQQ")
_STATE: Final = struct.Struct("<QB")
HEADER_SIZE: Final = _HEADER.size
MAX_PAYLOAD: Final = 64 << 20


class Kind(IntEnum):
    """What a record holds."""

    NAME = 1
    FRAMES = 2
    STATE = 3


class Record(NamedTuple):
    """One intact record; `payload` is a view into the scanned buffer."""

    kind: Kind
    slot: int
    payload: memoryview
    start: int
    frames: int
    placement: int
    written_ns: int

    @property
    def end(self) -> int:
        return self.start + HEADER_SIZE + len(self.payload)


class DamagedRecord(ValueError):
    """The bytes at this position are not a whole, intact record."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"damaged record at byte {position}: {reason}")
        self.position = position
        self.reason = reason


class Name(NamedTuple):
    """The contents of a NAME record."""

    fence: str
    position: Position
    missing: Offsets


class State(NamedTuple):
    """The contents of a STATE record."""

    final_frames: int
    reported: bool


def header(
    kind: Kind,
    slot: int,
    length: int,
    *,
    frames: int = 0,
    placement: int = 0,
    written_ns: int = 0,
    payload: bytes = b"",
) -> bytes:
    """The header of a record; `payload` is given for the kinds whose header covers it."""
    checked = _CHECKED.pack(kind, 0, 0, slot, length, frames, placement, written_ns)
    return _PREFIX.pack(MAGIC, zlib.crc32(payload, zlib.crc32(checked))) + checked


def name_record(slot: int, name: Name, *, placement: int, written_ns: int) -> bytes:
    """A whole NAME record."""
    payload = name.position.pack() + _MISSING.pack(*name.missing) + name.fence.encode()
    return _small(Kind.NAME, slot, payload, placement, written_ns)


def state_record(slot: int, state: State, *, placement: int, written_ns: int) -> bytes:
    """A whole STATE record."""
    return _small(Kind.STATE, slot, _STATE.pack(*state), placement, written_ns)


def _small(kind: Kind, slot: int, payload: bytes, placement: int, written_ns: int) -> bytes:
    head = header(kind, slot, len(payload), placement=placement, written_ns=written_ns, payload=payload)
    return head + payload


def read_name(record: Record) -> Name:
    """The contents of a NAME record."""
    missing = _MISSING.unpack_from(record.payload, PACKED_SIZE)
    fence = bytes(record.payload[PACKED_SIZE + _MISSING.size :]).decode()
    return Name(fence, Position.unpack(record.payload), missing)


def read_state(record: Record) -> State:
    """The contents of a STATE record."""
    final_frames, reported = _STATE.unpack_from(record.payload)
    return State(final_frames, bool(reported))


def read_frames(record: Record, *, verify: bool = True) -> list[Frame]:
    """The frames of a FRAMES record.

    Raises:
        DamagedRecord: a frame is not intact, or there are more or fewer than the header says.
    """
    try:
        frames = list(scan(record.payload, verify=verify))
    except DamagedFrame as damaged:
        raise DamagedRecord(record.start, str(damaged)) from None
    if len(frames) != record.frames or (frames and frames[-1].end != len(record.payload)):
        raise DamagedRecord(record.start, f"{len(frames)} whole frames instead of {record.frames}")
    return frames


def records(buffer: bytes | memoryview, start: int = 0) -> Iterator[Record]:
    """The records of `buffer` from `start` on, up to a torn tail. Frames inside are not verified.

    Raises:
        DamagedRecord: a header that is not intact, or a small payload with a wrong checksum.
    """
    view = memoryview(buffer)
    while start + HEADER_SIZE <= len(view):
        record = record_at(view, start)
        if record is None:
            return
        yield record
        start = record.end


def record_at(view: memoryview, start: int) -> Record | None:
    """The record at `start`, None when `view` ends within it; raises DamagedRecord."""
    magic, crc, kind, _, _, slot, length, frames, placement, written_ns = _HEADER.unpack_from(view, start)
    body = start + HEADER_SIZE
    if magic != MAGIC:
        raise DamagedRecord(start, "no record header")
    computed = zlib.crc32(view[start + _PREFIX.size : body])
    if kind == Kind.FRAMES and computed != crc:
        raise DamagedRecord(start, "checksum of the header differs")
    if length > MAX_PAYLOAD:
        raise DamagedRecord(start, f"length {length}")
    if body + length > len(view):
        return None
    payload = view[body : body + length]
    if kind != Kind.FRAMES and zlib.crc32(payload, computed) != crc:
        raise DamagedRecord(start, "checksum differs")
    if kind not in (Kind.NAME, Kind.FRAMES, Kind.STATE):
        raise DamagedRecord(start, f"kind {kind}")
    return Record(Kind(kind), slot, payload, start, frames, placement, written_ns)
