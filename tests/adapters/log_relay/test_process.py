"""Does the relay live as a service should: registered, visible to operators, refusing what it cannot do?"""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenure.v1.log_service_pb2 import ListLogStreamsRequest, LogFilter, TailLogsRequest
from tenure.v1.log_service_pb2_grpc import LogServiceStub
from tenure_log_relay.adapters.rules import validator
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tenure_state.v1.cluster_pb2 import Registration
from tests.adapters.log_relay.relays import RelayProcess, push_all, tail
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.adapters.log_relay.spools import Spool
from tests.adapters.log_relay.test_round_trip import FENCE, TASK
from tests.support.etcd_server import EtcdServer
from tests.support.waiting import eventually


async def test_registers_under_one_id_and_withdraws(
    tmp_path: Path, scheduler: SchedulerEndpoint, etcd: EtcdServer, cluster_name: str
) -> None:
    relay = RelayProcess(tmp_path, scheduler.address, etcd.endpoint, "--cluster", cluster_name)
    async with EtcdClient([etcd.endpoint]) as client:
        keys = Keys(cluster_name)
        for _ in range(2):
            await relay.start()
            kept = await eventually(lambda: client.get(keys.relay(relay.relay)))
            assert kept is not None
            value = Registration.FromString(kept.value)
            assert (value.id, value.address) == (relay.relay, relay.address)
            assert kept.lease
            known = relay.relay
            await relay.end()
            assert await client.get(keys.relay(known)) is None
            assert relay.relay == known


async def test_health_is_serving(relay: RelayProcess) -> None:
    async with relay.channel() as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="tenure.v1.LogService"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_two_relays_never_share_a_directory(relay: RelayProcess, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenure_log_relay", "--data-dir", str(tmp_path / "data")]
    second = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=20, check=False
    )
    assert second.returncode == 2
    assert "another log relay uses the data directory" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"task_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "task_id"),
        ({"task_id": "not a task"}, grpc.StatusCode.INVALID_ARGUMENT, "task_id"),
        ({"task_id": "zzzz"}, grpc.StatusCode.NOT_FOUND, "zzzz"),
        ({"task_id": TASK, "cursor": "nonsense"}, grpc.StatusCode.INVALID_ARGUMENT, "cursor"),
        ({"task_id": TASK, "offset": 5}, grpc.StatusCode.INVALID_ARGUMENT, "offset"),
        (
            {"task_id": TASK, "filter": LogFilter(expression="x")},
            grpc.StatusCode.UNIMPLEMENTED,
            "filters",
        ),
    ],
)
async def test_bad_requests_get_a_sentence(
    relay: RelayProcess, fields: dict[str, Any], code: grpc.StatusCode, says: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await tail(relay, **fields)
    assert refused.value.code() == code
    assert says in (refused.value.details() or "")


async def test_a_cursor_of_another_task_is_refused(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    other = "efgh" + "0" * 16
    for task in (TASK, other):
        spool = Spool(f"1.{task}.1")
        spool.write(b"line\n")
        await push_all(relay, spool)
    cursor = (await tail(relay, TASK))[-1].cursor
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await tail(relay, other, cursor=cursor)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "another task" in (refused.value.details() or "")


async def test_undecodable_bytes_are_invalid_arguments(relay: RelayProcess) -> None:
    async with relay.channel() as channel:
        raw: Any = channel
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await raw.stream_stream("/tenure.dispatch.v1.LogIngestService/Push")(iter([b"\x12\x05ab"])).read()
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await raw.unary_stream("/tenure.v1.LogService/TailLogs")(b"\xff").read()
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await raw.unary_unary("/tenure.v1.LogService/ListLogStreams")(b"\xff")
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_streams_are_listed(relay: RelayProcess) -> None:
    spool = Spool(FENCE)
    spool.write(b"out")
    spool.write(b"error", 2)
    spool.gap(7, "lost", 2)
    await push_all(relay, spool)
    async with relay.channel() as channel:
        stub: Any = LogServiceStub(channel)
        answer = await stub.ListLogStreams(ListLogStreamsRequest(task_id=TASK[:6]))
    assert [(s.channel, s.committed_offset, s.missing_bytes) for s in answer.streams] == [
        (1, 3, 0),
        (2, 12, 7),
    ]


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [b"7"]), (3, [b"5", b"6", b"7"]), (99, None)])
async def test_the_last_lines(relay: RelayProcess, count: int, expected: list[bytes] | None) -> None:
    spool = Spool(FENCE)
    for number in range(8):
        spool.write(b"%d\n" % number if number < 7 else b"7")
    await push_all(relay, spool)
    found = [e.text for m in await tail(relay, TASK, last_lines=count) for e in m.lines.entries]
    assert found == (expected if expected is not None else [b"%d" % n for n in range(8)])


async def test_since_a_time_and_from_an_offset(relay: RelayProcess) -> None:
    from google.protobuf.timestamp_pb2 import Timestamp

    spool = Spool(FENCE)
    for number in range(8):
        spool.write(b"%d\n" % number, wall_ns=(1_000 + number) * 1_000_000_000)
    await push_all(relay, spool)
    since = await tail(relay, TASK, since=Timestamp(seconds=1_005))
    assert [e.text for m in since for e in m.lines.entries] == [b"5", b"6", b"7"]
    offset = await tail(relay, TASK, offset=7, attempt=1, channels=[1], format=2)
    assert b"".join(m.chunk.data for m in offset) == b"\n4\n5\n6\n7\n"


def test_every_field_of_a_request_has_a_rule() -> None:
    from tenure.v1 import log_service_pb2

    requests = [TailLogsRequest.DESCRIPTOR, ListLogStreamsRequest.DESCRIPTOR]
    assert log_service_pb2.DESCRIPTOR.services_by_name["LogService"].methods
    assert validator().uncovered(requests) == []
