"""Does all output that the warden spooled reach the relay, whatever happens in between?"""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tenure.dispatch.v1.log_ingest_service_pb2 import PushChunk, PushRequest
from tenure.v1.log_service_pb2 import LOG_FORMAT_CHUNKS
from tenure.v1.task_pb2 import TASK_STATE_RUNNING
from tenure_worker_agent.adapters import push_wire
from tenure_worker_agent.adapters.log_pusher import LogPusher
from tenure_worker_agent.warden.spool import Spool, Usage
from tests.adapters.log_relay.relays import RelayProcess, read_bytes, tail
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.support.etcd_server import EtcdServer
from tests.support.waiting import eventually

TASK = "abcd" + "0" * 16
FENCE = f"1.{TASK}.1"
GENEROUS = 1 << 30


class Node:
    """A warden's spools and the pusher that empties them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.spools: dict[str, Spool] = {}
        self.content: dict[str, dict[int, bytearray]] = {}
        self.acked: dict[str, int] = {}
        self.complete: list[str] = []
        self.pusher = LogPusher(
            "w1",
            directory,
            lambda address: grpc.aio.insecure_channel(
                address, options=[("grpc.use_local_subchannel_pool", 1)]
            ),
            on_acked=lambda acked: self.acked.update(acked),
            on_complete=self.complete.append,
        )

    def write(self, payload: bytes, channel: int = 1, *, fence: str = FENCE, cap: int = GENEROUS) -> None:
        spool = self.spools.get(fence)
        if spool is None:
            spool = self.spools[fence] = Spool(str(self.directory), fence, cap, Usage())
            self.content[fence] = {1: bytearray(), 2: bytearray()}
        spool.append(channel, memoryview(payload))
        self.content[fence][channel] += payload

    def announce(self, fence: str = FENCE) -> None:
        self.pusher.progress({fence: self.spools[fence].span})

    def finish(self, fence: str = FENCE) -> None:
        spool = self.spools[fence]
        tail = spool.finish()
        self.announce(fence)
        self.pusher.finished(fence, spool.finals[0], tail)


@pytest.fixture
async def scheduler() -> AsyncIterator[SchedulerEndpoint]:
    """What the relay asks for outcomes."""
    endpoint = SchedulerEndpoint()
    await endpoint.start()
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def relay(
    tmp_path: Path, scheduler: SchedulerEndpoint, etcd: EtcdServer
) -> AsyncIterator[RelayProcess]:
    """A real relay, to be killed at will."""
    process = RelayProcess(tmp_path / "relay", scheduler.address, etcd.endpoint)
    await process.start()
    yield process
    if process.process is not None:
        await process.kill()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path / "spool")
    running = asyncio.create_task(node.pusher.run())
    yield node
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def digest(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()


async def same_as_written(relay: RelayProcess, node: Node, task: str = TASK) -> None:
    found = await read_bytes(relay, task)
    for channel in (1, 2):
        assert digest(found[channel]) == digest(node.content[f"1.{task}.1"][channel])


def test_a_request_is_what_the_generated_class_makes_of_it() -> None:
    expected = PushRequest(
        worker="w1",
        chunks=[
            PushChunk(fence=FENCE, frames=b"x" * 300, final_frames=200),
            PushChunk(fence="2.b.1"),
        ],
    )
    parts = [
        push_wire.opening("w1"),
        *push_wire.chunk(FENCE.encode(), (b"x" * 100, b"x" * 200), 200),
        *push_wire.chunk(b"2.b.1", (), None),
    ]
    assert PushRequest.FromString(b"".join(parts)) == expected


async def test_output_arrives_byte_for_byte_and_is_acknowledged(
    relay: RelayProcess, scheduler: SchedulerEndpoint, node: Node
) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    chance = random.Random(1)
    node.pusher.place(FENCE, relay.address, fresh=True)
    for _ in range(200):
        node.write(chance.randbytes(chance.choice((1, 1000, 200_000))), chance.choice((1, 2)))
        node.announce()
        await asyncio.sleep(0)
    node.finish()
    await eventually(lambda: node.complete == [FENCE], within=20)
    assert node.acked[FENCE] == node.spools[FENCE].end
    await same_as_written(relay, node)


async def test_output_waits_for_a_relay_that_was_killed(
    relay: RelayProcess, scheduler: SchedulerEndpoint, node: Node
) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    port = relay.address
    node.pusher.place(FENCE, relay.address)
    for number in range(50):
        node.write(random.Random(number).randbytes(100_000))
        node.announce()
        await asyncio.sleep(0)
    await eventually(lambda: node.acked.get(FENCE, 0) > 0, within=20)
    await relay.kill()
    for number in range(50):
        node.write(random.Random(number).randbytes(100_000))
        node.announce()
    relay._arguments = ("--listen", port, *relay._arguments[2:])
    await relay.start()
    node.finish()
    await eventually(lambda: node.complete == [FENCE], within=20)
    await same_as_written(relay, node)


async def test_a_restarted_agent_goes_on_where_the_relay_stands(
    relay: RelayProcess, scheduler: SchedulerEndpoint, node: Node, tmp_path: Path
) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    node.pusher.place(FENCE, relay.address, fresh=True)
    node.write(b"before\n" * 1000)
    node.announce()
    await eventually(lambda: FENCE in node.acked, within=20)
    node.pusher.forget(FENCE)
    acked, node.acked = node.acked[FENCE], {}
    node.write(b"after\n" * 1000)
    node.pusher.place(FENCE, relay.address)
    node.finish()
    await eventually(lambda: node.complete == [FENCE], within=20)
    assert node.acked[FENCE] > acked
    await same_as_written(relay, node)


async def test_what_was_dropped_at_the_limit_is_a_gap(
    relay: RelayProcess, scheduler: SchedulerEndpoint, node: Node
) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    for number in range(100):
        node.write(bytes([number]) * 10_000, 1 + number % 2, cap=1 << 19)
    node.spools[FENCE].drop_oldest(300_000)
    start = node.spools[FENCE].start
    assert start > 0
    node.pusher.place(FENCE, relay.address)
    node.finish()
    await eventually(lambda: node.complete == [FENCE], within=20)
    messages = await tail(relay, TASK, format=LOG_FORMAT_CHUNKS)
    gaps = {int(message.gap.channel): message.gap for message in messages if message.HasField("gap")}
    assert set(gaps) == {1, 2}
    for channel in (1, 2):
        missing = gaps[channel].to_offset
        chunks = [message.chunk for message in messages if message.chunk.channel == channel]
        assert chunks[0].offset == missing
        rest = b"".join(chunk.data for chunk in chunks)
        assert rest == node.content[FENCE][channel][missing:]


async def test_a_damaged_spool_costs_the_damaged_frame_and_says_so(
    relay: RelayProcess, scheduler: SchedulerEndpoint, node: Node
) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    for number in range(10):
        node.write(bytes([number]) * 1000)
    (file,) = node.directory.iterdir()
    data = bytearray(file.read_bytes())
    data[3 * 1048 + 500] ^= 1
    file.write_bytes(data)
    node.pusher.place(FENCE, relay.address)
    node.finish()
    await eventually(lambda: node.complete == [FENCE], within=20)
    messages = await tail(relay, TASK, format=LOG_FORMAT_CHUNKS)
    (gap,) = (message.gap for message in messages if message.HasField("gap"))
    assert (gap.from_offset, gap.to_offset) == (3000, 4000)
    assert "damaged" in gap.reason
    rest = b"".join(message.chunk.data for message in messages if message.HasField("chunk"))
    written = node.content[FENCE][1]
    assert rest == written[:3000] + written[4000:]


async def test_damage_in_one_channel_costs_the_other_nothing(
    relay: RelayProcess, scheduler: SchedulerEndpoint, node: Node
) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    for number in range(12):
        node.write(bytes([number]) * 1000, 1 + number % 2)
    (file,) = node.directory.iterdir()
    data = bytearray(file.read_bytes())
    data[3 * 1048 + 500] ^= 1
    data[4 * 1048 + 500] ^= 1
    file.write_bytes(data)
    node.pusher.place(FENCE, relay.address)
    node.finish()
    await eventually(lambda: node.complete == [FENCE], within=20)
    messages = await tail(relay, TASK, format=LOG_FORMAT_CHUNKS)
    gaps = {
        int(m.gap.channel): m.gap
        for m in messages
        if m.HasField("gap") and m.gap.to_offset > m.gap.from_offset
    }
    assert {channel: (gap.from_offset, gap.to_offset) for channel, gap in gaps.items()} == {
        1: (2000, 3000),
        2: (1000, 2000),
    }
    for channel, gap in gaps.items():
        rest = b"".join(m.chunk.data for m in messages if m.chunk.channel == channel)
        written = node.content[FENCE][channel]
        assert rest == written[: gap.from_offset] + written[gap.to_offset :]


async def test_many_small_attempts_share_a_stream(
    relay: RelayProcess, scheduler: SchedulerEndpoint, node: Node
) -> None:
    tasks = [f"abcd{number:016d}" for number in range(500)]
    for task in tasks:
        scheduler.set(task, TASK_STATE_RUNNING, 1)
        fence = f"1.{task}.1"
        node.pusher.place(fence, relay.address, fresh=True)
        node.write(f"only line of {task}\n".encode(), fence=fence)
        node.finish(fence)
    await eventually(lambda: len(node.complete) == len(tasks), within=20)
    assert node.pusher.unsent == 0
    await same_as_written(relay, node, tasks[0])
    await same_as_written(relay, node, tasks[-1])


async def test_an_attempt_without_output_needs_no_relay(node: Node) -> None:
    node.pusher.finished(FENCE, 0)
    assert node.complete == [FENCE]
