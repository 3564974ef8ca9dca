"""Does history say on what evidence a real loss was decided, and of which process?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tenure
from tenure.local.fleet import Fleet
from tenure.v1 import task_service_pb2 as pb
from tenure.v1.task_pb2 import Attempt, AttemptOutcome
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import alive, submit, until_running
from tests.support.waiting import eventually

PATIENT = {"workers.reattach_grace": "20s"}
"""A node that comes back says what became of its attempts before anything is concluded from its silence."""
MIB = 1 << 20


async def second_attempt(client: tenure.Client, task_id: str) -> pb.GetTaskHistoryResponse:
    """The history, once the task runs again."""
    await until_running(client, [task_id])
    history = await client.history(task_id)
    assert len(history.attempts) == 2
    return history


def told(fleet: Fleet, task_id: str) -> dict[str, Any]:
    """The first attempt as `tenure history --json` shows it to scripts."""
    command = [sys.executable, "-m", "tenure.cli", "--address", fleet.address, "history", "--json", task_id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    return dict(json.loads(done.stdout)["attempts"][0])


async def test_a_rebooted_host(a_fleet: Fleets, tmp_path: Path) -> None:
    boot = tmp_path / "boot-id"
    boot.write_text(f"{uuid.uuid4()}\n")
    before = boot.read_text().strip()
    options = {"agent_options": {"boot_id_file": str(boot)}, "scheduler_options": PATIENT}
    async with a_fleet(agents=1, **options) as (fleet, client):
        (task_id,) = await submit(client, [tenure.process(["sleep", "600"])])
        (first,) = await until_running(client, [task_id])
        await fleet.kill_node("worker-1")
        boot.write_text(f"{uuid.uuid4()}\n")
        await fleet.restart_node("worker-1")
        history = await eventually(partial(second_attempt, client, task_id), within=20)
        one, two = history.attempts
        assert (told(fleet, task_id)["evidence"], one.pid) == ("host_rebooted", first.attempt.pid)
        assert (one.boot_id, two.boot_id) == (before, boot.read_text().strip())
        assert one.outcome == AttemptOutcome.ATTEMPT_OUTCOME_LOST
        assert not history.overlaps  # nothing outlives its boot


async def test_a_node_that_comes_back_without_its_attempt(a_fleet: Fleets) -> None:
    """Its journal is one of before, say: its warden cannot vouch for the end of what it knows nothing of."""
    async with a_fleet(agents=1, scheduler_options=PATIENT) as (fleet, client):
        await eventually(client.workers, what="the worker is there")
        journal = fleet.data_dir / "worker-1" / "journal"
        earlier = journal.read_bytes()
        (task_id,) = await submit(client, [tenure.process(["sleep", "600"])])
        (first,) = await until_running(client, [task_id])
        await fleet.kill_node("worker-1")
        journal.write_bytes(earlier)
        await fleet.restart_node("worker-1")
        history = await eventually(partial(second_attempt, client, task_id), within=20)
        one, two = history.attempts
        assert (told(fleet, task_id)["evidence"], one.pid) == ("worker_replaced", first.attempt.pid)
        assert one.boot_id == two.boot_id
        assert not alive(one.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups of one's own take root, or delegation")
async def test_a_task_that_outgrows_its_memory(a_fleet: Fleets) -> None:
    grow = f"print('begins', flush=True); blocks = [b'x' * {MIB} for _ in range(600)]"
    async with a_fleet(agents=1) as (fleet, client):
        (worker,) = await client.workers()
        if any("memory" in each or "no control" in each for each in worker.reduced_guarantees):
            pytest.skip("; ".join(worker.reduced_guarantees))
        spec = tenure.process([sys.executable, "-c", grow], memory="64MiB")
        (task_id,) = await submit(client, [spec])
        one = await eventually(partial(ended, client, task_id), within=30, what="the first attempt ended")
        assert (told(fleet, task_id)["evidence"], one.signal) == ("oom_killed", signal.SIGKILL)
        assert one.pid
        assert one.boot_id
        await client.cancel(task_id)


async def ended(client: tenure.Client, task_id: str) -> Attempt:
    one = (await client.history(task_id)).attempts[0]
    assert one.outcome
    return one
