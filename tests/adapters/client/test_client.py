"""Does the client keep its promises when servers fail, move and answer late?"""

from __future__ import annotations

import asyncio

import pytest

import tenure
from tenure import errors
from tenure.v1.task_pb2 import TASK_STATE_SUCCEEDED, Task
from tenure_core import errors as served
from tests.adapters.client.small_servers import Running
from tests.support.waiting import eventually

NOTICED = 0.2
"""Seconds in which a client has tried again and found nobody; a machine that is slower shows less."""


async def test_a_submission_whose_answer_was_lost_makes_one_task(running: Running) -> None:
    running.store.after_effect = [served.Unavailable("lost the lead"), served.DeadlineExceeded()]
    async with tenure.Client(await running.scheduler()) as client:
        task_id = await client.submit(tenure.noop())
    assert list(running.store.tasks) == [task_id]
    assert running.store.calls["SubmitTasks"] == 3


async def test_retry_info_is_the_least_pause(running: Running) -> None:
    running.store.failures = [served.Unavailable("not yet", retry_after=0.4)]
    async with tenure.Client(await running.scheduler()) as client:
        started = asyncio.get_running_loop().time()
        await client.submit(tenure.noop())
        assert asyncio.get_running_loop().time() - started >= 0.4


async def test_what_cannot_succeed_is_not_tried_again(running: Running) -> None:
    running.store.failures = [served.FailedPrecondition("no")]
    async with tenure.Client(await running.scheduler()) as client:
        with pytest.raises(errors.FailedPrecondition, match="no"):
            await client.submit(tenure.noop())
    assert running.store.calls["SubmitTasks"] == 1


async def test_nobody_there_is_told_within_the_connect_timeout(running: Running) -> None:
    address = await running.scheduler()
    await running.stop(address)
    async with tenure.Client(address, connect_timeout=0.3) as client:
        with pytest.raises(errors.Unavailable, match=f"nothing answers at {address}"):
            await client.server_info()


async def test_another_replica_is_asked_when_one_stops(running: Running) -> None:
    first, second = await running.scheduler(), await running.scheduler()
    async with tenure.Client(f"{first},{second}") as client:
        one = await client.submit(tenure.noop())
        await running.stop(first)
        two = await client.submit(tenure.noop())
    assert set(running.store.tasks) == {one, two}


async def test_a_server_that_comes_back_is_found_again(running: Running) -> None:
    address = await running.scheduler()
    async with tenure.Client(address) as client:
        await client.submit(tenure.noop())
        port = await running.stop(address)
        waiting = asyncio.create_task(client.submit(tenure.noop()))
        await running.scheduler(port=port)
        await waiting
    assert len(running.store.tasks) == 2


async def test_many_at_once_share_few_requests(running: Running) -> None:
    async with tenure.Client(await running.scheduler()) as client:
        tasks = await asyncio.gather(*(client.run(tenure.noop()) for _ in range(64)))
        assert {task.state for task in tasks} == {TASK_STATE_SUCCEEDED}
        assert client.calls_made == 2
    assert running.store.batches == [64]


async def test_a_task_that_is_alone_is_run_with_one_call(running: Running) -> None:
    running.store.after_effect = [served.Unavailable("lost the lead")]
    async with tenure.Client(await running.scheduler(finish_at_once=False)) as client:
        run = asyncio.create_task(client.run(tenure.noop(), timeout=30))
        await eventually(lambda: len(running.store.tasks) == 1)
        (task_id,) = running.store.tasks
        await running.store.finish(task_id)
        assert (await run).id == task_id
    assert running.store.calls == {"SubmitTasks": 2}


