"""Do tasks survive the death of everything around them, and never run twice for one attempt?"""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

import tenure
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import AttemptOutcome, LossEvidence, TaskState
from tenure.v1.task_spec_pb2 import OnDisconnect
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import alive, signal_agent, submit, until_running
from tests.support.agents import agent_pid
from tests.support.waiting import eventually

O = AttemptOutcome  # noqa: E741


def until_gate(gate: Path, code: int) -> tenure.TaskSpec:
    """A task that notes its start and runs until the gate opens."""
    script = f"echo $TENURE_FENCE >> {gate}.starts; until [ -e {gate} ]; do sleep 0.05; done; exit {code}"
    return tenure.process(["sh", "-c", script], cpu=0.1)


def starts(gate: Path) -> list[str]:
    return Path(f"{gate}.starts").read_text().split()


async def test_a_killed_agent_takes_its_tasks_up_again(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with a_fleet() as (fleet, client):
        ids = await submit(client, [until_gate(gate, code) for code in range(5)])
        running = await until_running(client, ids)
        killed = await signal_agent(fleet, "worker-1")
        assert await eventually(lambda: _other(fleet, killed), what="another agent runs")
        gate.touch()
        tasks = await client.wait_many(ids, timeout=30)
        assert [task.attempt.exit_code for task in tasks] == [0, 1, 2, 3, 4]
        assert [task.attempt.number for task in tasks] == [1] * 5
        assert [task.attempt.pid for task in tasks] == [task.attempt.pid for task in running]
        assert len(starts(gate)) == 5


async def _other(fleet: Fleet, killed: int) -> bool:
    return await agent_pid(fleet, "worker-1") != killed


async def test_results_of_a_time_without_an_agent_are_kept(a_fleet: Fleets, tmp_path: Path) -> None:
    """The agent is stopped while its tasks end, and then killed: nothing but the warden saw their exits."""
    gate = tmp_path / "gate"
    async with a_fleet() as (fleet, client):
        ids = await submit(client, [until_gate(gate, code) for code in (0, 9)])
        running = await until_running(client, ids)
        pid = await signal_agent(fleet, "worker-1", signal.SIGSTOP)
        gate.touch()
        await eventually(lambda: not any(alive(task.attempt.pid) for task in running))
        os.kill(pid, signal.SIGKILL)
        tasks = await client.wait_many(ids, timeout=30)
        assert [(t.attempt.number, t.attempt.exit_code) for t in tasks] == [(1, 0), (1, 9)]


async def test_noops_survive_kills_of_the_agent(a_fleet: Fleets) -> None:
    async with a_fleet() as (fleet, client):
        ids = await submit(client, [tenure.noop() for _ in range(4000)])
        for share in (0.1, 0.3, 0.6):
            await eventually(partial(_done, client, 4000 * share), within=30)
            await signal_agent(fleet, "worker-1")
        tasks = await client.wait_many(ids, timeout=40)
        assert {task.state for task in tasks} == {TaskState.TASK_STATE_SUCCEEDED}


async def _done(client: tenure.Client, wanted: float) -> bool:
    return (await client.count()).get(TaskState.TASK_STATE_SUCCEEDED, 0) >= wanted


async def test_a_killed_scheduler_costs_no_task_anything(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with a_fleet(schedulers=2) as (fleet, client):
        ids = await submit(client, [until_gate(gate, code) for code in range(4)])
        await until_running(client, ids)
        leader = (await client.server_info()).leader
        number = fleet.address.split(",").index(leader) + 1 if leader in fleet.address else 1
        await fleet.kill(f"scheduler-{number}")
        gate.touch()
        tasks = await client.wait_many(ids, timeout=40)
        assert [(t.attempt.number, t.attempt.exit_code) for t in tasks] == [(1, 0), (1, 1), (1, 2), (1, 3)]
        assert len(starts(gate)) == 4


async def test_a_killed_node_loses_its_tasks_to_another(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with a_fleet(agents=2) as (fleet, client):
        ids = await submit(client, [until_gate(gate, 3) for _ in range(6)])
        running = await until_running(client, ids)
        victim = running[0].attempt.worker
        doomed = [task for task in running if task.attempt.worker == victim]
        began = time.monotonic()
        await fleet.kill_node(victim)
        await eventually(lambda: len(starts(gate)) == 6 + len(doomed), within=20)
        print(f"restarted {time.monotonic() - began:.2f} s after the kill")
        gate.touch()
        tasks = await client.wait_many(ids, timeout=30)
        assert {task.attempt.exit_code for task in tasks} == {3}
        lost = {task.id for task in doomed}
        assert {task.id: task.attempt.number for task in tasks} == {
            task: 2 if task in lost else 1 for task in ids
        }
        assert not any(alive(task.attempt.pid) for task in doomed)


async def test_a_killed_warden_is_said_to_have_died(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with a_fleet() as (fleet, client):
        (task_id,) = await submit(client, [until_gate(gate, 0)])
        (running,) = await until_running(client, [task_id])
        await fleet.kill("worker-1")
        await eventually(lambda: len(starts(gate)) == 2, within=20)
        gate.touch()
        task = await client.wait(task_id, timeout=20)
        assert task.attempt.exit_code == 0
        assert not alive(running.attempt.pid)
        first = (await client.history(task_id)).attempts[0]
        assert first.outcome == O.ATTEMPT_OUTCOME_LOST
        assert first.evidence == LossEvidence.LOSS_EVIDENCE_WARDEN_DIED


async def test_an_agent_that_is_told_to_end_leaves_its_tasks_running(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with a_fleet() as (fleet, client):
        (task_id,) = await submit(client, [until_gate(gate, 4)])
        (running,) = await until_running(client, [task_id])
        ended = await signal_agent(fleet, "worker-1", signal.SIGTERM)
        await eventually(lambda: not alive(ended))
        assert alive(running.attempt.pid)
        gate.touch()
        task = await client.wait(task_id, timeout=20)
        assert (task.attempt.number, task.attempt.exit_code) == (1, 4)


async def test_a_silent_node_is_fenced_when_it_comes_back(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    options = {"workers.ttl": "6s"}
    async with a_fleet(agents=2, scheduler_options=options) as (fleet, client):
        (task_id,) = await submit(client, [until_gate(gate, 2)])
        (running,) = await until_running(client, [task_id])
        await fleet.pause(running.attempt.worker)
        await eventually(lambda: len(starts(gate)) == 2, within=20)
        await fleet.resume(running.attempt.worker)
        await eventually(lambda: not alive(running.attempt.pid), what="the old attempt is stopped", within=20)
        gate.touch()
        task = await client.wait(task_id, timeout=20)
        assert (task.attempt.number, task.attempt.exit_code) == (2, 2)


async def test_a_node_that_is_told_to_end_says_how_its_tasks_ended(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with a_fleet(agents=2) as (fleet, client):
        (task_id,) = await submit(client, [until_gate(gate, 0)])
        (running,) = await until_running(client, [task_id])
        os.kill((await fleet.pids())[running.attempt.worker], signal.SIGTERM)
        await eventually(lambda: len(starts(gate)) == 2, within=20)
        gate.touch()
        task = await client.wait(task_id, timeout=20)
        assert task.state == TaskState.TASK_STATE_SUCCEEDED
        first = (await client.history(task_id)).attempts[0]
        assert first.outcome == O.ATTEMPT_OUTCOME_WORKER_SHUTDOWN
        assert not alive(running.attempt.pid)


async def test_a_node_that_was_told_to_end_need_not_be_waited_for(a_fleet: Fleets, tmp_path: Path) -> None:
    """Nothing is assigned to it while it ends, and no lease or grace of a minute holds its successor up."""
    gate = tmp_path / "gate"
    patient = {"workers.ttl": "60s", "workers.reattach_grace": "60s"}
    async with a_fleet(scheduler_options=patient) as (fleet, client):
        (task_id,) = await submit(client, [until_gate(gate, 0)])
        await until_running(client, [task_id])
        os.kill((await fleet.pids())["worker-1"], signal.SIGTERM)
        await eventually(lambda: len(starts(gate)) == 2, within=20)
        gate.touch()
        await client.wait(task_id, timeout=20)
        outcomes = [attempt.outcome for attempt in (await client.history(task_id)).attempts]
        assert outcomes == [O.ATTEMPT_OUTCOME_WORKER_SHUTDOWN, O.ATTEMPT_OUTCOME_SUCCEEDED]


@pytest.mark.parametrize("agent_runs", [False, True])
async def test_only_exclusive_tasks_end_while_no_scheduler_answers(
    a_fleet: Fleets, tmp_path: Path, agent_runs: bool
) -> None:
    """If the agent is stopped as well, the warden keeps the deadline by itself."""
    gates = [tmp_path / "exclusive", tmp_path / "other"]
    specs = [until_gate(gate, 0) for gate in gates]
    specs[0].on_disconnect = OnDisconnect.ON_DISCONNECT_STOP
    ttl = 6.0
    async with a_fleet(scheduler_options={"workers.ttl": f"{ttl}s"}) as (fleet, client):
        ids = await submit(client, specs)
        exclusive, other = await until_running(client, ids)
        agent = (
            await agent_pid(fleet, "worker-1")
            if agent_runs
            else await signal_agent(fleet, "worker-1", signal.SIGSTOP)
        )
        await fleet.pause("scheduler-1")
        silent_since = time.time()
        await eventually(lambda: not alive(exclusive.attempt.pid), what="the exclusive task is killed")
        assert alive(other.attempt.pid)
        await fleet.resume("scheduler-1")
        os.kill(agent, signal.SIGCONT)
        await eventually(lambda: len(starts(gates[0])) == 2, what="it runs again")
        for gate in gates:
            gate.touch()
        tasks = await client.wait_many(ids, timeout=30)
        assert [(task.state, task.attempt.number, task.losses) for task in tasks] == [
            (TaskState.TASK_STATE_SUCCEEDED, 2, 1),
            (TaskState.TASK_STATE_SUCCEEDED, 1, 0),
        ]
        first, second = (await client.history(ids[0])).attempts
        assert first.outcome == O.ATTEMPT_OUTCOME_LOST
        assert first.ended_at.ToMicroseconds() / 1e6 < silent_since + ttl
        assert first.ended_at.ToNanoseconds() < second.started_at.ToNanoseconds()


async def test_an_agent_alone_ends_an_exclusive_task_with_its_daemons(
    a_fleet: Fleets, tmp_path: Path
) -> None:
    """The warden is stopped: whose daemons hang below it, nobody asks it."""
    pid_file = tmp_path / "daemon"
    daemon = f"(setsid sh -c 'echo $$ > {pid_file}; exec sleep 600' &) ; exec sleep 600"
    spec = tenure.process(["sh", "-c", daemon], name="with-a-daemon")
    spec.on_disconnect = OnDisconnect.ON_DISCONNECT_STOP
    async with a_fleet(scheduler_options={"workers.ttl": "4s"}) as (fleet, client):
        (task,) = await until_running(client, await submit(client, [spec]))
        left_behind = int(await eventually(lambda: pid_file.exists() and pid_file.read_text().strip()))
        warden = (await fleet.pids())["worker-1"]
        await fleet.pause("scheduler-1")
        os.kill(warden, signal.SIGSTOP)
        try:
            await eventually(lambda: not alive(task.attempt.pid), what="the exclusive task is killed")
            await eventually(lambda: not alive(left_behind), within=5, what="its daemon as well")
        finally:
            os.kill(warden, signal.SIGCONT)
            await fleet.resume("scheduler-1")


async def test_an_upgraded_warden_keeps_agent_and_tasks(a_fleet: Fleets, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with a_fleet() as (fleet, client):
        before = await submit(client, [until_gate(gate, code) for code in (1, 2)])
        await until_running(client, before)
        agent = await agent_pid(fleet, "worker-1")
        os.kill((await fleet.pids())["worker-1"], signal.SIGHUP)
        after = await submit(client, [until_gate(gate, 3)])
        await until_running(client, after)
        gate.touch()
        tasks = await client.wait_many([*before, *after], timeout=20)
        assert [(t.attempt.number, t.attempt.exit_code) for t in tasks] == [(1, 1), (1, 2), (1, 3)]
        assert await agent_pid(fleet, "worker-1") == agent


async def test_an_agent_that_restarts_on_purpose_may_take_longer_than_its_lease_lasts(
    a_fleet: Fleets, tmp_path: Path
) -> None:
    """Two agents end and both come back late; only that of the one that was killed is given up."""
    gate = tmp_path / "gate"
    options = {"workers.ttl": "3s", "workers.reattach_grace": "60s"}
    async with a_fleet(agents=3, scheduler_options=options) as (fleet, client):
        ids = await submit(client, [until_gate(gate, 0) for _ in range(9)])
        running = await until_running(client, ids)
        of = {name: [t.id for t in running if t.attempt.worker == name] for name in ("worker-1", "worker-2")}
        assert all(of.values()), of
        sessions = {worker.name: worker.session for worker in await client.workers()}
        ended = {
            "worker-1": await signal_agent(fleet, "worker-1", signal.SIGTERM),
            "worker-2": await signal_agent(fleet, "worker-2", signal.SIGKILL),
        }
        successors = [await _stopped_successor(fleet, name, old) for name, old in ended.items()]
        assert (await client.worker("worker-1")).worker.HasField("held_until")
        await eventually(lambda: len(starts(gate)) == 9 + len(of["worker-2"]), within=20)
        for pid in successors:
            os.kill(pid, signal.SIGCONT)
        gate.touch()
        tasks = {task.id: task for task in await client.wait_many(ids, timeout=30)}
        assert {tasks[each].attempt.number for each in of["worker-2"]} == {2}
        assert {tasks[each].attempt.number for each in of["worker-1"]} == {1}
        assert {tasks[each].losses for each in of["worker-1"]} == {0}
        after = {worker.name: worker for worker in await client.workers()}
        assert after["worker-1"].session > sessions["worker-1"], "its lease had ended"
        assert not after["worker-1"].HasField("held_until")


async def _stopped_successor(fleet: Fleet, name: str, old: int) -> int:
    """Stop the agent that follows one that ended, before it can say Hello."""

    async def found() -> int:
        pid = await agent_pid(fleet, name)
        return pid if pid != old else 0

    pid = await eventually(found, what="another agent is started")
    os.kill(pid, signal.SIGSTOP)
    return pid
