"""How do items of a view become the bytes of `TailLogsResponse` messages, fast?

Building protobuf objects for hundreds of thousands of lines a second costs more than everything else on the
way from disk to reader, so the messages that carry output are assembled by hand: prefixes that depend only on
a line's length are made once, and one join makes the message. The tests of the relay decode
them with the generated classes. Offsets are varints of at least three bytes: longer than need be for small
ones, which every decoder accepts, and free of branches.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from tenure.v1.log_service_pb2 import LogEntry, LogGap, TailLogsResponse
from tenure_core.frames import PORTION
from tenure_log_relay.domain.view import Data, Hole, Item, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tenure_log_relay.domain.cursor import Cursor

MAX_ENTRIES: Final = 4_096
LARGEST: Final = 3 * PORTION + (16 << 10)
"""Raw bytes in a message: less than the 4 MiB that every gRPC client takes by default."""

_CURSOR: Final = b"\x0a"
_LINES: Final = b"\x12"
_CHUNK: Final = b"\x1a"
_ENTRY: Final = b"\x0a"
_OFFSET: Final = b"\x08"
_TIME: Final = b"\x10"
_CHANNEL: Final = b"\x18"
_TEXT: Final = b"\x22"
_PARTIAL: Final = b"\x28\x01"
_LOW_BITS: Final = 14
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
_LOW: Final = [_OFFSET + bytes((low & 0x7F | 0x80, low >> 7 | 0x80)) for low in range(1 << _LOW_BITS)]
"""Tag and the first two bytes of an offset, by its low 14 bits."""


def varint(value: int) -> bytes:
    """`value` in base 128, as protobuf has it; negative ones as 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_VARINTS: Final = [varint(value) for value in range(1 << 14)]


def _length(size: int) -> bytes:
    return _VARINTS[size] if size < 1 << 14 else varint(size)


def _head(cursor: Cursor) -> bytes:
    text = str(cursor).encode()
    return _CURSOR + _length(len(text)) + text


class LineMessages:
    """Gathers entries into messages of at most `MAX_ENTRIES` lines and about `PORTION` bytes."""

    __slots__ = ("_count", "_entry_cursors", "_parts", "_size", "cursor", "messages")

    def __init__(self, cursor: Cursor, *, entry_cursors: bool = False) -> None:
        self.messages: list[bytes] = []
        self._entry_cursors = entry_cursors
        self.cursor = cursor
        """The place behind what was added."""
        self._parts: list[bytes] = []
        self._size = 0
        self._count = 0

    def each(self, items: list[Item]) -> Iterator[bytes]:
        """The messages one after the other, as they are finished: nobody has to wait for all."""
        for item in items:
            for part in _parts(item):
                self.add([part])
                yield from self.messages
                self.messages.clear()
        self.close()
        yield from self.messages

    def add(self, items: list[Item]) -> None:
        """Encode the items of a view."""
        for item in items:
            if type(item) is Run:
                self._run(item)
            elif type(item) is Hole:
                self.close()
                self.cursor = self.cursor.behind_hole(item.channel, item.end)
                self.messages.append(gap_message(self.cursor, item))

    def _run(self, run: Run) -> None:
        texts, offset, first = run.texts, run.offset, 0
        while first < len(texts):
            some = texts[first : first + MAX_ENTRIES - self._count]
            offset = (self._entries_with_cursors if self._entry_cursors else self._entries)(run, some, offset)
            first += len(some)
            self.cursor = self.cursor.behind(run.channel, offset)
            if self._count >= MAX_ENTRIES or self._size >= PORTION:
                self.close()

    def _entries(self, run: Run, texts: list[bytes], offset: int) -> int:
        """Append the entries of lines that begin at `offset`; returns the offset behind the last."""
        middle = _TIME + varint(run.wall_ns) + _CHANNEL + _VARINTS[run.channel]
        tail = len(_PARTIAL) if run.cut else 0
        parts = self._parts
        heads: dict[int, bytes] = {}
        page = -1
        high = b""
        size = 0
        for text in texts:
            if offset >> _LOW_BITS != page:
                page = offset >> _LOW_BITS
                if len(high) != len(_length(page)):
                    heads = {}
                high = _length(page)
            length = len(text)
            head = heads.get(length)
            if head is None:
                text_head = _TEXT + _length(length)
                body = len(middle) + len(text_head) + length + 3 + len(high) + tail
                head = heads[length] = _ENTRY + _length(body) + middle + text_head
            parts += (head, text, _LOW[offset & _LOW_MASK], high)
            size += len(head) + length
            offset += length + 1
        if run.cut:
            parts.append(_PARTIAL)
            offset -= 1
        self._size += size + len(texts) * (3 + len(high))
        self._count += len(texts)
        return offset

    def _entries_with_cursors(self, run: Run, texts: list[bytes], offset: int) -> int:
        """The same, each entry with the place behind it: built the plain way, for few ask for that."""
        entry = LogEntry(
            time_unix_nanos=run.wall_ns,
            channel=run.channel,  # type: ignore[arg-type]
            partial=run.cut,
        )
        ends = list(accumulate((len(text) + (not run.cut) for text in texts), initial=offset))[1:]
        for text, end, cursor in zip(texts, ends, self.cursor.texts_behind(run.channel, ends), strict=True):
            entry.offset, entry.text, entry.cursor = offset, text, cursor
            data = entry.SerializeToString()
            self._parts += (_ENTRY, _length(len(data)), data)
            self._size += len(data)
            offset = end
        self._count += len(texts)
        return offset

    def close(self) -> None:
        """Finish the message that is being gathered, if there is any entry in it."""
        if not self._parts:
            return
        body = b"".join(self._parts)
        self.messages.append(b"".join((_head(self.cursor), _LINES, varint(len(body)), body)))
        self._parts = []
        self._size = self._count = 0


