"""Does the segment log keep what it acknowledged, whatever its files look like after a crash?"""

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenure_core.fence import Fence
from tenure_core.frames import Frame
from tenure_log_relay.adapters.storage import retention, seal
from tenure_log_relay.adapters.storage.attempt import AttemptLog
from tenure_log_relay.adapters.storage.log import SegmentLog, StorageLimits
from tenure_log_relay.adapters.storage.reading import next_chunk
from tenure_log_relay.adapters.storage.records import State
from tenure_log_relay.adapters.storage.restore import restore
from tenure_log_relay.adapters.storage.segment import Segment, segment_paths
from tenure_log_relay.domain.view import Data, Hole, ViewState, chunks
from tests.adapters.log_relay.spools import Spool
from tests.support.waiting import eventually

TASK = "0123456789abcdefghjk"
ALL = frozenset({1, 2, 3})
COLD = StorageLimits(hot_bytes=0)


@contextlib.asynccontextmanager
async def opened(folder: Path, limits: StorageLimits = COLD) -> AsyncIterator[SegmentLog]:
    log = SegmentLog(folder, limits)
    restore(log)
    running = [asyncio.create_task(log.run()), asyncio.create_task(seal.run(log))]
    try:
        yield log
    finally:
        await log.flush()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        log.close()


async def frames_of(log: SegmentLog, attempt: AttemptLog, number: int = 0) -> list[Frame]:
    found = []
    while (chunk := await next_chunk(log, attempt, number)) is not None:
        found += chunk.frames
        number = chunk.after
    return found


async def items_of(log: SegmentLog, attempt: AttemptLog) -> list[Data | Hole]:
    """What a reader of CHUNKS gets."""
    items, _ = chunks(await frames_of(log, attempt), ViewState(), ALL)
    return items  # type: ignore[return-value]


def judge(items: list[Data | Hole], spool: Spool, committed: int) -> int:
    """Check that nothing is wrong, and nothing missing without a word; the number of missing bytes."""
    offset = missing = 0
    for item in items:
        assert item.offset == offset
        if isinstance(item, Hole):
            missing += item.end - item.offset
        else:
            assert bytes(item.data) == spool.content[1][item.offset : item.end]
        offset = item.end
    assert offset == committed
    return missing


def some_spool(size: int, seed: int = 1, attempt: int = 1) -> Spool:
    chance = random.Random(seed)
    spool = Spool(f"1.{TASK}.{attempt}")
    while len(spool.content[1]) < size:
        spool.write(chance.randbytes(chance.choice((20, 300, 900))))
    return spool


