"""How does a real scheduler replica run in the simulation?

`Replica`, with everything below it down to the messages of etcd, and the services that agents, relays and
users call. Only the gRPC server between is replaced: a call is a message on the simulated network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from google.protobuf.message_factory import GetMessageClass

from tenure.dispatch.v1 import log_ingest_service_pb2 as ingest_pb
from tenure.dispatch.v1 import worker_session_service_pb2 as session_pb
from tenure.v1 import cluster_service_pb2, log_service_pb2, task_service_pb2, worker_admin_service_pb2
from tenure_core.errors import TenureError
from tenure_runtime.etcd import high_water
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.leadership import boottime
from tenure_runtime.rpc.call import Call
from tenure_runtime.rpc.forward import ForwardedError, forward_many, forward_one
from tenure_runtime.rpc.status import to_abort
from tenure_runtime.startup import CannotStart
from tenure_runtime.telemetry import Telemetry
from tenure_runtime.watchdog import LoopWatch
from tenure_scheduler.adapters import cluster_services as cluster
from tenure_scheduler.adapters.measures import Measures
from tenure_scheduler.adapters.session_service import SessionService
from tenure_scheduler.adapters.task_service import TaskService
from tenure_scheduler.adapters.worker_admin import WorkerAdminService
from tenure_scheduler.config import SchedulerConfig
from tenure_scheduler.domain import commands as c
from tenure_scheduler.replica import Replica
from tenure_scheduler.shell import Shell
from tests.simulation.calls import Channel
from tests.simulation.etcd_cluster import Cluster
from tests.simulation.network import End, Network
from tests.simulation.record import Record
from tests.simulation.world import Process

_SERVICES: Final = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"],
    worker_admin_service_pb2.DESCRIPTOR.services_by_name["WorkerAdminService"],
    cluster_service_pb2.DESCRIPTOR.services_by_name["ClusterService"],
    session_pb.DESCRIPTOR.services_by_name["WorkerSessionService"],
    ingest_pb.DESCRIPTOR.services_by_name["LogStateService"],
    ingest_pb.DESCRIPTOR.services_by_name["LogIngestService"],
    log_service_pb2.DESCRIPTOR.services_by_name["LogService"],
)
REQUESTS: Final[dict[str, Any]] = {
    f"/{service.full_name}/{method.name}": GetMessageClass(method.input_type)
    for service in _SERVICES
    for method in service.methods
}
RESPONSES: Final[dict[str, Any]] = {
    f"/{service.full_name}/{method.name}": GetMessageClass(method.output_type)
    for service in _SERVICES
    for method in service.methods
}


class SimulatedReplica(Replica):
    """A replica whose ways to the others lead over the simulated network."""

    network: Network
    process: Process

    def _channel(self, address: str) -> Any:
        channel = self._channels.get(address)
        if channel is None:
            simulated: Any = Channel(self.network, self.process, address)
            channel = self._channels[address] = simulated
        return channel


class WatchedShell(Shell):
    """One leadership's loop; also checks that STOP and FENCED leave only after a later commit."""

    def __init__(self, *parts: Any, record: Record) -> None:
        super().__init__(*parts)
        self._record = record
        process = record.world.current
        self._reign = (process.name if process is not None else "", self.core.world.epoch)
        self._decided: dict[int, float] = {}

    def _take(self, command: c.Command, mark: int) -> None:
        if type(command) is c.SendCommands and (command.stops or command.fenced):
            self._decided[id(command)] = self._record.world.now
        super()._take(command, mark)

    def _leave(self, command: Any) -> None:
        decided = self._decided.pop(id(command), None)
        if decided is not None and self._record.committed_at.get(self._reign, 0.0) < decided:
            name, epoch = self._reign
            self._record.violations.append(
                f"{command.worker} was told to stop something without proof that {name} leads epoch {epoch}"
            )
        super()._leave(command)


