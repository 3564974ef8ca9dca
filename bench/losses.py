"""How long are the tasks of a lost node without a node?

From the moment in which a node is lost until a watching client has seen each of its tasks running elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from tenure import Client, process
from tenure.v1.task_pb2 import TASK_STATE_RUNNING, TaskFilter

SECONDS_TO_START = 30.0
SECONDS_TO_RESTART = 120.0

Lose = Callable[[str], Awaitable[object]]
"""Loses the node of this name."""


async def seconds_until_elsewhere(
    client: Client, victims: Sequence[str], lose: Lose, *, tasks: int
) -> list[float]:
    """Lose nodes one right after the other while so many tasks run; the seconds of each, in that order.

    The tasks are new ones, spread over all nodes with room for them, and cancelled at the end.
    """
    spec = process(["sleep", "600"], name="sleeper", cpu=0.01)
    ids = [one.task_id for one in await client.submit_many([spec] * tasks)]
    seen = seen_running(client, ids)
    places: dict[str, str] = {}
    async with asyncio.timeout(SECONDS_TO_START):
        async for task, worker in seen:
            places[task] = worker
            if len(places) == tasks:
                break
    homeless = {victim: {task for task, worker in places.items() if worker == victim} for victim in victims}
    assert all(homeless.values()), f"a node without tasks: {homeless}"
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    losing = asyncio.create_task(_lose(victims, lose, began))
    async with asyncio.timeout(SECONDS_TO_RESTART):
        async for task, worker in seen:
            if worker in victims:
                continue
            for victim in victims:
                homeless[victim].discard(task)
                if not homeless[victim]:
                    ended.setdefault(victim, time.perf_counter())
            if len(ended) == len(victims):
                break
    await losing
    await client.cancel(where=TaskFilter(ids=ids))
    return [ended[victim] - began[victim] for victim in victims]


async def _lose(victims: Sequence[str], lose: Lose, began: dict[str, float]) -> None:
    for victim in victims:
        began[victim] = time.perf_counter()
        await lose(victim)


async def seen_running(client: Client, ids: Sequence[str]) -> AsyncIterator[tuple[str, str]]:
    """Every task that is seen running, and on which worker, as it is told."""
    async for message in client.watch(TaskFilter(ids=ids)):
        for task in message.tasks:
            if task.state == TASK_STATE_RUNNING:
                yield task.id, task.attempt.worker
