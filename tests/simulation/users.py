"""What do users ask for, and is what they are told true?

They submit with request ids through any replica and repeat what was not answered, cancel some tasks, wait and
look. Every answer is held against what is committed at that moment: nothing may be told that a crash of the
teller could make untrue.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from tenure.v1 import log_service_pb2 as logs_pb
from tenure.v1 import task_service_pb2 as pb
from tenure.v1 import task_spec_pb2 as spec_pb
from tenure_core.states import TERMINAL, TaskState
from tests.simulation.calls import Channel
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
        response = await self._call("SubmitTasks", request)
        ids = []
        for item, result in zip(request.items, response.results, strict=True):
            self._acknowledged(item.request_id, result)
            ids.append(result.task_id)
            if result.HasField("finished"):
                self._is_true("SubmitTasks", result.finished)
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

    async def _call(self, method: str, request: Any) -> Any:
        """Ask any replica until one answers."""
        path = SERVICE + method
        while True:
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
            return RESPONSES[path].FromString(data)

    def _acknowledged(self, request_id: str, result: Any) -> None:
        if not result.task_id:
            self.violations.append(f"submission {request_id} was answered {result.error}")
            return
        self.told.submitted[request_id] = result.task_id
        if self._record.task(result.task_id) is None:
            self.violations.append(f"{request_id} was acknowledged, but {result.task_id} is not committed")

    async def _cancel(self, task_id: str) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 5.0))
        request = pb.CancelTasksRequest(reason="no longer wanted")
        request.filter.ids.append(task_id)
        response = await self._call("CancelTasks", request)
        for result in response.results:
            record = self._record.task(result.task_id)
            if record is None or not (record.cancelling or record.state in TERMINAL):
                self.violations.append(f"cancel of {task_id} was acknowledged and is not committed")
            self.told.cancelled.setdefault(task_id, self._record.revision)

    async def _wait(self, ids: list[str]) -> None:
        while ids:
            request = pb.WaitTasksRequest(task_ids=ids)
            request.timeout.FromSeconds(3)
            response = await self._call("WaitTasks", request)
            for task in response.finished:
                self._is_true("WaitTasks", task)
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

    def _is_true(self, what: str, task: Any) -> None:
        """A task was told to be in a final state: that has to be committed."""
        record = self._record.task(task.id)
        if record is None:
            self._record.excuse_or(self.violations, f"{what} told of {task.id}, which is not committed")
        elif record.state != task.state:
            state = TaskState(record.state).name
            self._record.excuse_or(
                self.violations, f"{what} told that {task.id} is {TaskState(task.state).name}, it is {state}"
            )