class _Context:
    """What a call asks of gRPC."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else self._deadline - boottime()

    def peer(self) -> str:
        return "simulated"

    def cancelled(self) -> bool:
        return False

    def set_trailing_metadata(self, trailers: Any) -> None:
        """Nobody reads them."""

    async def send_initial_metadata(self, headers: Any) -> None:
        """Nobody waits for them."""


def call_of(method: str, timeout: float | None, metadata: Any) -> Call:
    """The call as a servicer sees it."""
    context: Any = _Context(None if timeout is None else boottime() + timeout)
    call = Call(method, context, tuple(metadata))
    call.hops = int(call.value("tenure-hops") or 0)
    return call


class Server:
    """What a process answers: the services by method, one task for each call."""

    def __init__(self, process: Process, network: Network, address: str, *services: Any) -> None:
        self.process = process
        self._services = services
        network.listen(address, self)

    async def route(self, method: str) -> Any:
        """The channel to whoever serves this method; None: it is served here."""
        return None

    def _handler(self, method: str) -> Any:
        name = method.rpartition("/")[2]
        return next(getattr(each, name) for each in self._services if hasattr(each, name))

    def unary(
        self, method: str, end: End, timeout: float | None, metadata: Any
    ) -> Callable[[str, Any], None]:
        """Take one call."""
        task: asyncio.Task[None] | None = None

        def receive(kind: str, payload: Any) -> None:
            nonlocal task
            if kind == "request":
                task = self.process.start(self._one(method, payload, end, timeout, metadata))
            elif task is not None:
                task.cancel()

        return receive

    async def _one(self, method: str, request: bytes, end: End, timeout: float | None, metadata: Any) -> None:
        call = call_of(method, timeout, metadata)
        try:
            ahead = await self.route(method)
            if ahead is not None:
                end.send("answer", await forward_one(ahead, call, request))
                return
            response = await self._handler(method)(REQUESTS[method].FromString(request), call)
            end.send("answer", response.SerializeToString())
        except TenureError as error:
            end.send("error", to_abort(error))
        except ForwardedError as error:
            end.send("error", (error.code, error.details, error.trailers))

    def stream(self, method: str, end: End, metadata: Any) -> Callable[[str, Any], None]:
        """Take one bidirectional stream."""
        requests: asyncio.Queue[Any] = asyncio.Queue()
        task: asyncio.Task[None] | None = None

        def receive(kind: str, payload: Any) -> None:
            nonlocal task
            if kind == "open":
                task = self.process.start(self._many(method, payload, requests, end, metadata))
            elif kind == "message":
                requests.put_nowait(payload)
            elif kind == "half":
                requests.put_nowait(None)
            elif task is not None:
                # A reset ends the request stream first, as if in order; the call is cancelled right after.
                requests.put_nowait(None)
                self.process.loop.call_later(0.001, task.cancel)

        return receive

    async def _many(
        self, method: str, only: bytes | None, queue: asyncio.Queue[Any], end: End, metadata: Any
    ) -> None:
        """Answer with a stream: to one request (`only`), or to a stream of them."""
        call = call_of(method, None, metadata)

        async def requests() -> AsyncIterator[Any]:
            while (data := await queue.get()) is not None:
                yield request.FromString(data)

        try:
            ahead = await self.route(method)
            if ahead is not None and only is not None:
                answers: Any = forward_many(ahead, call, only)
            else:
                handler = self._handler(method)
                request: Any = getattr(handler, "request_type", REQUESTS.get(method))
                answers = handler(requests() if only is None else request.FromString(only), call)
            async for message in answers:
                end.send("message", message if isinstance(message, bytes) else message.SerializeToString())
        except TenureError as error:
            end.send("error", to_abort(error))
        except ForwardedError as error:
            end.send("error", (error.code, error.details, error.trailers))
        else:
            end.send("end")


class Scheduler(Server):
    """One replica's process."""

    def __init__(
        self,
        process: Process,
        network: Network,
        etcd: Cluster,
        config: SchedulerConfig,
        gave_up: Callable[[Scheduler, str], None],
    ) -> None:
        self.address = f"{process.name}:7420"
        self.name = process.name
        self._gave_up = gave_up
        with process.entered():
            self.client = etcd.client(process)
            self.replica = replica = SimulatedReplica(
                config, self.client, Measures(Telemetry()), version="simulated"
            )
            self.replica.network, self.replica.process = network, process
            replica.settle(process.name, self.address)
            self._watch = LoopWatch()
            self._watch.on_stall(replica.stalled)
            self._watch.start()
        super().__init__(
            process,
            network,
            self.address,
            TaskService(replica),
            WorkerAdminService(replica),
            cluster.ClusterService(replica, version="simulated", cluster=config.cluster),
            SessionService(replica),
            cluster.LogStateService(replica),
        )
        self._life = process.start(replica.run())
        process.start(self._guarded(Keys(config.cluster)))

    async def _guarded(self, keys: Keys) -> None:
        """As `tenure_runtime.supervise`: whatever gives up ends the process, in order."""
        try:
            await high_water.guard(self.client, keys, f"scheduler {self.name}")
        except CannotStart as error:
            self._gave_up(self, str(error))
            await self._stop()

    async def route(self, method: str) -> Any:
        return await self.replica.route(method)

    def stop(self) -> None:
        """End in order, as by SIGTERM."""
        self.process.start(self._stop())

    async def _stop(self) -> None:
        self.replica.stopping.set()
        self.replica.changed.set()
        await asyncio.gather(self._life, return_exceptions=True)
        await self.replica.close()
        self.process.kill()
