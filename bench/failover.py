"""How long are the tasks of a lost node without a node?

From the moment in which a whole node is killed (agent, warden and every task process, at once) or stopped
(SIGSTOP: it falls silent and its connections stay open) until each of its tasks was seen running elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tenure import Client, process
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import TASK_STATE_RUNNING, TaskFilter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TASKS = 10
SECONDS_TO_START = 30.0


async def _all_running(client: Client, *, not_on: str, tasks: int) -> None:
    """Return when so many tasks are seen running on other workers than `not_on`."""
    running: set[str] = set()
    async for message in client.watch(TaskFilter(names=["sleeper"])):
        for task in message.tasks:
            if task.state == TASK_STATE_RUNNING and task.attempt.worker != not_on:
                running.add(task.id)
        if len(running) >= tasks:
            return


async def _seconds_until_restarted(
    options: dict[str, object], lose: Callable[[Fleet, str], Awaitable[object]]
) -> float:
    async with (
        Fleet(schedulers=1, agents=2, relays=1, scheduler_options=options) as fleet,
        Client(fleet.address) as client,
    ):
        # Each node gets half of them, and either has room for all.
        spec = process(["sleep", "600"], name="sleeper", cpu=0.01)
        await client.submit_many([spec] * TASKS)
        async with asyncio.timeout(SECONDS_TO_START):
            await _all_running(client, not_on="", tasks=TASKS)
        victim = fleet.agents[0]
        began = time.perf_counter()
        await lose(fleet, victim)
        async with asyncio.timeout(120):
            await _all_running(client, not_on=victim, tasks=TASKS)
        return time.perf_counter() - began


async def killed_seconds() -> float:
    """A node whose processes all get SIGKILL, with default settings."""
    return await _seconds_until_restarted({}, lambda fleet, name: fleet.kill_node(name))


async def silent_seconds(ttl: int) -> float:
    """A node that falls silent, with worker leases of `ttl` seconds."""
    return await _seconds_until_restarted({"workers.ttl": f"{ttl}s"}, lambda fleet, name: fleet.pause(name))
