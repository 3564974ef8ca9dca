"""What is in the bytes of a `PushRequest`, without copying the frames?

The generated class would copy every frame twice. This reader finds the same fields and leaves frames where
they are, as views; `tests/adapters/log_relay/test_push_request.py` compares the two over generated
messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from google.protobuf.message import DecodeError

from tenure.dispatch.v1.log_ingest_service_pb2 import PushRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_LONGEST_VARINT: Final = 10
EMPTY: Final = memoryview(b"")


class Chunk(NamedTuple):
    """Frames of one attempt; like `PushChunk`."""

    fence: str
    frames: memoryview
    final_frames: int | None


class Push:
    """Output of some attempts; like `PushRequest`."""

    __slots__ = ("chunks", "worker")

    DESCRIPTOR = PushRequest.DESCRIPTOR

    def __init__(self, worker: str, chunks: list[Chunk]) -> None:
        self.worker = worker
        self.chunks = chunks

    @classmethod
    def FromString(cls, data: bytes) -> Push:  # noqa: N802  (stands in for a message class)
        """Read a message; DecodeError for what is none."""
        try:
            return _push(memoryview(data))
        except (IndexError, UnicodeDecodeError):
            raise DecodeError("not a PushRequest") from None


def _push(view: memoryview) -> Push:
    worker, chunks = "", []
    for number, value in _fields(view):
        if number == 1:
            worker = str(_view(value), "utf-8")
        elif number == 2:
            chunks.append(_chunk(_view(value)))
    return Push(worker, chunks)


def _chunk(view: memoryview) -> Chunk:
    fence, frames, final = "", EMPTY, None
    for number, value in _fields(view):
        if number == 1:
            fence = str(_view(value), "utf-8")
        elif number == 2:
            frames = _view(value)
        elif number == 3:
            if not isinstance(value, int):
                raise DecodeError("final_frames is not a number")
            final = value
    return Chunk(fence, frames, final)


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise DecodeError("a number where bytes belong")
    return value


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message in order: varints as numbers, everything else as views."""
    at, end = 0, len(view)
    while at < end:
        tag, at = _varint(view, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise DecodeError("field number 0")
        if kind == _VARINT:
            value, at = _varint(view, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(view, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise DecodeError(f"wire type {kind}")
        if at + length > end:
            raise DecodeError("the message is cut off")
        yield number, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(at, at + _LONGEST_VARINT):
        byte = view[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, index + 1
        shift += 7
    raise DecodeError("a number that does not end")
