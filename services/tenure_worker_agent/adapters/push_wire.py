"""How is a PushRequest put on the wire without copying megabytes through message objects?

The bytes are those of `tenure.dispatch.v1.PushRequest`; a test compares them with the generated class.
"""

from __future__ import annotations

from typing import Final

METHOD: Final = "/tenure.dispatch.v1.LogIngestService/Push"
_WORKER: Final = b"\x0a"
_CHUNK: Final = b"\x12"
_FENCE: Final = b"\x0a"
_FRAMES: Final = b"\x12"
_FINAL: Final = b"\x18"


def varint(value: int) -> bytes:
    """An unsigned protobuf integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def opening(worker: str) -> bytes:
    """The beginning of every request of one worker."""
    name = worker.encode()
    return _WORKER + varint(len(name)) + name


def chunk(fence: bytes, pieces: tuple[bytes, ...], final: int | None) -> list[bytes]:
    """One chunk, in parts that are to be joined; no pieces asks where the relay stands."""
    size = sum(map(len, pieces))
    head = _FENCE + varint(len(fence)) + fence
    if size:
        head += _FRAMES + varint(size)
    tail = b"" if final is None else _FINAL + varint(final)
    return [_CHUNK + varint(len(head) + size + len(tail)) + head, *pieces, tail]
