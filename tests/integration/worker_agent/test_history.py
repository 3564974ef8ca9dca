"""Does history show that two attempts ran at once, on what the first was given up, and until when it ran?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import tenure
from tenure.local.fleet import Fleet
from tenure.v1 import task_service_pb2 as pb
from tenure.v1.task_pb2 import LOSS_EVIDENCE_LEASE_EXPIRED, AttemptOutcome, Task, TaskState
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import alive, submit, until_running
from tests.support.agents import agent_pid
from tests.support.waiting import eventually

EXAMPLE = Path(__file__).parents[3] / "clients" / "python" / "examples" / "fenced_ledger.py"
SHORT = {"workers.ttl": "3s"}
WIDTH = 100


async def silence(fleet: Fleet, worker: str) -> list[int]:
    """Freeze warden and agent of a node: its tasks run on and nothing is heard of it. Returns who to thaw."""
    pids = [(await fleet.pids())[worker], await agent_pid(fleet, worker)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def thaw(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def open_gate(gate: Path, attempt: int) -> None:
    """Let one attempt of the example write."""
    Path(f"{gate}.{attempt}").touch()


async def runs_elsewhere(client: tenure.Client, task_id: str) -> Task:
    task = await client.get(task_id)
    assert (task.attempt.number, task.state) == (2, TaskState.TASK_STATE_RUNNING)
    return task


async def late_end(client: tenure.Client, task_id: str) -> pb.GetTaskHistoryResponse:
    history = await client.history(task_id)
    assert history.attempts[0].HasField("late_end")
    return history


def rows(ledger: Path, table: str) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(ledger)) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


async def test_a_zombie_is_refused_by_a_resource_that_compares_fences(
    a_fleet: Fleets, tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    argv = [sys.executable, str(EXAMPLE), str(ledger), "paid", "--when", str(gate)]
    async with a_fleet(agents=2, scheduler_options=SHORT) as (fleet, client):
        (task_id,) = await submit(client, [tenure.process(argv, cpu=0.1)])
        (first,) = await until_running(client, [task_id])
        assert (await client.verify_fence(first.attempt.fence)).valid
        frozen = await silence(fleet, first.attempt.worker)
        second = await eventually(partial(runs_elsewhere, client, task_id), within=20)
        stale = await client.verify_fence(tenure.Fence.parse(first.attempt.fence))
        assert (stale.valid, stale.current_fence) == (False, second.attempt.fence)
        assert alive(first.attempt.pid), "the first one still runs, and could do anything"
        (maybe,) = (await client.history(task_id)).overlaps
        assert (maybe.earlier, maybe.later, maybe.certain, maybe.HasField("ends_at")) == (1, 2, False, False)

        open_gate(gate, 2)
        assert (await client.wait(task_id, timeout=20)).state == TaskState.TASK_STATE_SUCCEEDED
        open_gate(gate, 1)
        await eventually(lambda: not alive(first.attempt.pid), what="the first one tries as well")
        assert rows(ledger, "line") == [(second.attempt.fence, "paid")]
        assert rows(ledger, "refusal") == [(first.attempt.fence, second.attempt.fence)]

        thaw(frozen)
        history = await eventually(partial(late_end, client, task_id), within=20)
        check_zombie(history, first, second)
        printed = await asyncio.to_thread(show, fleet, task_id)
        print(printed)
        assert "its worker said later that it ended FAILED with exit code 3" in " ".join(printed.split())
        assert max(map(len, printed.splitlines())) <= WIDTH


def check_zombie(history: pb.GetTaskHistoryResponse, first: Task, second: Task) -> None:
    one, two = history.attempts
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert history.task.state == TaskState.TASK_STATE_SUCCEEDED
    assert (one.fence, two.fence) == (first.attempt.fence, second.attempt.fence)
    assert (one.outcome, one.evidence) == (AttemptOutcome.ATTEMPT_OUTCOME_LOST, LOSS_EVIDENCE_LEASE_EXPIRED)
    assert "its key `live`, created at revision " in one.ruling.saw
    assert " was not there at revision " in one.ruling.saw
    assert one.counted
    assert (one.late_end.exit_code, one.pid) == (3, first.attempt.pid)
    assert one.start_ticks > 0
    assert one.boot_id == two.boot_id == boot
    (window,) = history.overlaps
    assert (window.earlier, window.later, window.certain) == (1, 2, True)
    assert (window.begins_at, window.ends_at) == (two.started_at, two.ended_at)


def show(fleet: Fleet, task_id: str) -> str:
    command = [sys.executable, "-m", "tenure.cli", "--address", fleet.address, "history", task_id]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout


async def test_a_thawed_node_says_until_when_its_attempt_ran_beside_the_other(a_fleet: Fleets) -> None:
    async with a_fleet(agents=2, scheduler_options=SHORT) as (fleet, client):
        (task_id,) = await submit(client, [tenure.process(["sleep", "300"], cpu=0.1)])
        (first,) = await until_running(client, [task_id])
        frozen = await silence(fleet, first.attempt.worker)
        second = await eventually(partial(runs_elsewhere, client, task_id), within=20)
        assert alive(first.attempt.pid)
        thaw(frozen)
        history = await eventually(partial(late_end, client, task_id), within=20)
        assert not alive(first.attempt.pid)
        assert alive(second.attempt.pid)
        one, two = history.attempts
        assert one.late_end.signal in (signal.SIGTERM, signal.SIGKILL)
        assert one.outcome == AttemptOutcome.ATTEMPT_OUTCOME_LOST
        assert two.outcome == AttemptOutcome.ATTEMPT_OUTCOME_UNSPECIFIED
        (window,) = history.overlaps
        assert window.certain
        assert (window.begins_at, window.ends_at) == (two.started_at, one.late_end.ended_at)
        await client.cancel(task_id)
        assert (await client.wait(task_id, timeout=20)).state == TaskState.TASK_STATE_CANCELLED
        kinds = [
            pb.HistoryEventKind.Name(event.kind)[19:] for event in (await client.history(task_id)).events
        ]
        assert "CANCEL_REQUESTED" in kinds
        assert kinds[-1] == "FINISHED"
