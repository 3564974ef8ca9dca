"""What is lost on a session stream heals with what the agent says that it holds, over real connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure.v1.task_pb2 import AttemptOutcome, TaskState
from tenure_core.levels import HeldPhase
from tests.adapters.scheduler.processes import NOOP, Api
from tests.adapters.scheduler.scripted_agent import SUCCEEDED, ScriptedAgent, agent

if TYPE_CHECKING:
    from tests.adapters.scheduler.processes import SchedulerProcess


async def asked(worker: ScriptedAgent, held: dict[str, HeldPhase]) -> None:
    """Say in short what is held, and wait until the scheduler wants the list."""
    before = worker.lists_wanted
    await worker.report_digest(held)
    await worker.until(lambda: worker.lists_wanted > before)


async def test_a_start_that_was_lost_is_followed_by_another_attempt(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (lost,) = await worker.started(1)
        await asked(worker, {})
        await worker.report_list()
        fences = await worker.started(2)
        assert fences[0] == lost
        assert fences[1] != lost
        await worker.report_results(fences[1:])
        (task,) = await api.wait(task_id)
    assert (task.attempt.number, task.losses, task.failures) == (2, 0, 0)
    outcomes = [a.outcome for a in (await api.history(task_id)).attempts]
    assert outcomes[0] == AttemptOutcome.ATTEMPT_OUTCOME_NOT_STARTED


async def test_a_stop_that_was_lost_is_sent_again(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        await api.cancel(task_id)
        await worker.until(lambda: len(worker.stops) == 1)
        await asked(worker, {fence: HeldPhase.STARTED})
        await worker.report_list(pb.HeldAttempt(fence=fence, started=True))
        await worker.until(lambda: len(worker.stops) == 2)
        assert {stop.fence for stop in worker.stops} == {fence}
        await worker.report(pb.AttemptReport(fence=fence, stopped=True))
        (task,) = await api.wait(task_id)
    assert task.state == TaskState.TASK_STATE_CANCELLED


async def test_a_result_that_was_lost_is_in_the_list_and_accepted(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await asked(worker, {})
        ended = pb.HeldAttempt(fence=fence, started=True, result=pb.AttemptResult(outcome=SUCCEEDED))
        await worker.report_list(ended)
        await worker.until(lambda: worker.accepted == [fence])
        (task,) = await api.wait(task_id)
        await worker.report_list(ended)
        await worker.until(lambda: worker.accepted == [fence, fence])
    assert (task.attempt.number, task.state) == (1, TaskState.TASK_STATE_SUCCEEDED)


async def test_an_attempt_that_is_not_the_records_is_fenced(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address) as worker:
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_results([fence])
        await api.wait(task_id)
        await asked(worker, {fence: HeldPhase.STARTED})
        await worker.report_list(pb.HeldAttempt(fence=fence, started=True))
        await worker.until(lambda: [fenced.fence for fenced in worker.fenced] == [fence])
