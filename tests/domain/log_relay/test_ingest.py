"""Does the relay take every byte once, however an agent repeats, overlaps and reorders?"""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tenure_core.frames import encode_gap, encode_header, scan
from tenure_log_relay.domain.ingest import Ingest
from tenure_log_relay.domain.position import Position
from tests.domain.log_relay.frames_of import Spec, encoded

specs = st.lists(
    st.tuples(st.sampled_from((1, 2, 3)), st.binary(max_size=20) | st.integers(0, 50)), max_size=25
)


def whole(specs: list[Spec]) -> Position:
    """Where an attempt is after all of its frames."""
    ingest = Ingest()
    assert not ingest.offer(b"".join(encoded(specs))).behind
    return ingest.position


@given(specs, st.lists(st.tuples(st.integers(0, 25), st.integers(0, 8)), max_size=40))
def test_any_order_of_slices_gives_a_prefix(some: list[Spec], slices: list[tuple[int, int]]) -> None:
    frames, ingest, taken = encoded(some), Ingest(), b""
    for start, length in slices:
        before = ingest.position
        if before.after_gap:
            # Behind a gap the relay believes numbers that jump; an agent sends what comes next.
            start = min(start, before.number)
        offered = ingest.offer(b"".join(frames[start : start + length]))
        taken += b"".join(offered.pieces)
        assert offered.size == sum(f.end - f.start for f in offered.frames)
        assert ingest.position.number >= before.number
        assert offered.behind == (start > before.number and bool(frames[start : start + length]))
    assert b"".join(frames).startswith(taken)
    rest = ingest.offer(b"".join(frames))
    assert taken + b"".join(rest.pieces) == b"".join(frames)
    assert ingest.position == whole(some)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_other_cuts_of_the_same_bytes_are_trimmed(content: bytes, data: st.DataObject) -> None:
    ingest, taken = Ingest(), b""
    for _ in range(5):
        cuts = sorted(data.draw(st.sets(st.integers(1, len(content)), max_size=6)) | {0})
        parts = [content[a:b] for a, b in itertools.pairwise(cuts)]
        offered = ingest.offer(b"".join(encoded([(1, part) for part in parts])))
        stored = list(scan(b"".join(offered.pieces)))
        assert [f.number for f in stored] == [f.number for f in offered.frames]
        for frame in stored:
            assert frame.offset == len(taken)
            taken += frame.payload
    assert content.startswith(taken)
    assert ingest.position.offsets[0] == len(taken)


def test_behind_gap_frames_the_numbers_may_jump() -> None:
    common = {"wall_ns": 0, "boot_ns": 0}
    ingest = Ingest()
    ingest.offer(b"".join(encoded([(1, b"abc")])))
    gap = encode_gap(10, "dropped", channel=1, number=1, offset=3, **common)
    other = encode_gap(5, "dropped", channel=2, number=2, offset=0, **common)
    after = encode_header(b"x", channel=1, number=9, offset=13, **common) + b"x"
    assert not ingest.offer(gap + other + after).behind
    assert ingest.position == Position(10, (14, 5, 0))
    early = encode_gap(5, "dropped", channel=3, number=11, offset=0, **common)
    assert ingest.offer(early).behind
    late = encode_header(b"y", channel=1, number=12, offset=14, **common) + b"y"
    assert ingest.offer(late).behind


def test_bytes_stand_against_a_later_gap() -> None:
    common = {"wall_ns": 0, "boot_ns": 0}
    ingest = Ingest()
    ingest.offer(b"".join(encoded([(1, b"abcdef")])))
    offered = ingest.offer(encode_gap(10, "lost", channel=1, number=0, offset=0, **common))
    (kept,) = offered.frames
    assert (kept.offset, kept.gap(), kept.number) == (6, (4, "lost"), 1)
    assert ingest.position.offsets[0] == 10
