"""Agents keep, lose and regain their tasks as the ownership rules say, over real connections and leases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from tenure.dispatch.v1 import worker_session_service_pb2 as session_pb
from tenure.v1.task_pb2 import AttemptOutcome, LossEvidence, TaskState
from tenure.v1.task_spec_pb2 import CallBody, OnDisconnect, RetryPolicy, TaskSpec
from tenure.v1.worker_admin_service_pb2 import WorkerVerdict
from tenure_core.errors import SessionLost
from tenure_runtime.rpc.status import from_rpc_error
from tests.adapters.scheduler.processes import NOOP, Api
from tests.adapters.scheduler.scripted_agent import FAILED, Refused, ScriptedAgent, agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.adapters.scheduler.processes import SchedulerProcess, Schedulers


async def test_a_killed_agents_task_goes_elsewhere_within_the_reattach_grace(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address) as first:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await first.started(1)
        await first.report_started(fence)
        await first.drop()
        async with agent("w2", scheduler.address, automatic=True):
            (task,) = await api.wait(task_id)
    assert (task.attempt.number, task.attempt.worker, task.losses) == (2, "w2", 1)
    workers = await api.workers()
    assert workers["w1"].verdict == WorkerVerdict.WORKER_VERDICT_LOST


async def test_a_silent_agents_task_goes_elsewhere_when_its_lease_ends(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address, beating=False) as silent:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await silent.started(1)
        await silent.report_started(fence)
        async with agent("w2", scheduler.address, automatic=True):
            (task,) = await api.wait(task_id, timeout=20)
            assert task.attempt.worker == "w2"
            await silent.until(silent.over.is_set)
        with pytest.raises(grpc.aio.AioRpcError) as lost:
            await silent.beat()
        assert isinstance(from_rpc_error(lost.value), SessionLost)
        result = session_pb.AttemptResult(outcome=FAILED, exit_code=9)
        await silent.drop()
        await silent.connect([session_pb.HeldAttempt(fence=fence, started=True, result=result)])
        await silent.until(lambda: len(silent.fenced) == 1)
        (told,) = silent.fenced
        assert (told.fence, told.current) == (fence, task.attempt.fence)
        assert told.reason
        # A report alone is answered like a Hello.
        await silent.report_results([fence], FAILED, exit_code=9)
        await silent.until(lambda: len(silent.fenced) == 2)
        assert silent.fenced[1].current == task.attempt.fence != fence
    assert (await api.get(task_id)).state == TaskState.TASK_STATE_SUCCEEDED


async def test_an_agent_that_comes_back_keeps_its_session_and_its_tasks(schedulers: Schedulers) -> None:
    scheduler = await schedulers.launch(workers_ttl="60s", workers_reattach_grace="60s")
    async with Api(scheduler.address) as api, agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        await eventually(lambda: _is(api, task_id, "RUNNING"))
        before = worker.welcome.session
        await worker.drop()
        welcome = await worker.connect(worker.held())
        assert (welcome.session, list(welcome.adopted)) == (before, [fence])
        await worker.report_results([fence])
        (task,) = await api.wait(task_id)
    assert (task.attempt.number, task.losses) == (1, 0)


async def _is(api: Api, task_id: str, state: str) -> bool:
    return await api.state(task_id) == state


async def test_an_assigned_attempt_that_the_agent_never_got_runs_again_uncounted(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        await worker.started(1)
        await worker.drop()
        worker.automatic = True
        await worker.connect()
        (task,) = await api.wait(task_id)
    assert (task.attempt.number, task.losses, task.failures) == (2, 0, 0)


async def test_a_started_attempt_that_vanished_is_lost(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        await eventually(lambda: _is(api, task_id, "RUNNING"))
        await worker.drop()
        worker.automatic = True
        await worker.connect()
        (task,) = await api.wait(task_id)
    assert (task.attempt.number, task.losses) == (2, 1)


async def test_another_instance_of_a_connected_worker_is_refused(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address):
        twin = ScriptedAgent("w1", scheduler.address)
        try:
            with pytest.raises(Refused) as refused:
                await twin.connect()
            assert refused.value.refusal.reason == "DUPLICATE_WORKER"
            assert await twin.status() is grpc.StatusCode.ALREADY_EXISTS
            assert '"worker": "w1", "reason": "DUPLICATE_WORKER"' in scheduler.log.read_text()
        finally:
            await twin.close()


async def test_another_instance_replaces_one_that_stays_away(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as old:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await old.started(1)
        await old.report_started(fence)
        await old.drop()
        async with agent("w1", scheduler.address, automatic=True) as new:
            assert new.welcome.session > old.welcome.session
            (task,) = await api.wait(task_id)
    assert task.attempt.number == 2
    assert task.losses == 1


async def test_a_connect_counter_that_was_used_is_refused(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        await worker.drop()
        with pytest.raises(Refused) as refused:
            await worker.connect(counter=worker.connect_counter)
        assert refused.value.refusal.reason == "STALE_CONNECT"


async def test_a_rebooted_node_loses_what_it_ran(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        await eventually(lambda: _is(api, task_id, "RUNNING"))
        await worker.drop()
        worker.boot_id, worker.automatic = "boot-2", True
        before = worker.welcome.session
        await worker.connect()
        assert worker.welcome.session > before
        (task,) = await api.wait(task_id)
    assert task.attempt.number == 2


async def test_a_result_counts_once(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_results([fence])
        await worker.until(lambda: worker.accepted == [fence])
        await worker.report_results([fence])
        await worker.until(lambda: worker.accepted == [fence, fence])
        await worker.report_results([fence], FAILED, exit_code=3)
        await worker.until(lambda: len(worker.fenced) + len(worker.accepted) >= 3)
        task = await api.get(task_id)
    assert task.state == TaskState.TASK_STATE_SUCCEEDED


async def test_a_result_after_the_loss_counts_while_nobody_else_has_the_task(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        await eventually(lambda: _is(api, task_id, "RUNNING"))
        await worker.drop()
        await eventually(lambda: _is(api, task_id, "PENDING"))
        result = session_pb.AttemptResult(outcome=AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED)
        await worker.connect([session_pb.HeldAttempt(fence=fence, started=True, result=result)])
        (task,) = await api.wait(task_id)
    assert (task.attempt.number, task.losses) == (1, 0)


async def test_failures_are_retried_as_the_policy_says(api: Api, scheduler: SchedulerProcess) -> None:
    policy = RetryPolicy(max_failures=1)
    policy.initial_backoff.FromMilliseconds(10)
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(TaskSpec(call=CallBody(type="noop"), retry=policy))
        for attempt in (1, 2):
            fences = await worker.started(attempt)
            await worker.report_results(fences[-1:], FAILED, exit_code=attempt)
        (task,) = await api.wait(task_id)
    assert (task.state, task.exit_code, task.failures) == (TaskState.TASK_STATE_FAILED, 2, 2)


async def test_a_beat_names_the_exclusive_attempts(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        exclusive = TaskSpec(call=CallBody(type="noop"), on_disconnect=OnDisconnect.ON_DISCONNECT_STOP)
        (task_id, _) = await api.submit(exclusive, NOOP)
        await worker.started(2)
        beat = await worker.beat()
        assert [fence.split(".")[1] for fence in beat.exclusive] == [task_id]
        assert beat.ttl_ms == 6000
        assert beat.leader_address == scheduler.address


async def test_nonsense_on_a_stream_ends_it(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        await worker.report_started("not a fence")
        await asyncio.wait_for(worker.over.wait(), 20)
        assert worker.ended is not None
        assert worker.ended.code() is grpc.StatusCode.INVALID_ARGUMENT


async def _lost_by_a_reset(worker: ScriptedAgent, api: Api, task_id: str) -> bool:
    """Break the stream, while beats keep the lease: in the grace of a new leader that is not a loss."""
    await worker.break_stream()
    try:
        return await eventually(lambda: _is(api, task_id, "PENDING"), within=5)
    except AssertionError:
        await worker.connect(worker.held())
        return False


async def test_the_evidence_of_a_loss_is_told(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        await eventually(lambda: _lost_by_a_reset(worker, api, task_id), within=20)
        task = await api.get(task_id)
    assert task.attempt.outcome == AttemptOutcome.ATTEMPT_OUTCOME_LOST
    assert task.attempt.evidence == LossEvidence.LOSS_EVIDENCE_AGENT_UNREACHABLE
