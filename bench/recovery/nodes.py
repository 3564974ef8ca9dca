"""How soon do the tasks of a lost node run elsewhere, and does the death of an agent alone move any?

A node is lost when agent, warden and tasks are killed at once, or stopped at once (SIGSTOP: silent, with open
connections). Losing more than a quarter of the fleet within a minute is a storm, in which nothing is declared
lost: so each fleet of eight loses two nodes, one after the other or both at once, and the next loss gets a
new fleet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.recovery.figures import Figure
from bench.recovery.sleepers import Sleepers
from tenure import Client, process
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import TASK_STATE_RUNNING, TaskFilter
from tests.support.agents import agent_pid
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tenure.v1.task_pb2 import Task

    Say = Callable[[str], None]
    Lose = Callable[[Fleet, str], Awaitable[object]]

AGENTS = 8
TASKS_PER_NODE = 5
LOSSES_PER_FLEET = 2
COUNTING = 'i=0; until [ -e "$0" ]; do i=$((i + 1)); echo $i; sleep 0.05; done; exit 7'
"""Prints 1, 2, 3 … until there is a file; then ends with 7."""


async def killed(losses: int, say: Say) -> list[Figure]:
    """Whole nodes killed, default settings."""

    async def kill(fleet: Fleet, name: str) -> None:
        await fleet.kill_node(name)

    values = [seconds async for seconds in _losses(losses, {}, kill, say)]
    return [Figure(name="node_killed_s", values=tuple(values), bound=3.0)]


async def silent(losses: int, say: Say) -> list[Figure]:
    """Whole nodes stopped, half of them with worker leases of 3 s and half with 10 s."""

    async def pause(fleet: Fleet, name: str) -> None:
        await fleet.pause(name)

    figures = []
    for ttl in (3, 10):
        half = _losses((losses + 1) // 2, {"workers.ttl": f"{ttl}s"}, pause, say)
        values = [seconds async for seconds in half]
        figures.append(Figure(name=f"node_silent_ttl{ttl}_s", values=tuple(values), bound=ttl + 1.0))
    return figures


async def _losses(losses: int, options: dict[str, object], lose: Lose, say: Say) -> AsyncIterator[float]:
    """Seconds until all tasks of a lost node run elsewhere, for so many losses."""
    done = fleets = 0
    while done < losses:
        here = min(LOSSES_PER_FLEET, losses - done)
        async with (
            Fleet(schedulers=2, agents=AGENTS, relays=1, scheduler_options=options) as fleet,
            Client(fleet.address) as client,
            Sleepers(client, "sleeper", AGENTS * TASKS_PER_NODE) as sleepers,
        ):
            victims = fleet.agents[fleets % AGENTS :][:here]
            victims += fleet.agents[: here - len(victims)]
            assert all(sleepers.tasks_on(victim) for victim in victims), "a loss of nothing proves nothing"
            if fleets % 2:
                began = time.perf_counter()
                await asyncio.gather(*(lose(fleet, victim) for victim in victims))
                seconds = await sleepers.seconds_until_elsewhere(*victims, since=began)
                results = [seconds] * here
            else:
                results = []
                for number, victim in enumerate(victims, 1):
                    began = time.perf_counter()
                    await lose(fleet, victim)
                    results.append(await sleepers.seconds_until_elsewhere(*victims[:number], since=began))
        fleets, done = fleets + 1, done + here
        say(f"{done} of {losses} losses: {', '.join(f'{seconds:.2f} s' for seconds in results)}")
        for seconds in results:
            yield seconds


async def agent_killed(kills: int, say: Say) -> list[Figure]:
    """Agents killed alone, which their wardens restart: what happens to tasks, their processes and output?"""
    with TemporaryDirectory(prefix="tenure-recovery-") as folder:
        end = Path(folder) / "end"
        spec = process(["sh", "-c", COUNTING, str(end)], name="counting", cpu=0.01)
        async with Fleet(schedulers=2, agents=2, relays=1) as fleet, Client(fleet.address) as client:
            submitted = await client.submit_many([spec] * (2 * TASKS_PER_NODE))
            before = await eventually(lambda: _processes(client, len(submitted)), what="all run", within=60)
            away = [await _kill_agent(fleet, fleet.agents[n % 2], n, kills, say) for n in range(kills)]
            moved = _differences(before, await _processes(client, len(submitted)))
            end.touch()
            tasks = await client.wait_many([one.task_id for one in submitted])
            wrong = sum(task.attempt.exit_code != 7 or task.attempt.number != 1 for task in tasks)
            holes = [await _holes(client, task.id) for task in tasks]
    return [
        Figure(name="agent_restart_s", values=tuple(away), bound=2.0),
        Figure(name="agent_killed_reallocations", values=(moved,), bound=0, unit="tasks"),
        Figure(name="agent_killed_wrong_ends", values=(wrong,), bound=0, unit="tasks"),
        Figure(name="agent_killed_log_holes", values=tuple(holes), bound=0, unit="holes"),
    ]


async def _processes(client: Client, count: int) -> dict[str, tuple[str, int, int]]:
    """Worker, attempt and pid of every task; nothing before all of them run."""
    where = TaskFilter(names=["counting"], states=[TASK_STATE_RUNNING])
    found = {task.id: _process(task) async for task in client.list(where)}
    return found if len(found) == count and all(pid for _, _, pid in found.values()) else {}


def _process(task: Task) -> tuple[str, int, int]:
    return task.attempt.worker, task.attempt.number, task.attempt.pid


def _differences(before: dict[str, tuple[str, int, int]], after: dict[str, tuple[str, int, int]]) -> int:
    return sum(after.get(task) != known for task, known in before.items())


async def _kill_agent(fleet: Fleet, name: str, number: int, kills: int, say: Say) -> float:
    """SIGKILL an agent; seconds until another one has a session."""
    pid = await agent_pid(fleet, name)
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    await agent_pid(fleet, name, other_than=pid)
    await fleet.wait_ready()
    seconds = time.perf_counter() - began
    if number % 10 == 9:
        say(f"{number + 1} of {kills} kills")
    return seconds


async def _holes(client: Client, task_id: str) -> int:
    """Lines of a counting task that are missing, twice or out of order."""
    numbers = [int(entry.text) async for entry in client.follow_lines(task_id)]
    return sum(number != at for at, number in enumerate(numbers, 1)) + (not numbers)
