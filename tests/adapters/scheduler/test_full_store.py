"""When etcd is out of space nothing is stored and nothing is lost; once an operator made room all goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tenure_core.errors import ResourceExhausted, TenureError
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdNoSpace
from tenure_runtime.etcd.ops import delete_prefix
from tests.adapters.scheduler.processes import NOOP, SUCCEEDED, Api, Schedulers
from tests.adapters.scheduler.scripted_agent import agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServers
    from tests.support.ports import Ports

JUNK = b"junk/"


async def test_nospace_stops_submissions_and_costs_no_running_task(
    etcd_servers: EtcdServers, ports: Ports, cluster_name: str
) -> None:
    (small,) = etcd_servers.launch(flags=["--quota-backend-bytes=4000000"])
    replicas = Schedulers(ports, small.endpoint, cluster_name)
    try:
        scheduler = await replicas.launch(workers_ttl="60s", leadership_ttl="60s")
        async with Api(scheduler.address) as api, EtcdClient([small.endpoint]) as client:
            async with agent("w1", scheduler.address) as worker:
                (task,) = await api.submit(NOOP)
                (fence,) = await worker.started(1)
                await worker.report_started(fence)
                await fill(client)
                refused = await eventually(lambda: refusal(api), within=30, what="a refusal")
                assert "space" in str(refused)
                await worker.report_results([fence])
                await make_room(client, small.endpoint)
                await eventually(lambda: worker.accepted, within=30, what="the result is accepted")
                (ended,) = await api.wait(task)
                assert (ended.state, ended.attempt.number) == (SUCCEEDED, 1)
                await eventually(lambda: accepts(api), within=30, what="submits are accepted again")
    finally:
        replicas.remove()


async def test_at_70_percent_of_the_quota_submissions_are_refused_and_all_else_goes_on(
    etcd_servers: EtcdServers, ports: Ports, cluster_name: str
) -> None:
    """By the schedulers themselves, long before etcd would refuse everything."""
    (store,) = etcd_servers.launch()
    replicas = Schedulers(ports, store.endpoint, cluster_name)
    try:
        scheduler = await replicas.launch(workers_ttl="60s", leadership_ttl="60s", store_quota="4MB")
        async with Api(scheduler.address) as api, EtcdClient([store.endpoint]) as client:
            async with agent("w1", scheduler.address) as worker:
                first, second = await api.submit(NOOP, NOOP)
                fences = await worker.started(2)
                await worker.report_results(fences[:1])
                await api.wait(first)
                for n in range(30):
                    await client.put(JUNK + b"%d" % n, bytes(100_000))
                refused = await eventually(lambda: refusal(api), within=30, what="a refusal")
                assert "more than 70% of its quota" in str(refused)
                assert "raise etcd's quota" in str(refused)
                await worker.report_results(fences[1:])
                (ended,) = await api.wait(second)
                assert (ended.state, ended.attempt.number) == (SUCCEEDED, 1)
                await make_room(client, store.endpoint)
                await eventually(lambda: accepts(api), within=30, what="submits are accepted again")
    finally:
        replicas.remove()


async def fill(client: EtcdClient) -> None:
    async def without_end() -> None:
        for n in range(1_000):
            await client.put(JUNK + b"%d" % n, bytes(100_000))

    with pytest.raises(EtcdNoSpace):
        await without_end()


async def make_room(client: EtcdClient, endpoint: str) -> None:
    """What an operator does: remove, compact, defragment, disarm."""
    await client.txn((), [delete_prefix(JUNK)])
    await client.compact((await client.status()).revision, physical=True)
    await client.defragment(endpoint)
    for alarm in await client.alarms():
        await client.disarm(alarm)


async def refusal(api: Api) -> ResourceExhausted | None:
    try:
        await api.submit(NOOP, timeout=5)
    except ResourceExhausted as error:
        return error
    except TenureError:
        return None
    return None


async def accepts(api: Api) -> bool:
    try:
        return bool(await api.submit(NOOP, timeout=5))
    except TenureError:
        return False
