"""Is a task that takes its nodes down found and held, while those beside it live on?"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import tenure
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import Task, TaskState
from tenure.v1.task_spec_pb2 import TaskSpec
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import submit, until_running
from tests.support.waiting import eventually

SUSPECTED_FROM = 2
"""Counted losses that make a suspect, as docs/concepts.md says."""
LIMIT = 100.0
"""Seconds for two poisons to be lost three to five times each, with the backoff between."""

pytestmark = pytest.mark.timeout(180)


def poison(cure: Path) -> TaskSpec:
    """Kill the warden at once, before anybody can have heard of the process; harmless with a cure."""
    return tenure.process(["sh", "-c", f"[ -e {cure} ] || kill -9 $PPID"])


async def all_held(client: tenure.Client, ids: list[str]) -> list[Task]:
    tasks = [await client.get(each) for each in ids]
    assert all(task.state == TaskState.TASK_STATE_QUARANTINED for task in tasks), tasks
    return tasks


def tenure_says(fleet: Fleet, *command: str) -> str:
    """What a person sees."""
    arguments = [sys.executable, "-m", "tenure.cli", "--address", fleet.address, *command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def history(fleet: Fleet, task_id: str) -> dict[str, Any]:
    return dict(json.loads(tenure_says(fleet, "history", "--json", task_id)))


async def test_a_task_that_kills_its_warden_is_held_until_a_person_lets_it_run(
    a_fleet: Fleets, tmp_path: Path
) -> None:
    cure = tmp_path / "cure"
    async with a_fleet(agents=3) as (fleet, client):
        beside = await submit(client, [tenure.process(["sleep", "600"]) for _ in range(2)])
        await until_running(client, beside)
        (task_id,) = await submit(client, [poison(cure)])
        await eventually(partial(all_held, client, [task_id]), within=LIMIT, what="the poison is held")
        assert task_id[:8] in tenure_says(fleet, "ps", "--state", "quarantined")
        assert f"tenure release {task_id}" in tenure_says(fleet, "explain", task_id)
        assert {each["evidence"] for each in history(fleet, task_id)["attempts"]} == {"warden_died"}
        # Whoever was beside it may have been lost with it twice, and is a suspect then, but nobody's victim.
        for task in await until_running(client, beside):
            assert task.losses <= SUSPECTED_FROM
        cure.touch()
        tenure_says(fleet, "release", task_id)
        task = await client.wait(task_id, timeout=30)
        assert task.state == TaskState.TASK_STATE_SUCCEEDED
        told = [event["kind"] for event in history(fleet, task_id)["events"]]
        assert told.index("held") < told.index("released") < told.index("finished")


async def test_suspects_never_run_on_one_worker_at_the_same_time(a_fleet: Fleets, tmp_path: Path) -> None:
    async with a_fleet(agents=2) as (fleet, client):
        ids = await submit(client, [poison(tmp_path / "cure") for _ in range(3)])
        await eventually(partial(all_held, client, ids), within=LIMIT, what="all poisons are held")
        told = [history(fleet, each) for each in ids]
        for one, other in combinations(told, 2):
            for mine in suspected(one):
                assert not any(at_once(mine, theirs) for theirs in suspected(other))


def suspected(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts that a task had as a suspect."""
    losses, found = 0, []
    for attempt in told["attempts"]:
        if losses >= SUSPECTED_FROM:
            found.append(attempt)
        losses += bool(attempt.get("counted"))
    assert found
    return found


def at_once(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a worker had both at the same time."""
    (begins, ends), (begin, end) = map(window, (one, other))
    return one["worker"] == other["worker"] and begins < end and begin < ends


def window(attempt: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(attempt["assigned_at"]), datetime.fromisoformat(attempt["ended_at"])
