"""Real scheduler processes, to be killed, frozen and stopped, and the calls that tests make of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from tenure.v1 import cluster_service_pb2 as cluster_pb
from tenure.v1 import task_service_pb2 as tasks_pb
from tenure.v1 import worker_admin_service_pb2 as workers_pb
from tenure.v1.task_pb2 import Task, TaskFilter, TaskState
from tenure.v1.task_spec_pb2 import CallBody, TaskSpec
from tenure_core.errors import TenureError
from tenure_runtime.rpc.status import from_rpc_error
from tenure_runtime.rpc.transport import create_channel
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

    from tests.support.ports import Ports

NOOP = TaskSpec(call=CallBody(type="noop"))
SUCCEEDED = TaskState.TASK_STATE_SUCCEEDED

_RESPONSES = {
    "tenure.v1.TaskService": tasks_pb,
    "tenure.v1.WorkerAdminService": workers_pb,
    "tenure.v1.ClusterService": cluster_pb,
}


class SchedulerProcess:
    """One replica."""

    def __init__(self, folder: Path, address: str, flags: dict[str, str]) -> None:
        self.address = address
        self.flags = flags
        self.log = folder / f"{address.rpartition(':')[2]}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [word for name, value in self.flags.items() for word in (f"--{name}", value)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),
                    *(sys.executable, "-m", "tenure_scheduler", "--listen", self.address, *words),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        code = self.process.wait(15)
        self.process = None
        return code

    def said(self) -> str:
        return self.log.read_text()


class Schedulers:
    """The replicas of one test's cluster."""

    def __init__(self, ports: Ports, etcd_endpoint: str, cluster: str) -> None:
        self._ports = ports
        self._folder = tempfile.TemporaryDirectory(prefix="tenure-test-scheduler-")
        self._common = {"etcd-endpoints": etcd_endpoint, "cluster": cluster}
        self.processes: list[SchedulerProcess] = []

    def create(self, **flags: str) -> SchedulerProcess:
        named = {name.replace("_", "-"): value for name, value in flags.items()}
        address = f"127.0.0.1:{self._ports.take()}"
        process = SchedulerProcess(Path(self._folder.name), address, {**self._common, **named})
        self.processes.append(process)
        return process

    async def launch(self, **flags: str) -> SchedulerProcess:
        """Start one replica and wait until it answers, itself or through the leader."""
        process = self.create(**flags)
        process.start()
        async with Api(process.address) as api:
            await eventually(lambda: answers(api, process), within=20, what="the scheduler answers")
        return process

    async def pair(self, **flags: str) -> tuple[SchedulerProcess, SchedulerProcess]:
        """A leader and a follower."""
        leader = await self.launch(**flags)
        follower = await self.launch(**flags)
        return leader, follower

    def remove(self) -> None:
        for process in self.processes:
            process.kill()
        self._folder.cleanup()


async def answers(api: Api, process: SchedulerProcess | None = None) -> bool:
    if process is not None:
        assert process.process is not None
        if process.process.poll() is not None:
            raise RuntimeError(f"the scheduler ended: {process.said()[-3000:]}")
    try:
        await api.call("CountTasks", tasks_pb.CountTasksRequest(), timeout=1.0)
    except TenureError:
        return False
    return True


class Api:
    """Calls of one replica; errors are raised as tenure_core.errors."""

    def __init__(self, address: str) -> None:
        self.channel: Any = create_channel(address, own_connection=True)

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.channel.close(None)

    async def call(
        self,
        name: str,
        request: Message | bytes,
        *,
        service: str = "tenure.v1.TaskService",
        timeout: float = 10.0,
    ) -> Any:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        try:
            answer = await self.channel.unary_unary(f"/{service}/{name}")(data, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return getattr(_RESPONSES[service], f"{name}Response").FromString(answer)

    async def submit(self, *specs: TaskSpec, request_id: str = "", timeout: float = 10.0) -> list[str]:
        """Submit tasks; their ids."""
        items = [
            tasks_pb.SubmitTasksItem(spec=spec, request_id=request_id and f"{request_id}{index or ''}")
            for index, spec in enumerate(specs)
        ]
        response = await self.call("SubmitTasks", tasks_pb.SubmitTasksRequest(items=items), timeout=timeout)
        return [result.task_id for result in response.results]

    async def get(self, task_id: str) -> Task:
        task: Task = (await self.call("GetTask", tasks_pb.GetTaskRequest(task_id=task_id))).task
        return task

    async def state(self, task_id: str) -> str:
        return TaskState.Name((await self.get(task_id)).state).removeprefix("TASK_STATE_")

    async def wait(self, *ids: str, timeout: float = 10.0) -> list[Task]:
        request = tasks_pb.WaitTasksRequest(task_ids=ids)
        return list((await self.call("WaitTasks", request, timeout=timeout)).finished)

    async def cancel(self, *ids: str, reason: str = "") -> Any:
        request = tasks_pb.CancelTasksRequest(filter=TaskFilter(ids=ids), reason=reason)
        return (await self.call("CancelTasks", request)).results

    async def history(self, task_id: str) -> tasks_pb.GetTaskHistoryResponse:
        request = tasks_pb.GetTaskHistoryRequest(task_id=task_id)
        history: tasks_pb.GetTaskHistoryResponse = await self.call("GetTaskHistory", request)
        return history

    async def watch(self, **fields: Any) -> AsyncIterator[tasks_pb.WatchTasksResponse]:
        request = tasks_pb.WatchTasksRequest(**fields).SerializeToString()
        call = self.channel.unary_stream("/tenure.v1.TaskService/WatchTasks")(request)
        try:
            async for data in call:
                yield tasks_pb.WatchTasksResponse.FromString(data)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()

    async def workers(self) -> dict[str, workers_pb.Worker]:
        response = await self.call(
            "ListWorkers", workers_pb.ListWorkersRequest(), service="tenure.v1.WorkerAdminService"
        )
        return {worker.name: worker for worker in response.workers}

    async def info(self) -> cluster_pb.GetServerInfoResponse:
        info: cluster_pb.GetServerInfoResponse = await self.call(
            "GetServerInfo", cluster_pb.GetServerInfoRequest(), service="tenure.v1.ClusterService"
        )
        return info
