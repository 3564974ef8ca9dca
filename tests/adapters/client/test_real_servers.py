"""Does the client lose nothing when the servers that it talks to are killed?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import tenure
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import TASK_STATE_PENDING
from tests.adapters.etcd.proxies import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(schedulers=2, agents=0) as running:
        yield running


async def test_every_acknowledged_submission_is_there_once_whoever_is_killed(fleet: Fleet) -> None:
    acknowledged: list[str] = []
    killing_done = asyncio.Event()

    async def keep_submitting(client: tenure.Client) -> None:
        while not killing_done.is_set():
            acknowledged.append(await client.submit(tenure.noop()))

    async def kill_each(client: tenure.Client) -> None:
        for victim in ("scheduler-1", "etcd", "scheduler-2"):
            before = len(acknowledged)
            await fleet.kill(victim)
            await client.submit_many([tenure.noop()])
            while len(acknowledged) < before + 50:  # noqa: ASYNC110  (progress of four other coroutines)
                await asyncio.sleep(0.01)
        killing_done.set()

    async with tenure.Client(fleet.address) as client:
        await asyncio.gather(*(keep_submitting(client) for _ in range(4)), kill_each(client))
        assert len(set(acknowledged)) == len(acknowledged)
        assert await client.count() == {TASK_STATE_PENDING: len(acknowledged) + 3}
        assert {task.id async for task in client.list()} >= set(acknowledged)


@pytest.mark.parametrize("many", [False, True], ids=["submit", "submit_many"])
async def test_an_answer_that_is_lost_after_the_commit_makes_no_second_task(fleet: Fleet, many: bool) -> None:
    """The request is committed, then the connection breaks: the client cannot know, and asks again."""
    spec = tenure.noop(name="only-once")

    async with tenure.Client(fleet.address) as direct, Proxy(fleet.address.split(",")[0]) as proxy:

        async def stored() -> bool:
            return await direct.count() == {TASK_STATE_PENDING: 1}

        async with tenure.Client(proxy.endpoint) as client:
            await client.server_info()
            proxy.cut_answers(b"only-once", stored)
            if many:
                (result,) = await client.submit_many([spec])
                assert (result.error, result.created) == (None, False)
                task_id = result.task_id
            else:
                task_id = await client.submit(spec)
            assert client.calls_made >= 3, "the submission was sent twice"
        assert proxy.triggered == 1
        assert [task.id async for task in direct.list()] == [task_id]


async def test_a_watch_goes_on_at_another_replica(fleet: Fleet) -> None:
    async with tenure.Client(fleet.address) as client:
        seen: set[str] = set()
        first = await client.submit(tenure.noop())
        watch = client.watch()
        while first not in seen:
            seen.update(task.id for task in (await anext(watch)).tasks)
        await fleet.kill("scheduler-1")
        second = await client.submit(tenure.noop())
        while second not in seen:
            seen.update(task.id for task in (await anext(watch)).tasks)
        await watch.aclose()  # type: ignore[attr-defined]
