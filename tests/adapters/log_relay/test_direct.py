"""Does a file hold the same whether it was written around the page cache or through it?"""

import errno
import itertools
import os
import random
import resource
from pathlib import Path

import pytest

from tenure_log_relay.adapters.storage.direct import ALIGN, LARGE, MEMORY, DirectWriter
from tenure_log_relay.adapters.storage.segment import Segment

SIZES = (1, ALIGN - 1, LARGE, LARGE + 1, MEMORY, MEMORY + 1, 2 * MEMORY - ALIGN, 3 * MEMORY + 17, 100, LARGE)


def pieces(chance: random.Random, size: int) -> list[bytes | memoryview]:
    """Random bytes of this size, in buffers as a batch has them: small and large ones, bytes and views."""
    data = memoryview(chance.randbytes(size))
    cuts = sorted({0, size, *(chance.randrange(size + 1) for _ in range(6))})
    views = [data[start:end] for start, end in itertools.pairwise(cuts)]
    return [bytes(view) if chance.random() < 0.5 else view for view in views]


@pytest.mark.parametrize("seed", range(4))
def test_every_size_at_every_position(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    segment, direct = Segment.create(tmp_path, 1), DirectWriter()
    expected = b""
    for size in chance.sample(SIZES, len(SIZES)):
        buffers = pieces(chance, size)
        segment.append(buffers, direct)
        expected += b"".join(buffers)
        assert segment.size == len(expected)
        assert segment.read(segment.size - size, size) == expected[-size:]
    assert segment.path.read_bytes() == expected
    segment.close()


def test_a_file_system_that_knows_no_such_writes(tmp_path: Path) -> None:
    """It is asked once; everything goes through the page cache then."""
    direct = DirectWriter()
    with (tmp_path / "file").open("w+b") as file:
        assert not direct.write(Path("/proc/self/comm"), file.fileno(), [bytes(LARGE)], 0)
        assert not direct.write(tmp_path / "file", file.fileno(), [bytes(LARGE)], 0)
    segment = Segment.create(tmp_path, 1)
    segment.append([b"1" * LARGE], direct)
    assert segment.path.read_bytes() == b"1" * LARGE
    segment.close()


def test_a_refused_write_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    """The disk takes the beginning of a write only: nothing of it stays, and it may be tried again."""
    chance = random.Random(1)
    segment, direct = Segment.create(tmp_path, 1), DirectWriter()
    before, refused = chance.randbytes(LARGE + 1000), chance.randbytes(4 * MEMORY)
    segment.append([before], direct)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MEMORY + 5, hard))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            segment.append([refused], direct)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert segment.path.read_bytes() == before
    segment.append([refused], direct)
    assert segment.path.read_bytes() == before + refused
    segment.close()
