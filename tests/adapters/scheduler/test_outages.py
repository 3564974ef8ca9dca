"""Without etcd nothing is told that is not stored, and everything goes on by itself when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tenure.v1 import task_service_pb2 as pb
from tenure.v1.task_pb2 import TaskState
from tenure_core.errors import ResourceExhausted, TenureError, Unavailable
from tests.adapters.scheduler.processes import NOOP, Api, SchedulerProcess, Schedulers
from tests.adapters.scheduler.scripted_agent import agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer, EtcdServers
    from tests.support.ports import Ports


@pytest.fixture
def own_etcd(etcd_servers: EtcdServers) -> EtcdServer:
    return etcd_servers.launch()[0]


@pytest.fixture
def own(own_etcd: EtcdServer, ports: Ports, cluster_name: str) -> Iterator[Schedulers]:
    """Schedulers on an etcd that the test may freeze and kill."""
    replicas = Schedulers(ports, own_etcd.endpoint, cluster_name)
    yield replicas
    replicas.remove()


@pytest.fixture
async def lone(own: Schedulers) -> SchedulerProcess:
    return await own.launch(leadership_ttl="60s", workers_ttl="60s")


@pytest.fixture
async def lone_api(lone: SchedulerProcess) -> AsyncIterator[Api]:
    async with Api(lone.address) as api:
        yield api


async def submits(api: Api) -> bool:
    try:
        await api.submit(NOOP, timeout=2)
    except TenureError:
        return False
    return True


async def test_nothing_is_told_before_it_is_stored(
    lone_api: Api, lone: SchedulerProcess, own_etcd: EtcdServer
) -> None:
    async with agent("w1", lone.address) as worker:
        await lone_api.submit(NOOP, request_id="warm")
        await worker.started(1)
        own_etcd.pause()
        try:
            with pytest.raises(Unavailable) as told:
                await lone_api.submit(NOOP, request_id="frozen", timeout=10)
            assert told.value.retry_after
            assert len(worker.starts) == 1
            await worker.report_results([worker.starts[0].fence])
            with pytest.raises(Unavailable):
                await lone_api.call("ListTasks", pb.ListTasksRequest(), timeout=10)
            assert not worker.accepted
        finally:
            own_etcd.resume()
        await eventually(lambda: len(worker.accepted) == 1, within=20)
        (task_id,) = await eventually(lambda: _submitted(lone_api, "frozen"), within=20)
        assert task_id in {fence.split(".")[1] for fence in await worker.started(2)}


async def _submitted(api: Api, request_id: str) -> list[str]:
    try:
        return await api.submit(NOOP, request_id=request_id, timeout=2)
    except TenureError:
        return []


async def test_a_killed_etcd_costs_no_task(
    lone_api: Api, lone: SchedulerProcess, own_etcd: EtcdServer
) -> None:
    async with agent("w1", lone.address) as worker:
        (task_id,) = await lone_api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        own_etcd.kill()
        with pytest.raises(Unavailable):
            await lone_api.submit(NOOP, timeout=10)
        own_etcd.start()
        await own_etcd.ready()
        await eventually(lambda: submits(lone_api), within=30)
        if worker.over.is_set():
            await worker.drop()
            await worker.connect(worker.held())
        await worker.report_results([fence])
        (task,) = await lone_api.wait(task_id, timeout=20)
    assert (task.state, task.attempt.number) == (TaskState.TASK_STATE_SUCCEEDED, 1)


async def test_an_absent_etcd_is_told_in_a_sentence(schedulers: Schedulers) -> None:
    process = schedulers.create(etcd_endpoints="127.0.0.1:1")
    process.start()
    assert process.process is not None
    assert await asyncio.to_thread(process.process.wait, 20) == 2
    assert "etcd does not answer at 127.0.0.1:1" in process.said()
    assert "Traceback" not in process.said()
    process.process = None


async def test_a_port_in_use_is_told_in_a_sentence(schedulers: Schedulers) -> None:
    first = await schedulers.launch()
    second = schedulers.create()
    second.address = first.address
    second.log = second.log.with_suffix(".second")
    second.start()
    assert second.process is not None
    assert await asyncio.to_thread(second.process.wait, 20) == 2
    assert "another process listens there" in second.said()
    second.process = None


async def test_a_full_etcd_refuses_submissions_with_the_reason(
    etcd_servers: EtcdServers, ports: Ports, cluster_name: str
) -> None:
    (small,) = etcd_servers.launch(flags=["--quota-backend-bytes=2000000"])
    replicas = Schedulers(ports, small.endpoint, cluster_name)
    try:
        scheduler = await replicas.launch()
        async with Api(scheduler.address) as api:
            refusal = await eventually(lambda: _refusal(api), within=40, what="a refusal")
            assert isinstance(refusal, ResourceExhausted | Unavailable)
            assert "space" in str(refusal)
            assert await api.info()
    finally:
        replicas.remove()


async def _refusal(api: Api) -> TenureError | None:
    big = type(NOOP)()
    big.process.argv.append("x")
    big.process.stdin = bytes(60_000)
    try:
        await api.submit(*[big] * 20, timeout=20)
    except (ResourceExhausted, Unavailable) as error:
        return error
    return None
