"""Is "valid" only ever said by who leads at that time?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tenure.v1 import cluster_service_pb2 as pb
from tenure_core.errors import InvalidArgument, Unavailable
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.position import Position
from tests.adapters.scheduler.processes import NOOP, Api, answers
from tests.adapters.scheduler.scripted_agent import agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.adapters.scheduler.processes import Schedulers
    from tests.support.etcd_server import EtcdServer


async def verify(api: Api, fence: str) -> pb.VerifyFenceResponse:
    answer: pb.VerifyFenceResponse = await api.call(
        "VerifyFence", pb.VerifyFenceRequest(fence=fence), service="tenure.v1.ClusterService"
    )
    return answer


async def test_a_follower_says_what_the_leader_has_just_committed(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair()
    async with Api(follower.address) as api, agent("w1", leader.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        assert await verify(api, fence) == pb.VerifyFenceResponse(valid=True, current_fence=fence)
        await worker.report_results([fence])
        await api.wait(task_id)
        assert await verify(api, fence) == pb.VerifyFenceResponse(
            current_fence=fence, reason="the task is SUCCEEDED"
        )
        n = fence.partition(".")[0]
        gone = await verify(api, f"{n}.{'0' * 20}.1")
        assert (gone.valid, gone.current_fence) == (False, "")
        assert "is not known" in gone.reason
        earlier = await verify(api, f"{int(n) + 1}.{task_id}.1")
        assert (earlier.valid, earlier.current_fence) == (False, fence)


@pytest.mark.parametrize(
    "text", ["", "1", "1.short.1", "0.00000000000000000000.1", "1.00000000000000000000.x"]
)
async def test_what_is_no_fence_is_refused_where_it_stands(api: Api, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await verify(api, text)
    assert [violation.path for violation in refused.value.violations] == ["fence"]


async def test_a_leader_that_was_replaced_without_knowing_it_does_not_say_valid(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    """It has its lease, its memory and no reason to doubt: somebody else has just begun to commit."""
    leader = await schedulers.launch()
    keys = Keys(cluster_name)
    async with (
        Api(leader.address) as api,
        EtcdClient([etcd.endpoint]) as client,
        agent("w1", leader.address) as worker,
    ):
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        assert (await verify(api, fence)).valid
        assert await api.state(task_id) == "ASSIGNED"
        commit = await client.get(keys.commit)
        assert commit is not None
        usurper = Position.first(Position.decode(commit.value).epoch + 1)
        await client.put(keys.commit, usurper.encode())
        with pytest.raises(Unavailable):
            await verify(api, fence)
        await eventually(lambda: answers(api))
        assert (await verify(api, fence)).valid, "it leads anew, and the record is as it was"


async def test_many_questions_share_their_commits(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    leader = await schedulers.launch()
    async with (
        Api(leader.address) as api,
        EtcdClient([etcd.endpoint]) as client,
        agent("w1", leader.address) as worker,
    ):
        await api.submit(NOOP)
        (fence,) = await worker.started(1)
        before = await commits(client, cluster_name)
        found = await asyncio.gather(*(verify(api, fence) for _ in range(200)))
        assert all(answer.valid for answer in found)
        assert 0 < await commits(client, cluster_name) - before < 100


async def commits(client: EtcdClient, cluster: str) -> int:
    """How many batches the present leadership has committed."""
    found = await client.get(Keys(cluster).commit)
    assert found is not None
    return Position.decode(found.value).sequence
