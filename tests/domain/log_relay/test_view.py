"""Do lines and chunks show exactly the bytes that came, wherever a reader stops and goes on?"""

from hypothesis import given
from hypothesis import strategies as st

from tenure_log_relay.domain.view import (
    MAX_LINE,
    Data,
    Hole,
    Item,
    Run,
    ViewState,
    chunks,
    flush,
    lines,
    missed,
)
from tests.domain.log_relay.frames_of import Spec, decoded, encoded

ALL = frozenset({1, 2, 3})
text = st.lists(st.sampled_from((b"a", b"bc", b"\n", b"\n\n", b"\r", b"\xc3", b"\xa9")), max_size=12).map(
    b"".join
)
specs = st.lists(st.tuples(st.sampled_from((1, 2)), text | text | st.integers(1, 9)), max_size=20)


def spelled(items: list[Item]) -> list[tuple[int, int, bytes | None, int, bool]]:
    """Items one by one: (channel, offset, text or None for a hole, end, cut)."""
    out: list[tuple[int, int, bytes | None, int, bool]] = []
    for item in items:
        if isinstance(item, Run):
            offset = item.offset
            for line in item.texts:
                end = offset + len(line) + (not item.cut)
                out.append((item.channel, offset, line, end, item.cut))
                offset = end
            assert offset == item.end
        elif isinstance(item, Hole):
            out.append((item.channel, item.offset, None, item.end, False))
    return out


def bytes_of(items: list[Item], channel: int) -> list[bytes | int]:
    """What a channel's items contain, in order; a number stands for missing bytes."""
    out: list[bytes | int] = []
    offset = 0
    for item in items:
        if item.channel != channel:
            continue
        assert item.offset == offset
        offset = item.end
        if isinstance(item, Hole):
            out.append(item.end - item.offset)
        elif isinstance(item, Data):
            out.append(bytes(item.data))
        else:
            out += [line + (b"" if item.cut else b"\n") for line in item.texts]
    return joined(out)


def joined(parts: list[bytes | int]) -> list[bytes | int]:
    """Neighbours of one kind added up; without empty ones."""
    out: list[bytes | int] = []
    for part in parts:
        match out[-1:], part:
            case [bytes(last)], bytes(more):
                out[-1] = last + more
            case [int(before)], int(missing):
                out[-1] = before + missing
            case _:
                out += [part] if part != b"" else []
    return out


@given(specs)
def test_both_views_show_every_byte_once(some: list[Spec]) -> None:
    frames = decoded(encoded(some))
    for view in (lines, chunks):
        items, state = view(frames, ViewState(), ALL)
        rest, _ = flush(state)
        for channel in (1, 2):
            expected = joined([what for c, what in some if c == channel])
            assert bytes_of(items + rest, channel) == expected


@given(specs, st.data())
def test_a_resumed_view_goes_on_as_if_never_stopped(some: list[Spec], data: st.DataObject) -> None:
    frames = decoded(encoded(some))
    whole, end = lines(frames, ViewState(), ALL)
    stop = data.draw(st.integers(0, len(frames)))
    first, state = lines(frames[:stop], ViewState(), ALL)
    resumed, resumed_end = lines(frames, ViewState(state.delivered), ALL)
    assert spelled(first) + spelled(resumed) == spelled(whole)
    assert spelled(flush(resumed_end)[0]) == spelled(flush(end)[0])


@given(specs, st.data())
def test_how_frames_are_handed_over_changes_nothing(some: list[Spec], data: st.DataObject) -> None:
    frames = decoded(encoded(some))
    whole, end = lines(frames, ViewState(), ALL)
    pieces: list[Item] = []
    state = ViewState()
    start = 0
    while start < len(frames):
        stop = data.draw(st.integers(start + 1, len(frames)))
        items, state = lines(frames[start:stop], state, ALL)
        pieces += items
        start = stop
    assert spelled(pieces) == spelled(whole)
    assert (state.seen, state.delivered) == (end.seen, end.delivered)


@given(specs, st.data())
def test_what_no_frame_had_is_told_at_the_end(some: list[Spec], data: st.DataObject) -> None:
    """All bytes of each channel are in the lines and holes, whichever frames at the end cannot be read."""
    frames = decoded(encoded(some))
    kept = data.draw(st.integers(0, len(frames)))
    _, end = chunks(frames, ViewState(), ALL)
    items, state = lines(frames[:kept], ViewState(), ALL)
    holes, state = missed(state, end.seen, ALL)
    items += holes + flush(state)[0]
    for channel in (1, 2):
        parts = [
            (f.end_offset - f.offset if f.is_gap else bytes(f.payload))
            for f in frames[:kept]
            if f.channel == channel
        ]
        lost = sum(f.end_offset - f.offset for f in frames[kept:] if f.channel == channel)
        assert bytes_of(items, channel) == joined([*parts, lost] if lost else parts)
    assert missed(state, end.seen, ALL)[0] == []


@given(st.integers(0, 3 * MAX_LINE), st.booleans(), st.integers(1, 2 * MAX_LINE))
def test_long_lines_are_cut_at_the_same_places(size: int, ended: bool, step: int) -> None:
    content = b"x" * size + (b"\n" if ended else b"")
    parts = [content[at : at + step] for at in range(0, len(content), step)]
    items, state = lines(decoded(encoded([(1, part) for part in parts])), ViewState(), ALL)
    found = [text for _, _, text, _, _ in spelled(items + flush(state)[0])]
    assert b"".join(t or b"" for t in found) == b"x" * size
    assert all(len(t or b"") == MAX_LINE for t in found[:-1])


def test_only_wanted_channels_are_shown() -> None:
    frames = decoded(encoded([(1, b"out\n"), (2, b"err\n"), (1, 5)]))
    items, _ = lines(frames, ViewState(), frozenset({2}))
    assert spelled(items) == [(2, 0, b"err", 4, False)]
