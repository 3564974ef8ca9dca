"""Does a message that is lost between scheduler and agent cost anything but time?"""

from pathlib import Path

import pytest

import tenure
from tenure.v1.task_pb2 import AttemptOutcome, TaskState
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import submit, until_running
from tests.integration.worker_agent.test_agent_faults import starts, until_gate

OFTEN = {"workers.ttl": "3s"}
"""A beat, and with it what the agent holds, several times a second."""


@pytest.mark.parametrize("lost", ["starts", "accepted", "reports"])
async def test_a_lost_message_costs_no_task(
    a_fleet: Fleets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setenv("TENURE_FAILPOINTS", f"agent.{lost}=2*drop")
    gate = tmp_path / "gate"
    gate.touch()
    async with a_fleet(scheduler_options=OFTEN) as (_, client):
        ids = await submit(client, [until_gate(gate, 0) for _ in range(5)])
        ids += await submit(client, [tenure.noop() for _ in range(5)])
        tasks = await client.wait_many(ids, timeout=30)
        assert {task.state for task in tasks} == {TaskState.TASK_STATE_SUCCEEDED}
        assert {task.losses for task in tasks} == {0}
        assert (lost == "starts") == any(task.attempt.number == 2 for task in tasks)
        begun = starts(gate)
        assert len(begun) == len(set(begun))
        for task in tasks:
            earlier = (await client.history(task.id)).attempts[:-1]
            assert {a.outcome for a in earlier} <= {AttemptOutcome.ATTEMPT_OUTCOME_NOT_STARTED}


async def test_a_lost_stop_is_sent_again(
    a_fleet: Fleets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_FAILPOINTS", "agent.stops=2*drop")
    async with a_fleet(scheduler_options=OFTEN) as (_, client):
        (task_id,) = await submit(client, [until_gate(tmp_path / "gate", 0)])
        await until_running(client, [task_id])
        await client.cancel(task_id)
        task = await client.wait(task_id, timeout=30)
        assert task.state == TaskState.TASK_STATE_CANCELLED
        assert task.attempt.number == 1
