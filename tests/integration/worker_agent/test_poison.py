"""Is a task that takes its nodes down found and held, while those beside it live on?"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import tenure
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import Task, TaskState
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import submit, until_running
from tests.support.waiting import eventually

QUARANTINED = TaskState.TASK_STATE_QUARANTINED
LIMIT = 150.0
"""Seconds for two poisons to be lost three times each, with the backoff between."""


def poison(cure: Path, ran: Path) -> Any:
    """Kill the warden at once, before anybody can have heard of the process; harmless once there is a cure."""
    return tenure.process(["sh", "-c", f"[ -e {cure} ] || {{ echo $$ >> {ran}; kill -9 $PPID; }}"])


def tenure_says(fleet: Fleet, *command: str) -> str:
    """What a person sees."""
    arguments = [sys.executable, "-m", "tenure.cli", "--address", fleet.address, *command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def all_held(client: tenure.Client, ids: list[str]) -> list[Task]:
    tasks = [await client.get(each) for each in ids]
    assert all(task.state == QUARANTINED for task in tasks), [
        (task.state, task.attempt.number, task.reason) for task in tasks
    ]
    return tasks


async def test_a_task_that_kills_its_warden_at_once_is_held_for_a_person(
    a_fleet: Fleets, tmp_path: Path
) -> None:
    cure, ran = tmp_path / "cure", tmp_path / "ran"
    async with a_fleet(agents=2) as (fleet, client):
        beside = await submit(client, [tenure.process(["sleep", "600"]) for _ in range(3)])
        await until_running(client, beside)
        poisons = await submit(client, [poison(cure, ran)])
        await eventually(partial(all_held, client, poisons), within=LIMIT, what="both poisons are held")
        for each in poisons:
            history = await client.history(each)
            print(each, [(a.worker, a.outcome, a.evidence, a.pid, a.ruling) for a in history.attempts])
        await until_running(client, beside)
        for args in (["ps","--state","quarantined"],["explain",poisons[0]],["history",poisons[0]],["get",poisons[0]], ["history", beside[0]], ["history", "--json", poisons[0]]):
            print(tenure_says(fleet,*args))
        cure.touch()
        print(tenure_says(fleet,"release",*poisons))
        for t in await client.wait_many(poisons, timeout=30): print(t.state)
        print(tenure_says(fleet,"history",poisons[0]))
