"""Does health say SERVING exactly while calls would be answered, and does SIGTERM keep what it promised?"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import tenure
from tenure import errors
from tenure.local.fleet import Fleet
from tenure_runtime.rpc.transport import create_channel
from tests.adapters.runtime.probe import stream_of
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
EVERYTHING, TASKS, CLUSTER = "", "tenure.v1.TaskService", "tenure.v1.ClusterService"


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(schedulers=2) as running:
        yield running


async def health(address: str, name: str = EVERYTHING) -> int:
    async with create_channel(address, own_connection=True) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        status: int = (await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)).status
        return status


async def replicas(fleet: Fleet) -> tuple[str, str]:
    """Addresses of the leader and of the other one."""
    async with tenure.Client(fleet.address) as client:
        info = await client.server_info()
    first, second = fleet.address.split(",")
    return (first, second) if first == info.leader_address else (second, first)


async def services(address: str) -> set[str]:
    async with create_channel(address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = await anext(aiter(stub.ServerReflectionInfo(stream_of([ask]))))
        return {service.name for service in answer.list_services_response.service}


async def test_every_server_answers_health_reflection_and_channelz(fleet: Fleet) -> None:
    for address in (*fleet.address.split(","), *fleet.relay_addresses):
        offered = await services(address)
        own = {name for name in offered if name.startswith("tenure.")}
        assert {"grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} <= offered - own
        assert own
        assert [name for name in ("", *own) if await health(address, name) != SERVING] == []
        async with create_channel(address) as channel:
            stub: Any = channelz_pb2_grpc.ChannelzStub(channel)
            (server,) = (await stub.GetServers(channelz_pb2.GetServersRequest())).server
            assert server.data.calls_started > 0


async def test_a_replica_is_healthy_while_it_leads_or_knows_who_does(fleet: Fleet) -> None:
    leader, follower = await replicas(fleet)
    await fleet.pause("etcd")

    async def both(name: str, status: int) -> bool:
        return [await health(address, name) for address in (leader, follower)] == [status, status]

    await eventually(lambda: both(TASKS, NOT_SERVING), within=20, what="without etcd nobody leads")
    assert await both(EVERYTHING, NOT_SERVING)
    assert await both(CLUSTER, SERVING)
    await fleet.resume("etcd")
    await eventually(lambda: both(EVERYTHING, SERVING), within=20, what="with etcd somebody leads")
    async with tenure.Client(follower) as client:
        await client.submit(tenure.noop())


async def test_sigterm_tells_first_and_ends_in_time_with_0(fleet: Fleet) -> None:
    leader, follower = await replicas(fleet)
    name = f"scheduler-{fleet.address.split(',').index(leader) + 1}"
    acknowledged: list[str] = []

    async def keep_submitting() -> None:
        """At the leader alone and without a second try: each call is answered, or told to go elsewhere."""
        async with tenure.Client(leader, patience=0.0, connect_timeout=0.0) as client:
            while True:
                try:
                    acknowledged.append(await client.submit(tenure.noop()))
                except errors.Unavailable:
                    return

    async with create_channel(leader, own_connection=True) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=TASKS))
        assert (await watch.read()).status == SERVING
        callers = [asyncio.create_task(keep_submitting()) for _ in range(8)]
        await eventually(lambda: len(acknowledged) > 20, what="submissions flow")
        began = time.monotonic()
        os.kill((await fleet.pids())[name], signal.SIGTERM)
        assert (await watch.read()).status == NOT_SERVING
        await asyncio.wait_for(asyncio.gather(*callers), 20)
        watch.cancel()

    async def ended() -> bool:
        return (await fleet.exits())[name] == [0]

    await eventually(ended, what="it ended with exit code 0")
    assert time.monotonic() - began < 6
    async with tenure.Client(follower) as client:
        stored = {task.id async for task in client.list()}
        assert set(acknowledged) <= stored


async def test_a_relay_that_stops_sends_its_readers_elsewhere_and_ends_with_0(fleet: Fleet) -> None:
    async with tenure.Client(fleet.address) as client:
        spec = tenure.process(["sh", "-c", "for n in 1 2 3 4 5 6 7 8 9; do echo $n; sleep 0.3; done"])
        lines = client.follow_lines(await client.submit(spec))
        first = (await anext(lines)).text
        os.kill((await fleet.pids())["relay-1"], signal.SIGTERM)
        rest = [entry.text async for entry in lines]
        assert [first, *rest] == [b"%d" % number for number in range(1, 10)]
        assert (await fleet.exits())["relay-1"] == [0]
