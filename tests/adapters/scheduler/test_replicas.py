"""Any replica answers, and the death of the leader costs its callers a retry at most."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tenure.v1.task_pb2 import TaskFilter, TaskState
from tenure_core.errors import InvalidArgument, NotFound, OutOfRange, TenureError, Unavailable
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tests.adapters.scheduler.processes import NOOP, Api, SchedulerProcess, Schedulers, answers
from tests.adapters.scheduler.scripted_agent import Redirected, ScriptedAgent, agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer


async def wait_through(apis: list[Api], task_id: str, within: float = 20.0) -> int:
    """Wait for a task's end with retries at any replica, as a client does; its final state."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        for api in apis:
            try:
                (task,) = await api.wait(task_id, timeout=5)
                return task.state
            except (Unavailable, ValueError, TenureError):
                continue
    raise AssertionError(f"task {task_id} did not end")


async def test_a_follower_answers_like_the_leader(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair()
    async with Api(follower.address) as api, agent("w1", leader.address, automatic=True):
        info = await api.info()
        assert (info.leading, info.leader_address) == (False, leader.address)
        await eventually(lambda: knows_replicas(api, 2))
        (task_id,) = await api.submit(NOOP)
        (task,) = await api.wait(task_id)
        assert task.state == TaskState.TASK_STATE_SUCCEEDED
        with pytest.raises(NotFound):
            await api.get("0" * 20)
        with pytest.raises(InvalidArgument) as refused:
            await api.submit(type(NOOP)())
        assert refused.value.violations
        async for message in api.watch():
            if message.synced:
                break
        worker = ScriptedAgent("w2", follower.address)
        try:
            with pytest.raises(Redirected, match=leader.address):
                await worker.connect()
        finally:
            await worker.close()


async def knows_replicas(api: Api, count: int) -> bool:
    return len((await api.info()).schedulers) == count


async def test_a_beat_is_answered_by_a_follower(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair()
    async with agent("w1", leader.address, beating=False) as worker, agent("w9", leader.address):
        beats = ScriptedAgent("w1", follower.address)
        beats.welcome = worker.welcome
        with pytest.raises(Redirected):
            await beats.connect()
        try:
            assert (await beats.beat()).leader_address == leader.address
        finally:
            await beats.close()


def connections(of: SchedulerProcess, to: SchedulerProcess) -> int:
    """How many connections one replica holds to the other."""
    assert of.process is not None
    port = int(to.address.rpartition(":")[2])
    found = psutil.Process(of.process.pid).net_connections("tcp")
    return sum(1 for each in found if each.raddr and each.raddr.port == port)


async def test_a_killed_leader_is_replaced_long_before_its_lease_ends(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair(leadership_ttl="60s")
    async with Api(follower.address) as api, agent("w1", leader.address, automatic=False) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await eventually(
            lambda: connections(follower, leader) >= 2, what="it forwards, and watches the leader"
        )
        leader.kill()
        await eventually(lambda: answers(api))
        assert (await api.info()).leading
        await worker.drop()
        worker.address = follower.address
        welcome = await worker.connect(worker.held())
        assert list(welcome.adopted) == [fence]
        await worker.report_results([fence])
        (task,) = await api.wait(task_id)
    assert (task.attempt.number, task.losses) == (1, 0)


async def test_a_leader_that_is_started_again_leads_long_before_its_lease_ends(
    schedulers: Schedulers,
) -> None:
    """It has nobody to give way to: it is the only replica."""
    leader = await schedulers.launch(leadership_ttl="60s")
    async with Api(leader.address) as api:
        (task_id,) = await api.submit(NOOP)
        leader.kill()
        leader.start()
        await eventually(lambda: answers(api))
        assert (await api.get(task_id)).state == TaskState.TASK_STATE_PENDING


async def test_a_watch_resumes_at_the_next_leader(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair()
    async with Api(follower.address) as api:
        before = await api.submit(*[NOOP] * 5)
        token = ""
        seen: dict[str, int] = {}
        async for message in api.watch():
            token = message.resume_token
            seen |= {task.id: task.state for task in message.tasks}
            if message.synced:
                break
        assert set(seen) == set(before)
        await api.cancel(before[0])
        leader.kill()
        await eventually(lambda: answers(api))
        after = await api.submit(NOOP)
        news: dict[str, int] = {}
        async for message in api.watch(resume_token=token):
            news |= {task.id: task.state for task in message.tasks}
            if message.synced and after[0] in news:
                break
        assert news == {
            before[0]: TaskState.TASK_STATE_CANCELLED,
            after[0]: TaskState.TASK_STATE_PENDING,
        }


async def test_a_watch_shows_every_change_and_names_what_left_the_filter(schedulers: Schedulers) -> None:
    leader = await schedulers.launch()
    async with Api(leader.address) as api:
        (kept, other) = await api.submit(NOOP, NOOP)
        pending = TaskFilter(states=[TaskState.TASK_STATE_PENDING])
        states: list[tuple[str, int]] = []
        async for message in api.watch(filter=pending):
            states += [(task.id, task.state) for task in message.tasks]
            if message.synced and len(states) == 2:
                await api.cancel(kept)
            if len(states) >= 3:
                break
        assert states[2] == (kept, TaskState.TASK_STATE_CANCELLED)
        assert {task_id for task_id, _ in states} == {kept, other}


async def test_a_token_from_before_a_removal_is_out_of_range(schedulers: Schedulers) -> None:
    leader = await schedulers.launch(tasks_retained="1", tasks_retention="1s")
    async with Api(leader.address) as api:
        (task_id,) = await api.submit(NOOP)
        token = ""
        async for message in api.watch():
            token = message.resume_token
            break
        n, _, _ = token.partition(".")
        with pytest.raises(InvalidArgument):
            async for _ in api.watch(resume_token="nonsense"):
                pass
        with pytest.raises(OutOfRange):
            async for _ in api.watch(resume_token=f"{int(n) + 1}.5"):
                pass
        assert await api.state(task_id) == "PENDING"


async def test_a_frozen_leader_writes_nothing_after_it_was_replaced(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    leader, follower = await schedulers.pair(leadership_ttl="5s")
    async with (
        Api(leader.address) as old,
        Api(follower.address) as api,
        EtcdClient([etcd.endpoint]) as client,
    ):
        leader.send(signal.SIGSTOP)
        await eventually(lambda: _leads(api))
        (task_id,) = await api.submit(NOOP)
        keys = Keys(cluster_name)
        commit = await client.get(keys.commit)
        leader.send(signal.SIGCONT)
        await eventually(lambda: _follows(old, follower.address))
        (same_id,) = await old.submit(NOOP)
        assert (await api.get(same_id)).sequence == (await old.get(task_id)).sequence + 1
        assert commit is not None
        epoch = commit.value.split(b".")[0]
        now = await client.get(keys.commit)
        assert now is not None
        assert now.value.split(b".")[0] == epoch


async def _leads(api: Api) -> bool:
    return (await api.info()).leading


async def _follows(api: Api, leader: str) -> bool:
    info = await api.info()
    return not info.leading and info.leader_address == leader


async def test_a_leader_that_is_stopped_hands_over_long_before_its_lease_ends(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair(leadership_ttl="60s")
    async with Api(follower.address) as api:
        (task_id,) = await api.submit(NOOP)
        process = leader.process
        assert process is not None
        leader.send(signal.SIGTERM)
        await eventually(lambda: _leads(api))
        assert await api.state(task_id) == "PENDING"
        assert await asyncio.to_thread(process.wait, 10) == 0
        leader.process = None


async def test_waiting_goes_on_across_a_killed_leader(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair()
    async with Api(follower.address) as api, agent("w1", leader.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        leader.kill()
        await worker.drop()
        worker.address = follower.address
        await eventually(lambda: _leads(api))
        await worker.connect(worker.held())
        await worker.report_results([fence])
        assert await wait_through([api], task_id) == TaskState.TASK_STATE_SUCCEEDED


async def test_a_request_id_holds_across_a_killed_leader(schedulers: Schedulers) -> None:
    leader, follower = await schedulers.pair()
    async with Api(follower.address) as api:
        first = await api.submit(NOOP, request_id="once")
        leader.kill()
        await eventually(lambda: _leads(api))
        assert await api.submit(NOOP, request_id="once") == first
