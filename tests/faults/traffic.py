"""Who uses the fleet during a fault run, and what are they told?

Submitters with request ids that go through any replica and try again elsewhere, waiters, people who cancel,
and readers who follow logs. What they are told is written down when it is acknowledged.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import uuid
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import tenure
from tenure.errors import NotFound, TenureError, Unavailable
from tenure.v1.task_pb2 import TaskFilter, TaskState
from tenure.v1.task_spec_pb2 import OnDisconnect, TaskSpec
from tenure_core.fence import Fence
from tests.faults.checker import TERMINAL
from tests.faults.history import GAP, TORN, Cancelled, Piece, Read, Recorder, Submitted, Told, now
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

    from tenure.v1.log_service_pb2 import LogGap, TailLogsResponse
    from tenure.v1.task_pb2 import Task

T = TypeVar("T")
PROGRAM: Final = Path(__file__).with_name("program.py")
CPU_MILLI: Final = 500
LONG_SHARE: Final = 0.25
EXCLUSIVE_SHARE: Final = 0.4
CANCEL_SHARE: Final = 0.05
FOLLOW_SHARE: Final = 0.08
MOST_FOLLOWERS: Final = 30
BATCH_SECONDS: Final = 0.5
FRESH_READERS: Final = 12
SECONDS_TO_BEGIN: Final = 30.0


class Traffic:
    """Everybody who uses one fleet; `run` until so many tasks were submitted."""

    def __init__(
        self, addresses: Sequence[str], ledger: Path, recorder: Recorder, rng: random.Random
    ) -> None:
        # One client per replica, so that a batch goes where the dice say and not where it last went well.
        self._replicas = [tenure.Client(address, patience=2.0, connect_timeout=2.0) for address in addresses]
        self._patient = tenure.Client(",".join(addresses), patience=300.0, connect_timeout=300.0)
        self._ledger = ledger
        self._recorder = recorder
        self._rng = rng
        self._busy: set[asyncio.Task[None]] = set()
        self.failures: list[str] = []
        """What users were told that is no answer, however long they tried."""
        self._followers = asyncio.Semaphore(MOST_FOLLOWERS)
        self.submitted: list[str] = []
        self.retries = 0
        """Calls that were made again because no answer came."""

    async def close(self) -> None:
        """Nobody uses the fleet any more."""
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        for client in (*self._replicas, self._patient):
            await client.close()

    async def begin(self, tasks: int, seconds: float) -> None:
        """Submit tasks that last so long and run on when they are cut off; return when all have begun.

        Whoever is cut off at first holds some of them: left to chance, there may be none to become stale.
        """
        await self._submit([self._lasting(seconds) for _ in range(tasks)])
        waiting = [TaskState.TASK_STATE_PENDING, TaskState.TASK_STATE_ASSIGNED]

        async def all_have_begun() -> bool:
            return not [task async for task in self._patient.list(TaskFilter(states=waiting))]

        await eventually(all_have_begun, within=SECONDS_TO_BEGIN, what="the first tasks begin")

    async def run(self, tasks: int, seconds: float) -> None:
        """Submit so many tasks, spread over so many seconds."""
        began = time.monotonic()
        asked = 0
        while asked < tasks:
            due = min(tasks, int(tasks * (time.monotonic() - began + BATCH_SECONDS) / seconds))
            if due > asked:
                self._start(self._submit([self._spec() for _ in range(due - asked)]))
                asked = due
            await asyncio.sleep(BATCH_SECONDS)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._busy.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        if task.cancelled():
            return
        # etcd may have been restored to a time before the task. The checker knows which ones may be gone.
        if (error := task.exception()) is not None and not isinstance(error, NotFound):
            self.failures.append(f"{task.get_coro().__qualname__}: {error!r}")  # type: ignore[union-attr]

    async def _submit(self, specs: Sequence[TaskSpec]) -> None:
        ids = [str(uuid.UUID(int=self._rng.getrandbits(128))) for _ in specs]
        answers = await self._insist(
            lambda: self._rng.choice(self._replicas).submit_many(specs, request_ids=ids)
        )
        for spec, answer in zip(specs, answers, strict=True):
            if answer.error is not None:
                raise answer.error
            self._acknowledged(answer.task_id, spec)

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """The answer to a call that is made again for as long as nobody can help."""
        while True:
            try:
                return await call()
            except TenureError as error:
                if not error.retryable:
                    raise
                self.retries += 1

    def _acknowledged(self, task: str, spec: TaskSpec) -> None:
        exclusive = spec.on_disconnect == OnDisconnect.ON_DISCONNECT_STOP
        self._recorder.add(Submitted(at=now(), task=task, exclusive=exclusive, cpu_milli=CPU_MILLI))
        self.submitted.append(task)
        self._start(self._wait(task))
        if self._rng.random() < CANCEL_SHARE:
            self._start(self._cancel(task, self._rng.uniform(0.0, 3.0)))
        if self._rng.random() < FOLLOW_SHARE:
            self._start(self._follow(task))

    def _spec(self) -> TaskSpec:
        long = self._rng.random() < LONG_SHARE
        seconds = self._rng.uniform(4.0, 20.0) if long else self._rng.uniform(0.05, 0.6)
        lines = self._rng.randrange(20, 400) if long else self._rng.randrange(1, 20)
        spec = self._program(seconds, lines)
        if self._rng.random() < EXCLUSIVE_SHARE:
            spec.on_disconnect = OnDisconnect.ON_DISCONNECT_STOP
        return spec

    def _lasting(self, seconds: float) -> TaskSpec:
        return self._program(seconds, self._rng.randrange(20, 400))

    def _program(self, seconds: float, lines: int) -> TaskSpec:
        argv = [sys.executable, "-I", "-S", str(PROGRAM), str(self._ledger), f"{seconds:.2f}", str(lines)]
        return tenure.process(argv, cpu=CPU_MILLI / 1000)

    async def _wait(self, task: str) -> None:
        found = await self._insist(lambda: self._patient.wait(task))
        self._recorder.add(told(found))

    async def _cancel(self, task: str, after: float) -> None:
        await asyncio.sleep(after)
        (result,) = await self._insist(
            lambda: self._rng.choice(self._replicas).cancel(task, reason="fault run")
        )
        self._recorder.add(Cancelled(at=now(), task=task, state=result.state))

    async def _follow(self, task: str) -> None:
        async with self._followers:
            try:
                await self._read(self._patient.follow_logs(task), task, "follower")
            except Unavailable:
                self.retries += 1  # what it saw until then is recorded all the same

    async def _read(self, messages: AsyncIterator[TailLogsResponse], task: str, reader: str) -> None:
        outputs = Outputs(task)
        try:
            async for message in messages:
                outputs.take(message)
        finally:
            for fence, output in outputs.attempts.items():
                self._recorder.add(output.as_read(reader, task, fence))

    # After the faults

    async def settle(self, within: float) -> list[Task]:
        """Let held tasks go and wait until all have ended; the tasks as they stand then."""
        end = time.monotonic() + within
        while True:
            tasks = [task async for task in self._patient.list()]
            held = [task.id for task in tasks if task.state == TaskState.TASK_STATE_QUARANTINED]
            if held:
                await self._patient.release(where=TaskFilter(ids=held))
            ended = all(task.state in TERMINAL for task in tasks)
            if (ended and not self._busy) or time.monotonic() > end:
                return tasks
            await asyncio.sleep(0.5)

    async def look_again(self) -> None:
        """Ask once more how everything ended, and read every log anew."""
        there = []
        async for task in self._patient.list():
            self._recorder.add(told(task, last=True))
            there.append(task.id)
        turn = asyncio.Semaphore(FRESH_READERS)

        async def read(task: str) -> None:
            async with turn:
                await self._read(self._patient.follow_logs(task, follow=False), task, "fresh")

        await asyncio.gather(*map(read, there))


def told(task: Task, *, last: bool = False) -> Told:
    """A scheduler's answer, for the history."""
    return Told(
        at=now(),
        task=task.id,
        state=task.state,
        attempt=task.attempt.number,
        incarnation=Fence.parse(task.attempt.fence).n if task.attempt.fence else 0,
        log_state=task.log_state,
        last=last,
    )


