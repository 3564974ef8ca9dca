"""What is lost when a relay is killed, its disk rots or is full, or an agent repeats itself?"""

import asyncio
import random
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from tenure.v1.log_service_pb2 import LOG_FORMAT_CHUNKS, TailLogsRequest
from tenure.v1.log_service_pb2_grpc import LogServiceStub
from tenure.v1.task_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    LOG_STATE_INCOMPLETE,
    TASK_STATE_RUNNING,
    TASK_STATE_SUCCEEDED,
)
from tests.adapters.log_relay.relays import Pusher, RelayProcess, batches, push_all, read_bytes, tail
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.adapters.log_relay.spools import Spool
from tests.adapters.log_relay.test_round_trip import FENCE, TASK, random_spool
from tests.support.etcd_server import EtcdServer
from tests.support.waiting import eventually

MIB = 1 << 20


def ran(*command: str) -> bool:
    """Whether a command could be run."""
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


async def test_repeated_and_reordered_pushes_change_nothing(relay: RelayProcess) -> None:
    spool = random_spool(3_000_000, 5)
    chance = random.Random(6)
    async with relay.channel() as channel:
        pusher = Pusher(channel)
        position = 0
        while position < len(spool.frames):
            start = max(0, position + chance.randrange(-8, 3))
            some = spool.frames[start : start + chance.randrange(1, 12)]
            ack = await pusher.ask(FENCE, b"".join(some))
            assert ack.next_frame >= position
            assert bool(ack.refused) == (start > position)
            position = ack.next_frame
        await pusher.close()
    assert await read_bytes(relay, TASK) == {k: bytes(v) for k, v in spool.content.items()}


async def test_frames_cut_elsewhere_are_trimmed_to_what_is_new(relay: RelayProcess) -> None:
    content = random.Random(7).randbytes(500_000)
    first, again = Spool(FENCE), Spool(FENCE)
    for start in range(0, 300_000, 1_000):
        first.write(content[start : start + 1_000])
    for start in range(0, 500_000, 7_777):
        again.write(content[start : start + 7_777])
    await push_all(relay, first, final=False)
    async with relay.channel() as channel:
        pusher = Pusher(channel)
        ack = await pusher.ask(FENCE, bytes(again))
        assert ack.stdout == len(content)
        await pusher.close()
    assert (await read_bytes(relay, TASK))[1] == content


