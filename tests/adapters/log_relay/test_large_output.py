"""Does much output go its whole way in few large pieces, and without filling the machine's memory?"""

import ctypes
import mmap
import os
import random
from pathlib import Path

import pytest

from tenure.v1.log_service_pb2 import LOG_FORMAT_CHUNKS, TailLogsRequest
from tenure.v1.task_pb2 import TASK_STATE_RUNNING
from tenure_core.fence import Fence
from tenure_core.frames import BLOCK, PORTION
from tenure_log_relay.adapters.attempt_reader import FEW, AttemptReader
from tenure_log_relay.adapters.starting import Start
from tenure_log_relay.adapters.storage.log import StorageLimits
from tenure_log_relay.adapters.tail_request import checked
from tests.adapters.log_relay.relays import RelayProcess, push_all, tail
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.adapters.log_relay.spools import Spool
from tests.adapters.log_relay.test_storage import frames_of, only, opened

TASK = "abcd" + "0" * 16
MIB = 1 << 20
RAW = checked(TailLogsRequest(task_id=TASK, format=LOG_FORMAT_CHUNKS))


def full_frames(count: int) -> Spool:
    chance = random.Random(3)
    spool = Spool(f"1.{TASK}.1")
    for _ in range(count):
        spool.write(chance.randbytes(BLOCK))
    return spool


async def test_a_lone_reader_gets_large_messages(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    """Larger than the portions that are pushed, so that it catches up; within the default limit of gRPC."""
    spool = full_frames(20)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    await push_all(relay, spool, batch=PORTION)
    messages = await tail(relay, TASK, format=LOG_FORMAT_CHUNKS)
    sizes = [len(message.chunk.data) for message in messages if message.HasField("chunk")]
    assert sizes == [3 * MIB, 2 * MIB]
    assert max(message.ByteSize() for message in messages) < 4 * MIB


async def test_one_of_many_readers_gets_a_portion_at_a_time(tmp_path: Path) -> None:
    spool = full_frames(20)
    async with opened(tmp_path, StorageLimits()) as log:
        attempt = log.attempt(Fence.parse(spool.fence))
        for start in range(0, len(spool.frames), 4):
            log.push(attempt, b"".join(spool.frames[start : start + 4]))
        await log.flush()
        readers = [AttemptReader(log, attempt.fence, RAW, Start()) for _ in range(FEW + 1)]
        assert all(reader.attempt is attempt for reader in readers)
        received = [[message async for message in reader.messages()] for reader in readers]
        assert [len(messages) for messages in received] == [5] * (FEW + 1)
        for reader in readers:
            reader.close()


def resident(path: Path) -> int:
    """Bytes of a file that are in the page cache."""
    libc = ctypes.CDLL(None)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        view = (ctypes.c_char * len(mapped)).from_buffer(mapped)
        pages = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        assert libc.mincore(ctypes.byref(view), ctypes.c_size_t(len(mapped)), pages) == 0
        del view
    return sum(page & 1 for page in pages) * mmap.PAGESIZE


async def test_what_is_on_disk_leaves_the_page_cache(tmp_path: Path) -> None:
    spool = full_frames(64)
    async with opened(tmp_path) as log:
        attempt = log.attempt(Fence.parse(spool.fence))
        for start in range(0, len(spool.frames), 4):
            log.push(attempt, b"".join(spool.frames[start : start + 4]))
            await log.flush()
        path = only(tmp_path)
        left = resident(path)
        if left == -(-path.stat().st_size // mmap.PAGESIZE) * mmap.PAGESIZE and on_tmpfs(tmp_path):
            pytest.skip("files in memory have nowhere else to be")
        assert left <= 4 * MIB
        assert sum(len(frame.payload) for frame in await frames_of(log, attempt)) == 16 * MIB


def on_tmpfs(path: Path) -> bool:
    device = path.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    with Path("/proc/self/mountinfo").open() as mounts:
        return any(f" {name} " in line and " - tmpfs " in line for line in mounts)