class Output:
    """The lines of one attempt, as runs of numbers."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.reasons: list[str] = []
        self.finished = False

    def gap(self, gap: LogGap) -> None:
        """Bytes that will never come."""
        self.pieces.append(GAP)
        self.reasons.append(f"{gap.from_offset} to {gap.to_offset}: {gap.reason}")

    def line(self, text: bytes, task: str, attempt: int) -> None:
        """One more line; what does not say who it is, is torn."""
        words = text.split()
        body, _, checksum = text.rpartition(b" ")
        own = words[:2] == [task.encode(), str(attempt).encode()]
        if len(words) != 5 or not own or f"{zlib.crc32(body):08x}" != checksum.decode(errors="replace"):
            self.pieces.append(TORN)
            return
        number = int(words[2])
        last = self.pieces[-1] if self.pieces else TORN
        if isinstance(last, tuple) and number == last[1] + 1:
            self.pieces[-1] = (last[0], number)
        else:
            self.pieces.append((number, number))
        self.finished = self.finished or words[3] == b"last"

    def as_read(self, reader: str, task: str, fence: Fence) -> Read:
        """What the reader saw, for the history."""
        return Read(
            reader=reader,
            task=task,
            attempt=fence.attempt,
            incarnation=fence.n,
            pieces=tuple(self.pieces),
            finished=self.finished,
            reasons=tuple(self.reasons),
        )


class Outputs:
    """What one reader sees of all attempts of a task."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._fence = Fence(0, task, 0)
        self.attempts: dict[Fence, Output] = {}

    def take(self, message: TailLogsResponse) -> None:
        """One more message of the tail."""
        match message.WhichOneof("item"):
            case "attempt_begin":
                self._fence = Fence.parse(message.attempt_begin.fence)
                self.attempts.setdefault(self._fence, Output())
            case "lines":
                for entry in message.lines.entries:
                    self.attempts[self._fence].line(entry.text, self._task, self._fence.attempt)
            case "gap":
                self.attempts[self._fence].gap(message.gap)
