"""Can an operator empty a node, change the mind, lose the leader meanwhile, and vouch that a node is dead?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import tenure
from tenure.errors import FailedPrecondition, InvalidArgument, NotFound
from tenure.local.fleet import Fleet
from tenure.local.process_tree import descendants
from tenure.v1.task_pb2 import ATTEMPT_OUTCOME_DRAINED, LossEvidence, TaskState
from tenure.v1.task_spec_pb2 import ON_DISCONNECT_STOP
from tenure.v1.worker_admin_service_pb2 import DrainWorkersResponse, Worker, WorkerVerdict
from tests.integration.cli.conftest import Terminal
from tests.integration.worker_agent.nodes import submit, until_running
from tests.support.waiting import eventually

SLEEP = tenure.process(["sleep", "600"])
SOON = tenure.process(["sleep", "2"])


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(schedulers=2, agents=2) as running:
        yield running


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[tenure.Client]:
    async with tenure.Client(fleet.address) as connected:
        yield connected


async def worker(client: tenure.Client, name: str) -> Worker:
    return (await client.worker(name)).worker


async def on_first_worker(client: tenure.Client, *specs: tenure.TaskSpec) -> list[str]:
    """Run tasks on worker-1, which is the only one that takes any meanwhile."""
    await client.cordon("worker-2")
    ids = await submit(client, specs)
    tasks = await until_running(client, ids)
    assert {task.attempt.worker for task in tasks} == {"worker-1"}
    await client.uncordon("worker-2")
    return ids


async def test_a_drain_waits_for_what_ends_in_time(client: tenure.Client) -> None:
    (task_id,) = await on_first_worker(client, SOON)
    views = [view async for view in client.drain("worker-1", deadline="60s", reason="new disk")]
    plan = views[0]
    assert [each.task_id for each in plan.running] == [task_id]
    assert plan.workers[0].drain_deadline.seconds > 0
    assert plan.workers[0].reason == "new disk"
    assert views[-1].done
    task = await client.get(task_id)
    assert (task.state, task.attempt.number) == (TaskState.TASK_STATE_SUCCEEDED, 1)
    again = await client.run(tenure.process(["true"]))
    assert again.attempt.worker == "worker-2", "nothing new goes there"
    await client.cancel_drain("worker-1")
    assert (await worker(client, "worker-1")).verdict == WorkerVerdict.WORKER_VERDICT_ACTIVE


async def test_what_still_runs_at_the_deadline_goes_on_elsewhere_uncounted(client: tenure.Client) -> None:
    (task_id,) = await on_first_worker(client, SLEEP)
    async for view in client.drain("worker-1", deadline=1.0):
        last = view
    assert last.done
    await until_running(client, [task_id])
    history = await client.history(task_id)
    first, second = history.attempts
    assert first.outcome == ATTEMPT_OUTCOME_DRAINED
    assert not first.counted
    assert second.worker == "worker-2"


async def test_a_drain_survives_the_leader_and_its_reader_stays_with_it(
    fleet: Fleet, client: tenure.Client
) -> None:
    await on_first_worker(client, SOON, SLEEP)
    before = await client.server_info()
    views = client.drain("worker-1", deadline="8s")
    plan = await anext(views)
    deadline = plan.workers[0].drain_deadline
    await fleet.kill(_name_of(fleet, before.leader))
    later = [view async for view in views]
    assert later[-1].done
    assert all(view.workers[0].drain_deadline == deadline for view in later), "it was not begun anew"
    assert (await client.server_info()).epoch > before.epoch


def _name_of(fleet: Fleet, replica: str) -> str:
    names = [name for name in fleet.names if name.startswith("scheduler")]
    return replica if replica in names else next(name for name in names if name in replica)


async def test_a_cancelled_drain_ends_its_view_and_stops_nothing(client: tenure.Client) -> None:
    (task_id,) = await on_first_worker(client, SLEEP)
    views = client.drain("worker-1", deadline="60s")
    await anext(views)
    await client.cancel_drain("worker-1")
    with pytest.raises(FailedPrecondition, match="was cancelled"):
        await _rest(views)
    assert (await client.get(task_id)).attempt.number == 1


async def _rest(views: AsyncIterator[DrainWorkersResponse]) -> list[DrainWorkersResponse]:
    return [view async for view in views]


async def test_bad_drains_are_refused_in_whole(client: tenure.Client) -> None:
    with pytest.raises(NotFound, match="'no', 'none'"):
        await _rest(client.drain("no", "worker-1", "none", deadline=5))
    for seconds in (0, -1, 366 * 86_400):
        with pytest.raises(InvalidArgument) as refused:
            await _rest(client.drain("worker-1", "worker-1", deadline=seconds))
        assert {violation.path for violation in refused.value.violations} == {"deadline", "names[1]"}
    with pytest.raises(FailedPrecondition, match="give a deadline"):
        await _rest(client.drain("worker-1"))
    with pytest.raises(NotFound, match="ghost"):
        await client.cancel_drain("worker-1", "ghost")
    with pytest.raises(NotFound, match="ghost"):
        await client.declare_dead("worker-1", "ghost", reason="seen")
    verdicts = {each.name: each.verdict for each in await client.workers()}
    assert set(verdicts.values()) == {WorkerVerdict.WORKER_VERDICT_ACTIVE}, "nothing was changed"


async def test_a_person_who_vouches_need_not_wait_for_the_lease(fleet: Fleet, client: tenure.Client) -> None:
    exclusive = tenure.process(["sleep", "600"], on_disconnect=ON_DISCONNECT_STOP)
    ids = await on_first_worker(client, exclusive, SLEEP)
    frozen = (await fleet.pids())["worker-1"]
    with _frozen(frozen):
        lost = await client.declare_dead("worker-1", reason="its power supply burnt")
        assert [fence.split(".")[1] for fence in lost] == sorted(ids)
        tasks = await until_running(client, ids)
        assert {task.attempt.worker for task in tasks} == {"worker-2"}
        assert (await worker(client, "worker-1")).reason == "its power supply burnt"
        for task_id in ids:
            first = (await client.history(task_id)).attempts[0]
            assert first.evidence == LossEvidence.LOSS_EVIDENCE_DECLARED_DEAD
    await eventually(lambda: _is_back(client), what="it comes back and its attempts are fenced")
    assert [task.attempt.number for task in [await client.get(each) for each in ids]] == [2, 2]


async def _is_back(client: tenure.Client) -> bool:
    found = await worker(client, "worker-1")
    return found.verdict == WorkerVerdict.WORKER_VERDICT_ACTIVE and not found.attempts


@contextlib.contextmanager
def _frozen(warden: int) -> Iterator[None]:
    pids = [warden, *descendants(warden)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_the_command_line_drains(fleet: Fleet, client: tenure.Client, tmp_path: Path) -> None:
    await on_first_worker(client, SOON)
    environment = {**Terminal(tmp_path).env, "TENURE_ADDRESS": fleet.address}

    async def tenure_command(*words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            "tenure", *words, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode(), errors.decode()

    code, output, _ = await tenure_command("drain", "worker-1", "--deadline", "1m")
    assert code == 0
    assert "1 attempt runs there" in output
    assert "tenure undrain worker-1" in output
    code, output, _ = await tenure_command("drain", "worker-1", "--json")
    assert code == 0
    assert json.loads(output)["done"]
    assert "draining until" in (await tenure_command("workers"))[1]
    assert (await tenure_command("undrain", "worker-1"))[0] == 0
    code, _, errors = await tenure_command("drain", "worker-1", "--deadline", "0s")
    assert (code, "--deadline" in errors) == (2, True)
    code, _, errors = await tenure_command("declare-dead", "worker-1", "--reason", "burnt")
    assert (code, "--yes" in errors) == (2, True)
    code, output, _ = await tenure_command("declare-dead", "worker-2", "--reason", "burnt", "--yes", "--json")
    assert (code, json.loads(output)) == (0, {"lost": []})
