"""What did something cost the tasks that ran meanwhile, and those who read their output?

Tasks that count until they are let go, each with a reader from its first line to its end. Half of them can be
let go while the worst is going on, the others when it is over.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.losses import SECONDS_TO_RESTART, SECONDS_TO_START, seen_running
from tenure import Client, process
from tenure.errors import DeadlineExceeded
from tenure.v1.task_pb2 import LOG_STATE_COMPLETE, Attempt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

COUNT = 'n=0; until [ -e "$0" ]; do echo $((n += 1)); sleep 0.2; done; echo of $n; exit "$1"'
"""Counts until a file is there, says how far, and ends with the code that it was given."""
CODES = 200
SECONDS_TO_READ = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What came of the tasks that should not have been."""

    lost: int
    """Tasks that did not end."""
    reallocated: int
    """Tasks with another attempt, or another process."""
    wrong_ends: int
    """Tasks that ended with another code than their own."""
    torn_logs: int
    """Tasks of which a reader did not get every line once, in order, to the end."""

    def __bool__(self) -> bool:
        return any((self.lost, self.reallocated, self.wrong_ends, self.torn_logs))


class Counters:
    """Tasks that run and count; `running` starts them."""

    def __init__(self, client: Client, folder: Path, count: int) -> None:
        self._client = client
        self._gates = folder / "early", folder / "late"
        self._count = count
        self._ids: list[str] = []
        self.starts: list[Attempt] = []
        """Their attempts as they ran before anything happened."""
        self._reading: list[asyncio.Task[bool]] = []

    async def start(self) -> None:
        """Return when all run and their readers have seen the first line."""
        specs = [
            process(["sh", "-c", COUNT, str(self._gates[n % 2]), str(n % CODES)], cpu=0.01)
            for n in range(self._count)
        ]
        self._ids = [one.task_id for one in await self._client.submit_many(specs)]
        readers = [Reader(self._client, task) for task in self._ids]
        self._reading = [asyncio.create_task(reader.is_whole()) for reader in readers]
        async with asyncio.timeout(SECONDS_TO_START):
            await asyncio.gather(*(reader.began.wait() for reader in readers))
            await self._until_all_run()
        self.starts = [(await self._client.get(task)).attempt for task in self._ids]

    async def _until_all_run(self) -> None:
        running: set[str] = set()
        async for task, _ in seen_running(self._client, self._ids):
            running.add(task)
            if len(running) == len(self._ids):
                return

    def let_half_go(self) -> None:
        """Every other task ends."""
        self._gates[0].touch()

    async def ended_half(self) -> None:
        """Return when the ends of those that were let go first are told."""
        await self._client.wait_many(self._ids[::2], timeout=SECONDS_TO_RESTART)

    async def harm(self) -> Harm:
        """Let all of them go, and see how they end."""
        for gate in self._gates:
            gate.touch()
        ends = await asyncio.gather(*map(self._end_of, self._ids))
        _, unfinished = await asyncio.wait(self._reading, timeout=SECONDS_TO_READ)
        whole = [task not in unfinished and task.result() for task in self._reading]
        told = [(n, start, end) for n, (start, end) in enumerate(zip(self.starts, ends, strict=True)) if end]
        return Harm(
            lost=ends.count(None),
            reallocated=sum(end.number != 1 or end.pid != start.pid for _, start, end in told),
            wrong_ends=sum(not end.HasField("exit_code") or end.exit_code != n % CODES for n, _, end in told),
            torn_logs=whole.count(False),
        )

    async def _end_of(self, task: str) -> Attempt | None:
        try:
            return (await self._client.wait(task, timeout=SECONDS_TO_RESTART)).attempt
        except DeadlineExceeded:
            return None

    async def close(self) -> None:
        """Nobody reads any more, and whatever still runs ends."""
        for gate in self._gates:
            gate.touch()
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)


@asynccontextmanager
async def running(client: Client, count: int) -> AsyncIterator[Counters]:
    """So many tasks that run and are read when the block begins."""
    with TemporaryDirectory(prefix="tenure-recovery-") as folder:
        counters = Counters(client, Path(folder), count)
        try:
            await counters.start()
            yield counters
        finally:
            await counters.close()


class Reader:
    """Follows the log of a task to its end: did every line come once, in order?"""

    def __init__(self, client: Client, task: str) -> None:
        self.began = asyncio.Event()
        """Set with the first line."""
        self._messages = client.follow_logs(task)

    async def is_whole(self) -> bool:
        """Whether nothing was missing and nothing came twice."""
        lines: list[str] = []
        gaps, complete = 0, False
        async for message in self._messages:
            lines += [entry.text.decode() for entry in message.lines.entries]
            gaps += message.WhichOneof("item") == "gap"
            complete = complete or message.end.log_state == LOG_STATE_COMPLETE
            if lines:
                self.began.set()
        return complete and not gaps and lines == counted(lines)


def counted(lines: Sequence[str]) -> list[str]:
    """So many lines as a task writes them that counts."""
    count = len(lines) - 1
    return [*map(str, range(1, count + 1)), f"of {count}"]
