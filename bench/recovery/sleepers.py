"""Where do the tasks of a fleet run, and when was each of them seen to run elsewhere?"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from tenure import process
from tenure.v1.task_pb2 import TASK_STATE_RUNNING, TaskFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType

    from tenure import Client
    from tenure.v1.task_pb2 import Task

SECONDS_TO_START = 60.0
SECONDS_TO_RETURN = 120.0


class Sleepers:
    """Tasks that run for as long as nothing happens; `async with` submits, and cancels them.

    One watch follows all of them, as a user's would: what counts is when he is told.
    """

    def __init__(self, client: Client, name: str, count: int) -> None:
        self._client = client
        self._name = name
        self._count = count
        self._seen: dict[str, Task] = {}
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # Many find room on each node; each node gets its share, since the emptiest is chosen first.
        spec = process(["sleep", "600"], name=self._name, cpu=0.01)
        await self._client.submit_many([spec] * self._count)
        self._watching = asyncio.create_task(self._watch())
        async with asyncio.timeout(SECONDS_TO_START):
            await self._until(lambda: len(self._running_elsewhere(())) == self._count)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._watching is not None
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._client.cancel(*self._seen)

    async def _watch(self) -> None:
        async for message in self._client.watch(TaskFilter(names=[self._name])):
            self._seen.update((task.id, task) for task in message.tasks)
            self._news.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        assert self._watching is not None
        while not condition():
            if self._watching.done():
                self._watching.result()
            self._news.clear()
            await self._news.wait()

    def _running_elsewhere(self, nodes: Collection[str]) -> list[Task]:
        return [
            task
            for task in self._seen.values()
            if task.state == TASK_STATE_RUNNING and task.attempt.worker not in nodes
        ]

    def workers(self) -> set[str]:
        """Who runs any of them."""
        return {task.attempt.worker for task in self._seen.values()}

    def tasks_on(self, node: str) -> int:
        """How many of them a node runs."""
        return sum(task.attempt.worker == node for task in self._seen.values())

    async def seconds_until_elsewhere(self, *nodes: str, since: float) -> float:
        """Seconds from `since` (perf_counter) until all of them are seen running, on no node of these."""
        async with asyncio.timeout(SECONDS_TO_RETURN):
            await self._until(lambda: len(self._running_elsewhere(nodes)) == self._count)
        return time.perf_counter() - since
