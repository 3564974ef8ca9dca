"""Does anybody who uses a fleet all the time notice what is done to it?

So many short tasks a second are submitted, whatever the fleet does meanwhile, through clients of which one
knows every scheduler and each of the others a single one. Every task is waited for, and watchers are told how
those of their name end. Each execution leaves a line in a file: attempts say less, because a task whose node
went away before it began has a second attempt and one execution.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Self

from tenure import Client, process
from tenure.errors import DeadlineExceeded, TenureError
from tenure.v1.task_pb2 import TASK_STATE_FAILED, TASK_STATE_SUCCEEDED, Attempt, TaskFilter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from tenure.v1.task_spec_pb2 import TaskSpec

PASS: Final = 'echo "$TENURE_TASK_ID" >> "$0"; sleep 0.2; exit "$1"'
CODES = 200
TURN = 0.05
"""Seconds between two handfuls of submissions."""
SECONDS_TO_END = 120.0
ENDED = (TASK_STATE_SUCCEEDED, TASK_STATE_FAILED)


@dataclass(slots=True)
class Told:
    """What users were told."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    """The exit code that each task was given, by its id."""
    ends: dict[str, Attempt] = field(default_factory=dict)
    failures: list[TenureError] = field(default_factory=list)
    """Of calls, after all that the client tried."""


class Passers:
    """`async with` it: tasks come and go until the block ends."""

    def __init__(self, addresses: Sequence[str], *, per_second: int, watchers: int) -> None:
        self.told = Told()
        self._addresses = [",".join(addresses), *addresses]
        self._per_second = per_second
        self._names = [f"passer-{uuid.uuid4().hex[:8]}-{n}" for n in range(watchers)]
        self._watched: list[set[str]] = [set() for _ in self._names]
        self._enough = asyncio.Event()
        self._stack = AsyncExitStack()
        self._clients: list[Client] = []
        folder = self._stack.enter_context(
            TemporaryDirectory(prefix="tenure-recovery-", ignore_cleanup_errors=True)
        )
        self._executions = Path(folder, "ran")
        self._passing: asyncio.Task[None] | None = None
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._clients = [await self._stack.enter_async_context(Client(each)) for each in self._addresses]
        watching = zip(itertools.cycle(self._clients), self._names, self._watched)
        self._watching = [asyncio.create_task(self._watch(*each)) for each in watching]
        self._passing = asyncio.create_task(self._pass())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        assert self._passing is not None
        if kind is not None:
            self._passing.cancel()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(self._passing, *self._watching, return_exceptions=True)
        await self._stack.aclose()

    async def settled(self) -> None:
        """Submit no more; return when all have ended and every watcher was told."""
        self._enough.set()
        assert self._passing is not None
        await self._passing
        try:
            async with asyncio.timeout(SECONDS_TO_END):
                while self.unwatched:  # noqa: ASYNC110  (it changes in one task per watcher)
                    await asyncio.sleep(TURN)
        except TimeoutError:
            pass  # the count says it

    @property
    def unwatched(self) -> int:
        """Tasks of whose end the watchers of their name were not told."""
        return len(self.told.ends.keys() - set().union(*self._watched))

    async def made_twice(self) -> int:
        """How many tasks there are that nobody was told of."""
        there = await self._clients[0].count(TaskFilter(names=self._names))
        return sum(there.values()) - len(self.told.acknowledged)

    @property
    def lost(self) -> int:
        """Tasks that were acknowledged and did not end."""
        return len(self.told.acknowledged.keys() - self.told.ends.keys())

    @property
    def not_run_once(self) -> int:
        """Tasks that ended and were executed more than once, or never."""
        runs = Counter(self._executions.read_text().split())
        return sum(runs[task] != 1 for task in self.told.ends)

    @property
    def wrong_ends(self) -> int:
        """Tasks that ended with another code than their own."""
        codes = self.told.acknowledged
        ends = self.told.ends.items()
        return sum(not end.HasField("exit_code") or end.exit_code != codes[task] for task, end in ends)

    async def _pass(self) -> None:
        began = time.monotonic()
        numbers = itertools.count()
        async with asyncio.TaskGroup() as users:
            while not self._enough.is_set():
                due = int((time.monotonic() - began) * self._per_second)
                while (number := next(numbers)) < due:
                    users.create_task(self._use(number))
                numbers = itertools.count(number)
                await asyncio.sleep(TURN)

    async def _use(self, number: int) -> None:
        client = self._clients[number % len(self._clients)]
        code = number % CODES
        try:
            task = await client.submit(self._spec(number, code))
            self.told.acknowledged[task] = code
            self.told.ends[task] = (await client.wait(task, timeout=SECONDS_TO_END)).attempt
        except DeadlineExceeded:
            return  # it is counted as lost
        except TenureError as error:
            self.told.failures.append(error)

    def _spec(self, number: int, code: int) -> TaskSpec:
        name = self._names[number % len(self._names)]
        return process(["sh", "-c", PASS, str(self._executions), str(code)], name=name, cpu=0.01)

    async def _watch(self, client: Client, name: str, seen: set[str]) -> None:
        try:
            async for message in client.watch(TaskFilter(names=[name])):
                seen.update(task.id for task in message.tasks if task.state in ENDED)
        except TenureError as error:
            self.told.failures.append(error)
