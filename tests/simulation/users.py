"""What do users ask for, and is what they are told true?

They submit with request ids through any replica and repeat what was not answered, cancel some tasks, wait and
look. Every answer is held against what is committed at that moment: nothing may be told that a crash of the
teller could make untrue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from tenure.v1 import log_service_pb2 as logs_pb
from tenure.v1 import task_service_pb2 as pb
from tenure.v1 import task_spec_pb2 as spec_pb
from tenure_core.states import TERMINAL, TaskState
from tests.simulation.calls import Channel
from tests.simulation.eras import Era
from tests.simulation.network import Network
from tests.simulation.output import Reading
from tests.simulation.schedulers import RESPONSES
from tests.simulation.world import Host, Process, World

if TYPE_CHECKING:
    from tests.simulation.record import Record

RELAY: Final = "r1:7430"
SERVICE: Final = "/tenure.v1.TaskService/"
GIVE_UP: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
)
_HELD: Final = TaskState.QUARANTINED


class TakenBack(Exception):
    """A restore undid what a call is about."""


@dataclass
class Told:
    """What users were told, with the store's revision when they were."""

    submitted: dict[str, str] = field(default_factory=dict)
    """Request id → task id, of acknowledged submissions."""
    cancelled: dict[str, int] = field(default_factory=dict)
    """Task id → revision at which its cancellation was acknowledged."""
    calls: int = 0
    failed: int = 0
    """Calls that had to be repeated."""

    def restored(self, era: Era, revision: int) -> None:
        """The store went back: cancellations that the backup has not are gone, the others older than it."""
        self.cancelled = {
            task_id: min(told, revision) for task_id, told in self.cancelled.items() if ends(task_id, era)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What users submit."""

    tasks: int
    within: float = 10.0
    """Seconds over which the submissions are spread."""
    noops: float = 0.25
    exclusive: float = 0.35
    durations: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0, 3.0, 8.0)
    lines: int = 0
    """Lines that a process writes at most; some of its readers are there from the start."""


class Users:
    """One process that does all of it."""

    def __init__(
        self, world: World, network: Network, addresses: list[str], record: Record, load: Load
    ) -> None:
        self.world = world
        self.network = network
        self.told = Told()
        self.violations: list[str] = []
        self.readings: dict[str, list[Reading]] = {}
        self.process = Process(world, "users", Host(world, "users"))
        self._addresses = addresses
        self._record = record
        self._random = world.random
        self._load = load
        self._counter = 0
        self.done = False
        self.process.start(self._live())

    async def _live(self) -> None:
        batches: list[int] = []
        left = self._load.tasks
        while left:
            batches.append(min(left, self._random.choice((1, 1, 2, 5, 10, 20))))
            left -= batches[-1]
        jobs = [asyncio.create_task(self._batch(size)) for size in batches]
        await asyncio.gather(*jobs)
        self.done = True

    async def _batch(self, size: int) -> None:
        await asyncio.sleep(self._random.uniform(0.0, self._load.within))
        request = pb.SubmitTasksRequest()
        for _ in range(size):
            self._counter += 1
            request.items.add(request_id=f"request-{self._counter}", spec=self._spec())
        if self._random.random() < 0.3:
            request.wait.FromMilliseconds(self._random.randrange(100, 5000))
        response, since = await self._call("SubmitTasks", request)
        ids = []
        for item, result in zip(request.items, response.results, strict=True):
            self._acknowledged(item.request_id, result, since)
            ids.append(result.task_id)
            if result.HasField("finished"):
                self._is_true("SubmitTasks", result.finished, since)
        if self._load.lines and self._random.random() < 0.4:
            self.process.start(self.read(self._random.choice(ids)))
        if self._random.random() < 0.2:
            await self._cancel(self._random.choice(ids))
        if self._random.random() < 0.5:
            await self._wait(ids)

    def _spec(self) -> spec_pb.TaskSpec:
        random = self._random
        spec = spec_pb.TaskSpec()
        load = self._load
        if random.random() < load.noops:
            spec.call.type = "noop"
            return spec
        seconds = random.choice(load.durations) * random.uniform(0.5, 1.5)
        code = random.choice((0, 0, 0, 0, 1))
        spec.process.argv.extend(["run", f"{seconds:.3f}", str(code)])
        if load.lines:
            spec.process.argv.append(str(random.randint(0, load.lines)))
        spec.resources.cpu_milli = random.choice((250, 500, 1000, 2000))
        if random.random() < load.exclusive:
            spec.on_disconnect = spec_pb.ON_DISCONNECT_STOP
        if random.random() < 0.5:
            spec.retry.max_failures = 2
            spec.retry.initial_backoff.FromMilliseconds(300)
        return spec

    # --- calls ---------------------------------------------------------------------------------------------

    async def _call(self, method: str, request: Any, about: Iterable[str] = ()) -> tuple[Any, int]:
        """Ask any replica until one answers; also the earliest era that the answer may be of.

        Raises TakenBack when a restore undid one of the tasks that it is `about`.
        """
        path = SERVICE + method
        while True:
            if self._record.eras.taken_back.intersection(about):
                raise TakenBack
            since = self._record.eras.since()
            channel = Channel(self.network, self.process, self._random.choice(self._addresses))
            self.told.calls += 1
            try:
                data = await channel.unary_unary(path)(request.SerializeToString(), timeout=5.0)
            except grpc.aio.AioRpcError as error:
                self.told.failed += 1
                if error.code() in GIVE_UP:
                    self.violations.append(f"{method}: {error.code().name} {error.details()}")
                await asyncio.sleep(self._random.uniform(0.05, 0.5))
                continue
            return RESPONSES[path].FromString(data), since

    def _acknowledged(self, request_id: str, result: Any, since: int) -> None:
        if not result.task_id:
            self.violations.append(f"submission {request_id} was answered {result.error}")
            return
        self.told.submitted[request_id] = result.task_id
        if not self._record.eras.ever(since, lambda era: result.task_id in era.tasks):
            self.violations.append(f"{request_id} was acknowledged, but {result.task_id} is not committed")

    async def _cancel(self, task_id: str) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 5.0))
        request = pb.CancelTasksRequest(reason="no longer wanted")
        request.filter.ids.append(task_id)
        try:
            response, since = await self._call("CancelTasks", request, [task_id])
        except TakenBack:
            return
        eras = self._record.eras
        for result in response.results:
            is_ending = partial(ends, result.task_id)
            if not eras.ever(since, is_ending):
                self.violations.append(f"cancel of {task_id} was acknowledged and is not committed")
            elif is_ending(eras.now):
                self.told.cancelled.setdefault(task_id, self._record.revision)

    async def _wait(self, ids: list[str]) -> None:
        while ids:
            request = pb.WaitTasksRequest(task_ids=ids)
            request.timeout.FromSeconds(3)
            try:
                response, since = await self._call("WaitTasks", request, ids)
            except TakenBack:
                ids = [text for text in ids if text not in self._record.eras.taken_back]
                continue
            for task in response.finished:
                self._is_true("WaitTasks", task, since)
            held = [text for text in response.unfinished if self.is_held(text)]
            ids = [text for text in response.unfinished if text not in held]
            await asyncio.sleep(self._random.uniform(0.0, 3.0))

    @property
    def readers_ended(self) -> bool:
        """Whether everybody who follows a task has come to its end; one that is held has none yet."""
        return all(
            each.ended is not None or self.is_held(task_id)
            for task_id, some in self.readings.items()
            for each in some
        )

    async def read_all(self, ids: list[str]) -> None:
        """Read these tasks from the start to their end."""
        await asyncio.gather(*(asyncio.create_task(self.read(task_id)) for task_id in ids))

    async def read(self, task_id: str) -> None:
        """Follow a task's output to its end, on one stream after the other."""
        reading = Reading(task_id, self.violations)
        self.readings.setdefault(task_id, []).append(reading)
        tail = "/tenure.v1.LogService/TailLogs"
        while reading.ended is None:
            request = logs_pb.TailLogsRequest(task_id=task_id, follow=True, format=logs_pb.LOG_FORMAT_LINES)
            if reading.cursor:
                request.cursor = reading.cursor
            channel = Channel(self.network, self.process, RELAY)
            call = channel.unary_stream(tail, response_deserializer=logs_pb.TailLogsResponse.FromString)(
                request.SerializeToString()
            )
            try:
                async for message in call:
                    reading.take(message)
            except grpc.aio.AioRpcError as error:
                if error.code() in GIVE_UP:
                    self.violations.append(f"TailLogs {task_id}: {error.code().name} {error.details()}")
                    return
            await asyncio.sleep(self._random.uniform(0.1, 1.0))

    def is_held(self, task_id: str) -> bool:
        """Whether it waits for a person, who does not come here."""
        record = self._record.task(task_id)
        return record is None or record.state == _HELD

    def _is_true(self, what: str, task: Any, since: int) -> None:
        """A task was told to be in a final state: that has to be committed."""

        def committed(era: Era) -> bool:
            record = era.task(task.id)
            return record is not None and bool(record.state == task.state)

        if not self._record.eras.ever(since, committed):
            record = self._record.task(task.id)
            found = TaskState(record.state).name if record is not None else "not committed"
            told = TaskState(task.state).name
            self.violations.append(f"{what} told that {task.id} is {told}, it is {found}")


def ends(task_id: str, era: Era) -> bool:
    """Whether a task has ended, or is to."""
    record = era.task(task_id)
    return record is not None and bool(record.cancelling or record.state in TERMINAL)