async def test_damaged_frames_are_refused(relay: RelayProcess) -> None:
    spool = random_spool(10_000, 8)
    damaged = bytearray(bytes(spool))
    damaged[len(damaged) // 2] ^= 1
    async with relay.channel() as channel:
        pusher = Pusher(channel)
        ack = await pusher.ask(FENCE, bytes(damaged))
        assert "damaged" in ack.refused
        assert ack.next_frame == 0
        ack = await pusher.ask(FENCE, bytes(spool))
        assert ack.next_frame == len(spool.frames)
        await pusher.close()


async def test_a_gap_is_told_and_makes_the_log_incomplete(
    relay: RelayProcess, scheduler: SchedulerEndpoint
) -> None:
    spool = Spool(FENCE)
    spool.write(b"before\nhalf")
    spool.gap(1_000, "the node's disk was full")
    spool.write(b" line\nafter\n")
    size = 11 + 1_000 + 12
    scheduler.set(
        TASK, TASK_STATE_SUCCEEDED, 1, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0, stdout_bytes=size
    )
    await push_all(relay, spool)
    messages = await tail(relay, TASK, follow=True)
    (gap,) = [m.gap for m in messages if m.HasField("gap")]
    assert (gap.from_offset, gap.to_offset, gap.reason) == (11, 1_011, "the node's disk was full")
    texts = [e.text for m in messages for e in m.lines.entries]
    assert texts == [b"before", b"half", b" line", b"after"]
    assert messages[-1].end.log_state == LOG_STATE_INCOMPLETE
    await eventually(lambda: FENCE in scheduler.reported)
    assert scheduler.reported[FENCE].missing_bytes == 1_000


@pytest.mark.parametrize("seed", range(3))
async def test_no_acknowledged_byte_is_lost_by_kill_9(
    tmp_path: Path, scheduler: SchedulerEndpoint, etcd: EtcdServer, seed: int
) -> None:
    spool = random_spool(6_000_000, seed)
    chance = random.Random(seed)
    relay = RelayProcess(tmp_path, scheduler.address, etcd.endpoint)
    acknowledged = 0
    for _ in range(4):
        await relay.start()
        async with relay.channel() as channel:
            pusher = Pusher(channel)
            position = (await pusher.ask(FENCE)).next_frame
            assert position >= acknowledged
            stop_after = acknowledged + len(spool.frames) // 5
            for frames in batches(spool.frames[position:], chance.choice((1, 50_000, 300_000))):
                await pusher.send(FENCE, frames)
                if pusher.acks[FENCE].next_frame >= stop_after:
                    break
                if chance.random() < 0.5:
                    await pusher.next_acks()
            acknowledged = pusher.acks[FENCE].next_frame
            await relay.kill()
    await relay.start()
    await push_all(relay, spool)
    assert await read_bytes(relay, TASK) == {k: bytes(v) for k, v in spool.content.items()}
    await relay.kill()


async def test_a_stopped_reader_costs_no_memory(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    spool = Spool(FENCE)
    block = random.Random(9).randbytes(MIB)
    for _ in range(100):
        spool.write(block)
    await push_all(relay, spool, final=False)
    async with relay.channel() as channel:
        stub: Any = LogServiceStub(channel)
        call = stub.TailLogs(TailLogsRequest(task_id=TASK, follow=True, format=LOG_FORMAT_CHUNKS))
        assert (await call.read()).HasField("attempt_begin")
        before = relay.rss
        for _ in range(200):
            spool.write(block)
        await push_all(relay, spool, final=False)
        assert relay.rss - before < 60 * MIB
        size = 0
        while size < 300 * MIB:
            size += len((await call.read()).chunk.data)
        assert relay.rss - before < 90 * MIB
        call.cancel()


async def test_readers_see_the_same(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    spool = random_spool(3_000_000, 10)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    readers = [asyncio.create_task(tail(relay, TASK, follow=True)) for _ in range(3)]
    await push_all(relay, spool, batch=20_000)
    finals = {"stdout_bytes": len(spool.content[1]), "stderr_bytes": len(spool.content[2])}
    scheduler.set(TASK, TASK_STATE_SUCCEEDED, 1, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0, **finals)
    first, *others = [
        [(e.channel, e.offset, e.text, e.partial) for m in messages for e in m.lines.entries]
        for messages in await asyncio.gather(*readers)
    ]
    assert all(other == first for other in others)
    assert sum(len(text) + (not partial) for _, _, text, partial in first) == 3_000_000


async def test_a_full_disk_stops_acks_but_not_readers(
    tmp_path: Path, scheduler: SchedulerEndpoint, etcd: EtcdServer
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if not ran("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)):
        pytest.skip("mounting a small file system needs root")
    relay = RelayProcess(folder, scheduler.address, etcd.endpoint)
    try:
        await relay.start()
        spool = random_spool(12 * MIB, 11)
        pushing = asyncio.create_task(push_all(relay, spool, batch=200_000))
        await eventually(lambda: relay.said("the disk refuses writes"))
        found = await read_bytes(relay, TASK)
        assert 0 < len(found[1]) < len(spool.content[1])
        assert spool.content[1].startswith(found[1])
        assert not pushing.done()
        assert ran("mount", "-o", "remount,size=64m", str(folder))
        await asyncio.wait_for(pushing, 20)
        assert await read_bytes(relay, TASK) == {k: bytes(v) for k, v in spool.content.items()}
        assert relay.said("takes writes again")
        await relay.kill()
    finally:
        assert ran("umount", "-l", str(folder))


async def test_a_file_size_limit_is_a_refusal_as_well(
    tmp_path: Path, scheduler: SchedulerEndpoint, etcd: EtcdServer
) -> None:
    relay = RelayProcess(tmp_path, scheduler.address, etcd.endpoint)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    await relay.start()
    assert relay.process is not None
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (MIB, limits[1]))
    spool = random_spool(3 * MIB, 12)
    pushing = asyncio.create_task(push_all(relay, spool, batch=100_000))
    await eventually(lambda: relay.said("the disk refuses writes"))
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, limits)
    await asyncio.wait_for(pushing, 20)
    assert await read_bytes(relay, TASK) == {k: bytes(v) for k, v in spool.content.items()}
    await relay.kill()


async def test_sigterm_ends_it_while_readers_follow_and_tells_them(
    relay: RelayProcess, scheduler: SchedulerEndpoint
) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    following = asyncio.create_task(tail(relay, TASK, follow=True))
    spool = random_spool(100_000, 13)
    await push_all(relay, spool, final=False)
    assert await relay.end(signal.SIGTERM) == 0
    with pytest.raises(grpc.aio.AioRpcError) as broken:
        await following
    assert broken.value.code() == grpc.StatusCode.UNAVAILABLE
    await relay.start()
    assert (await read_bytes(relay, TASK))[1] == spool.content[1]