async def test_a_long_run_is_waited_for_as_long_as_it_takes(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.client._FIRST_WAIT", 0.05)
    async with tenure.Client(await running.scheduler(finish_at_once=False)) as client:
        run = asyncio.create_task(client.run(tenure.noop()))
        await eventually(lambda: running.store.calls["WaitTasks"] == 1)
        (task_id,) = running.store.tasks
        await running.store.finish(task_id)
        assert (await run).id == task_id
        with pytest.raises(errors.DeadlineExceeded, match=r"task \w+ did not end within 0.2 s"):
            await client.run(tenure.noop(), timeout=0.2)


async def test_waits_that_end_one_by_one_cost_at_most_one_request_each(running: Running) -> None:
    async with tenure.Client(await running.scheduler(finish_at_once=False)) as client:
        ids = [one.task_id for one in await client.submit_many([tenure.noop()] * 64)]
        before = client.calls_made
        waits = [asyncio.create_task(client.wait(task_id)) for task_id in ids]
        for task_id, wait in zip(ids, waits, strict=True):
            await running.store.finish(task_id)
            assert (await wait).id == task_id
        assert client.calls_made - before <= 64


async def test_a_bad_spec_does_not_refuse_the_specs_of_other_callers(running: Running) -> None:
    async with tenure.Client(await running.scheduler()) as client:
        results = await asyncio.gather(
            client.submit(tenure.noop()),
            client.submit(tenure.process([])),
            client.submit(tenure.noop()),
            return_exceptions=True,
        )
    assert len(running.store.tasks) == 2
    assert isinstance(results[1], errors.InvalidArgument)
    assert results[1].violations == (errors.Violation("items[0].spec.process.argv", "must not be empty"),)


async def test_an_unknown_task_fails_only_its_own_wait(running: Running) -> None:
    async with tenure.Client(await running.scheduler()) as client:
        known = await client.submit(tenure.noop())
        found, missing = await asyncio.gather(
            client.wait(known), client.wait("x" * 20), return_exceptions=True
        )
    assert isinstance(missing, errors.NotFound)
    assert not isinstance(found, BaseException)
    assert found.id == known


async def test_a_wait_ends_at_its_timeout(running: Running) -> None:
    async with tenure.Client(await running.scheduler(finish_at_once=False)) as client:
        task_id = await client.submit(tenure.noop())
        with pytest.raises(errors.DeadlineExceeded, match=f"task {task_id} did not end within 0.1 s"):
            await client.wait(task_id, timeout=0.1)


async def test_many_tasks_go_in_requests_of_at_most_500_and_4_mib(running: Running) -> None:
    specs = [tenure.process(["true"], stdin=b"x" * 60_000)] * 150 + [tenure.noop()] * 1200
    async with tenure.Client(await running.scheduler()) as client:
        submitted = await client.submit_many(specs)
        assert len({one.task_id for one in submitted}) == len(specs)
    assert max(running.store.batches) == 500
    assert running.store.batches[0] < 70


async def test_a_wait_survives_the_server(running: Running) -> None:
    address = await running.scheduler(finish_at_once=False)
    async with tenure.Client(address) as client:
        task_id = await client.submit(tenure.noop())
        wait = asyncio.create_task(client.wait(task_id))
        await eventually(lambda: running.store.calls["WaitTasks"] > 0, what="the wait has begun")
        port = await running.stop(address)
        await running.scheduler(port=port)
        await running.store.finish(task_id)
        assert (await wait).id == task_id


async def test_pages_are_fetched_as_they_are_needed(running: Running) -> None:
    async with tenure.Client(await running.scheduler()) as client:
        await client.submit_many([tenure.noop()] * 2500)
        assert len([task async for task in client.list()]) == 2500
        assert running.store.calls["ListTasks"] == 3
        assert len([task async for task in client.list(limit=7)]) == 7


async def test_a_watch_resumes_and_begins_anew_when_its_token_is_too_old(running: Running) -> None:
    async with tenure.Client(await running.scheduler()) as client:
        seen: list[str] = []
        async for message in client.watch():
            seen.extend(task.id for task in message.tasks)
            if len(seen) == 4:
                running.store.failures = [served.OutOfRange()]
            if len(seen) == 6:
                break
    assert seen == ["1", "2", "3", "4", "1", "2"]
    assert running.store.watch_tokens == ["", "2", "4", ""]


async def test_a_watch_outlasts_its_server_also_when_nothing_else_was_asked(running: Running) -> None:
    """With no time at all to connect: that ended with the first message."""
    address = await running.scheduler()
    async with tenure.Client(address, connect_timeout=0.0) as client:
        watching = client.watch()
        seen = [(await anext(watching)).tasks[0].id for _ in range(2)]
        port = await running.stop(address)
        following = asyncio.ensure_future(anext(watching))
        await asyncio.wait([following], timeout=NOTICED)
        await running.scheduler(port=port)
        seen.append((await following).tasks[0].id)
    assert seen == ["1", "2", "3"]


async def test_a_tail_continues_at_its_cursor_on_another_relay(running: Running) -> None:
    running.store.output["t" * 20] = bytes(range(100))
    address = await running.scheduler()
    await running.relay(cut_after=7)
    async with tenure.Client(address) as client:
        data = b""
        async for message in client.follow_logs("t" * 20, raw=True):
            data += message.chunk.data
            last = message
    assert data == bytes(range(100))
    assert last.HasField("end")
    assert running.store.calls["TailLogs"] == 15


async def test_a_tail_waits_for_a_relay_and_survives_its_restart(running: Running) -> None:
    running.store.output["t" * 20] = b"hello"
    address = await running.scheduler()
    async with tenure.Client(address) as client:
        tail = client.follow_logs("t" * 20, raw=True)
        first = asyncio.ensure_future(anext(tail))
        await eventually(lambda: running.store.calls["GetServerInfo"] > 0, what="it asks for relays")
        relay = await running.relay(cut_after=2)
        data = (await first).chunk.data
        port = await running.stop(relay)
        await running.relay(port=port)
        async for message in tail:
            data += message.chunk.data
    assert data == b"hello"


async def test_tails_go_to_the_relay_that_has_the_output_while_it_fails_others(running: Running) -> None:
    """Another relay has nothing of these tasks; asked for them it would tell of a gap."""
    ids = [letter * 20 for letter in "stuvwxyz"]
    address = await running.scheduler()
    relay = await running.relay(cut_after=1)
    another = Running()
    running.store.relays.append(await another.relay())
    for task_id in ids:
        running.store.tasks[task_id] = Task(id=task_id, log_relay_address=relay)
        running.store.output[task_id] = b"hello"
    try:
        async with tenure.Client(address) as client:

            async def read(task_id: str) -> bytes:
                tail = client.follow_logs(task_id, raw=True)
                return b"".join([message.chunk.data async for message in tail])

            assert await asyncio.gather(*map(read, ids)) == [b"hello"] * len(ids)
    finally:
        await another.stop_all()
    assert another.store.calls["TailLogs"] == 0


async def test_without_follow_a_tail_ends_where_the_output_ends(running: Running) -> None:
    running.store.output["t" * 20] = b"abc"
    address = await running.scheduler()
    await running.relay()
    async with tenure.Client(address) as client:
        pieces = [message async for message in client.follow_logs("t" * 20, follow=False, raw=True)]
    assert b"".join(piece.chunk.data for piece in pieces) == b"abc"
    assert not any(piece.HasField("end") for piece in pieces)


def test_a_wrong_address_is_a_sentence() -> None:
    with pytest.raises(errors.BadConfiguration, match="'nonsense' is not an address"):
        tenure.Client("nonsense")
