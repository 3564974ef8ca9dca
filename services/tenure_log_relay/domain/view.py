"""What does a reader see of an attempt's frames?

Frames keep bytes as they came. `LINES` cuts them at newlines, without touching the bytes: text is whatever
lies between two newlines, however many frames it spans. `CHUNKS` hands the payloads on. In both a hole in a
channel, declared by a gap frame or found between two frames, is told where it is.

A view is a pure function of frames and state, and the state after a frame depends only on what was delivered
before: so readers at the same place share their results, and a reader that resumes sees what an uninterrupted
one would have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_core.frames import GAP, Frame
from tenure_log_relay.domain.position import NO_OFFSETS, Offsets, advanced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE: Final = 64 * 1024
LOST_HERE: Final = "these bytes are missing on the relay"

Channels = frozenset[int]


class Run(NamedTuple):
    """Neighbouring lines of one channel, read by the node at one time.

    Each is followed by a newline unless cut.
    """

    channel: int
    wall_ns: int
    offset: int
    texts: list[bytes]
    cut: bool = False
    """No newline follows the only line of this run: it is too long, its end is missing, or it is the last."""

    @property
    def end(self) -> int:
        return self.offset + sum(map(len, self.texts)) + (0 if self.cut else len(self.texts))


class Data(NamedTuple):
    """A payload as it came."""

    channel: int
    wall_ns: int
    offset: int
    data: memoryview

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class Hole(NamedTuple):
    """Bytes that will not be delivered."""

    channel: int
    offset: int
    end: int
    reason: str


Item = Run | Data | Hole


class Open(NamedTuple):
    """The beginning of a line whose newline has not been seen."""

    offset: int
    wall_ns: int
    text: bytes


Opens = tuple[Open | None, Open | None, Open | None]
NOTHING_OPEN: Final[Opens] = (None, None, None)


class ViewState(NamedTuple):
    """How far a view has got."""

    seen: Offsets = NO_OFFSETS
    """Bytes of each channel that were taken from frames."""
    opens: Opens = NOTHING_OPEN

    @property
    def delivered(self) -> Offsets:
        """Bytes of each channel that went out: all that were seen but the open lines."""
        if self.opens == NOTHING_OPEN:
            return self.seen
        stdout, stderr, records = (
            seen if line is None else line.offset for seen, line in zip(self.seen, self.opens, strict=True)
        )
        return stdout, stderr, records


def _opened(opens: Opens, channel: int, line: Open | None) -> Opens:
    changed = [*opens]
    changed[channel - 1] = line
    return changed[0], changed[1], changed[2]


def _holes_and_data(frames: Iterable[Frame], seen: Offsets, channels: Channels) -> Iterator[Data | Hole]:
    """The new bytes and holes of the wanted channels, each byte once."""
    expected = [0, *seen]
    for frame in frames:
        channel = frame.channel
        if channel not in channels:
            continue
        have = expected[channel]
        if frame.flags & GAP:
            end = frame.end_offset
            if end > have:
                expected[channel] = end
                yield Hole(channel, have, end, frame.gap()[1])
            continue
        payload = frame.payload
        offset = frame.offset
        end = offset + len(payload)
        if end <= have:
            continue
        expected[channel] = end
        if offset > have:
            yield Hole(channel, have, offset, LOST_HERE)
        elif offset < have:
            payload = payload[have - offset :]
            offset = have
        yield Data(channel, frame.wall_ns, offset, payload)


def chunks(frames: Iterable[Frame], state: ViewState, channels: Channels) -> tuple[list[Item], ViewState]:
    """The frames' payloads, as they came."""
    items: list[Item] = []
    seen = state.seen
    for item in _holes_and_data(frames, seen, channels):
        seen = advanced(seen, item.channel, item.end)
        items.append(item)
    return items, ViewState(seen)


def lines(frames: Iterable[Frame], state: ViewState, channels: Channels) -> tuple[list[Item], ViewState]:
    """The frames' lines."""
    items: list[Item] = []
    seen, opens = state
    for item in _holes_and_data(frames, seen, channels):
        channel = item.channel
        line = opens[channel - 1]
        if type(item) is Data:
            rest = _split(item, line, items)
        else:
            if line is not None:
                items.append(_cut(channel, line))
            items.append(item)
            rest = None
        if rest is not line:
            opens = _opened(opens, channel, rest)
        seen = advanced(seen, channel, item.end)
    return items, ViewState(seen, opens)


def flush(state: ViewState) -> tuple[list[Item], ViewState]:
    """The open lines: what is there of them goes out, since nothing more is expected."""
    items: list[Item] = [
        _cut(channel, line) for channel, line in enumerate(state.opens, 1) if line is not None
    ]
    return items, ViewState(state.seen)


def missed(state: ViewState, end: Offsets, channels: Channels) -> tuple[list[Item], ViewState]:
    """Holes up to `end`, for bytes that no frame before that place had: what lies behind is told apart."""
    items: list[Item] = []
    seen, opens = state
    for channel in sorted(channels):
        if seen[channel - 1] >= end[channel - 1]:
            continue
        line = opens[channel - 1]
        if line is not None:
            items.append(_cut(channel, line))
            opens = _opened(opens, channel, None)
        items.append(Hole(channel, seen[channel - 1], end[channel - 1], LOST_HERE))
        seen = advanced(seen, channel, end[channel - 1])
    return items, ViewState(seen, opens)


def _cut(channel: int, line: Open) -> Run:
    return Run(channel, line.wall_ns, line.offset, [line.text], cut=True)


def _split(data: Data, line: Open | None, items: list[Item]) -> Open | None:
    """Append the lines that end in `data`; returns the one that stays open."""
    channel, wall_ns, offset, payload = data
    texts = bytes(payload).split(b"\n")
    last = texts.pop()
    start = offset
    if line is not None:
        start = line.offset
        if not texts:
            return _limited(channel, Open(start, line.wall_ns, line.text + last), items)
        texts[0] = line.text + texts[0]
    if texts:
        if len(max(texts, key=len)) > MAX_LINE:
            _append_long(Run(channel, wall_ns, start, texts), items)
        else:
            items.append(Run(channel, wall_ns, start, texts))
    if not last:
        return None
    return _limited(channel, Open(data.end - len(last), wall_ns, last), items)


def _limited(channel: int, line: Open, items: list[Item]) -> Open | None:
    """Cut full pieces off an open line; what stays is at most `MAX_LINE` and never empty."""
    offset, wall_ns, text = line
    if len(text) <= MAX_LINE:
        return line
    while len(text) > MAX_LINE:
        items.append(Run(channel, wall_ns, offset, [text[:MAX_LINE]], cut=True))
        text = text[MAX_LINE:]
        offset += MAX_LINE
    return Open(offset, wall_ns, text)


def _append_long(run: Run, items: list[Item]) -> None:
    """Append a run in which at least one line is too long."""
    channel, wall_ns, offset, texts, _ = run
    for text in texts:
        end = offset + len(text) + 1
        rest = _limited(channel, Open(offset, wall_ns, text), items) if text else None
        if rest is None:
            items.append(Run(channel, wall_ns, offset, [text]))
        else:
            items.append(Run(channel, wall_ns, rest.offset, [rest.text]))
        offset = end