async def written(folder: Path, spool: Spool, step: int = 3) -> None:
    """A log with the spool in many records, neighbours of another attempt's."""
    other = some_spool(2_000, 99, attempt=7)
    async with opened(folder) as log:
        attempt, neighbour = log.attempt(Fence.parse(spool.fence)), log.attempt(Fence.parse(other.fence))
        for start in range(0, len(spool.frames), step):
            log.push(attempt, b"".join(spool.frames[start : start + step]))
            if start // step < len(other.frames):
                log.push(neighbour, other.frames[start // step])
            await log.flush()


async def flipped_and_read(folder: Path, source: Path, position: int, bit: int, spool: Spool) -> int:
    """Flip a bit of a copy, restore it, read it, refill it as an agent would; the bytes that stay missing."""
    shutil.copytree(source, folder)
    path = only(folder)
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)
    async with opened(folder) as log:
        attempt = log.attempt(Fence.parse(spool.fence))
        judge(await items_of(log, attempt), spool, attempt.committed.offsets[0])
        log.push(attempt, b"".join(spool.frames[attempt.committed.number :]))
        await log.flush()
        assert attempt.committed.offsets[0] == len(spool.content[1])
        missing = judge(await items_of(log, attempt), spool, len(spool.content[1]))
        assert missing == attempt.missing_bytes
    shutil.rmtree(folder)
    return missing


@pytest.mark.parametrize("part", range(4))
async def test_flipped_bits_never_give_wrong_bytes(tmp_path: Path, part: int) -> None:
    """Sampled positions over the last 4 KiB of a segment; the bit changes with the position."""
    spool = some_spool(12_000)
    await written(tmp_path / "source", spool)
    size = only(tmp_path / "source").stat().st_size
    for position in range(size - 4096 + part * 7, size, 28):
        await flipped_and_read(tmp_path / "copy", tmp_path / "source", position, position % 8, spool)


@pytest.mark.skipif(not os.environ.get("TENURE_SLOW_TESTS"), reason="runs for minutes: TENURE_SLOW_TESTS=1")
@pytest.mark.timeout(900)
async def test_every_flipped_position_of_the_last_4_kib(tmp_path: Path) -> None:
    spool = some_spool(12_000)
    await written(tmp_path / "source", spool)
    size = only(tmp_path / "source").stat().st_size
    for position in range(size - 4096, size):
        for bit in (position % 8, (position + 4) % 8):
            await flipped_and_read(tmp_path / "copy", tmp_path / "source", position, bit, spool)


async def test_a_torn_tail_is_cut_and_filled_again(tmp_path: Path) -> None:
    spool = some_spool(5_000)
    await written(tmp_path / "source", spool)
    size = only(tmp_path / "source").stat().st_size
    for length in range(0, size, 97):
        shutil.copytree(tmp_path / "source", tmp_path / "copy")
        os.truncate(only(tmp_path / "copy"), length)
        async with opened(tmp_path / "copy") as log:
            attempt = log.attempt(Fence.parse(spool.fence))
            assert judge(await items_of(log, attempt), spool, attempt.committed.offsets[0]) == 0
            log.push(attempt, b"".join(spool.frames[attempt.committed.number :]))
            await log.flush()
            assert judge(await items_of(log, attempt), spool, len(spool.content[1])) == 0
        shutil.rmtree(tmp_path / "copy")


async def test_damage_that_appears_later_becomes_a_hole(tmp_path: Path) -> None:
    spool = some_spool(50_000)
    await written(tmp_path, spool)
    async with opened(tmp_path) as log:
        attempt = log.attempt(Fence.parse(spool.fence))
        path = only(tmp_path)
        data = bytearray(path.read_bytes())
        for position in range(10_000, 40_000, 10_000):
            data[position] ^= 16
        path.write_bytes(data)
        assert judge(await items_of(log, attempt), spool, len(spool.content[1])) > 0


async def test_many_attempts_share_segments(tmp_path: Path) -> None:
    limits = StorageLimits(hot_bytes=0, segment_bytes=100_000)
    spools = [some_spool(3_000, seed, attempt=seed + 1) for seed in range(200)]
    async with opened(tmp_path, limits) as log:
        for round_ in range(12):
            for spool in spools:
                if round_ < len(spool.frames):
                    log.push(log.attempt(Fence.parse(spool.fence)), spool.frames[round_])
            await log.flush()
        for spool in spools:
            log.push(log.attempt(Fence.parse(spool.fence)), bytes(spool))
    assert 5 < len(segment_paths(tmp_path)) < 20
    async with opened(tmp_path, limits) as log:
        for spool in spools:
            attempt = log.attempts[spool.fence]
            assert judge(await items_of(log, attempt), spool, len(spool.content[1])) == 0


async def test_a_start_reads_indexes_or_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = StorageLimits(hot_bytes=0, segment_bytes=30_000)
    spools = [some_spool(20_000, seed, attempt=seed + 1) for seed in range(9)]
    async with opened(tmp_path, limits) as log:
        for start in range(0, 200, 2):
            for spool in spools:
                log.push(log.attempt(Fence.parse(spool.fence)), b"".join(spool.frames[start : start + 2]))
            await log.flush()
        log.note(log.attempts[spools[0].fence], State(len(spools[0].frames), reported=True))
        await log.flush()
        count = len(log.segments)
        await eventually(lambda: len(indexes(tmp_path)) == count - 1)
        expected = {key: attempt.end for key, attempt in log.attempts.items()}
    damaged, short, missing = indexes(tmp_path)[:3]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    short.write_bytes(b"TLI1")
    missing.unlink()
    walked: list[Segment] = []
    read = Segment.read

    def watched(segment: Segment, start: int, length: int) -> bytes:
        walked.append(segment)
        return read(segment, start, length)

    monkeypatch.setattr(Segment, "read", watched)
    async with opened(tmp_path, limits) as log:
        assert len(walked) == 4
        assert {key: attempt.end for key, attempt in log.attempts.items()} == expected
        for spool in spools:
            assert judge(await items_of(log, log.attempts[spool.fence]), spool, len(spool.content[1])) == 0
        await eventually(lambda: len(indexes(tmp_path)) == count)


def only(folder: Path) -> Path:
    """The one segment in a folder."""
    (path,) = segment_paths(folder)
    return path


def indexes(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tli"))


async def test_old_segments_go_and_positions_stay(tmp_path: Path) -> None:
    limits = StorageLimits(hot_bytes=0, segment_bytes=20_000, retain_bytes=60_000)
    quiet, busy = some_spool(500, 1, attempt=1), some_spool(300_000, 2, attempt=2)
    done = some_spool(500, 3, attempt=3)
    async with opened(tmp_path, limits) as log:
        log.push(log.attempt(Fence.parse(quiet.fence)), bytes(quiet))
        log.push(log.attempt(Fence.parse(done.fence)), bytes(done))
        log.note(log.attempts[done.fence], State(len(done.frames), reported=True))
        for frame in busy.frames:
            log.push(log.attempt(Fence.parse(busy.fence)), frame)
            await log.flush()
        assert await retention.enforce(log) > 200_000
        assert log.bytes <= 60_000
        assert done.fence not in log.attempts
        assert log.attempts[quiet.fence].committed.offsets[0] == len(quiet.content[1])
    async with opened(tmp_path, limits) as log:
        attempt = log.attempts[quiet.fence]
        assert attempt.committed.offsets[0] == len(quiet.content[1])
        more = quiet.write(b"more")
        assert not log.push(attempt, more).behind
        items = await items_of(log, log.attempts[busy.fence])
        missing = judge(items, busy, len(busy.content[1]))
        assert isinstance(items[0], Hole)
        assert 0 < missing < len(busy.content[1])