def _parts(item: Item) -> Iterator[Item]:
    """The item in pieces of at most one message."""
    if type(item) is not Run or len(item.texts) <= MAX_ENTRIES:
        yield item
        return
    offset = item.offset
    for first in range(0, len(item.texts), MAX_ENTRIES):
        part = item._replace(offset=offset, texts=item.texts[first : first + MAX_ENTRIES])
        yield part
        offset = part.end


class ChunkMessages:
    """Gathers payloads of one channel that follow each other into messages of at most `LARGEST` bytes."""

    __slots__ = ("_channel", "_parts", "_size", "_start", "_wall_ns", "cursor", "messages")

    def __init__(self, cursor: Cursor) -> None:
        self.messages: list[bytes] = []
        self.cursor = cursor
        """The place behind what was added."""
        self._parts: list[memoryview] = []
        self._size = self._channel = self._start = self._wall_ns = 0

    def add(self, items: list[Item]) -> None:
        """Encode the items of a view."""
        for item in items:
            if type(item) is Data:
                self._data(item)
            elif type(item) is Hole:
                self.close()
                self.cursor = self.cursor.behind_hole(item.channel, item.end)
                self.messages.append(gap_message(self.cursor, item))

    def _data(self, item: Data) -> None:
        if self._parts and (item.channel != self._channel or self._size + len(item.data) > LARGEST):
            self.close()
        if not self._parts:
            self._channel, self._wall_ns, self._start = item.channel, item.wall_ns, item.offset
        self._parts.append(item.data)
        self._size += len(item.data)

    def close(self) -> None:
        """Finish the message that is being gathered, if there are bytes in it."""
        if not self._parts:
            return
        end = self._start + self._size
        self.cursor = self.cursor.behind(self._channel, end)
        fields = b"".join(
            (
                _OFFSET,
                varint(self._start),
                _TIME,
                varint(self._wall_ns),
                _CHANNEL,
                _VARINTS[self._channel],
                _TEXT,
                varint(self._size),
            )
        )
        length = varint(len(fields) + self._size)
        self.messages.append(b"".join((_head(self.cursor), _CHUNK, length, fields, *self._parts)))
        self._parts = []
        self._size = 0


def gap_message(cursor: Cursor, hole: Hole) -> bytes:
    """The message that tells of bytes that will not come; the cursor is the place behind them."""
    gap = LogGap(
        channel=hole.channel,  # type: ignore[arg-type]
        from_offset=hole.offset,
        to_offset=hole.end,
        reason=hole.reason,
    )
    return TailLogsResponse(cursor=str(cursor), gap=gap).SerializeToString()
