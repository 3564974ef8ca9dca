"""A task service and a log service that hold everything in memory: real sockets, no scheduler behind them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from tenure.v1 import cluster_service_pb2 as cluster
from tenure.v1 import cluster_service_pb2_grpc as cluster_grpc
from tenure.v1 import log_service_pb2 as logs
from tenure.v1 import log_service_pb2_grpc as logs_grpc
from tenure.v1 import task_pb2, task_service_pb2_grpc
from tenure.v1 import task_service_pb2 as tasks
from tenure_core import errors
from tenure_runtime.rpc.status import to_abort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Store:
    """What the servers of one test know together."""

    tasks: dict[str, task_pb2.Task] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    batches: list[int] = field(default_factory=list)
    failures: list[errors.TenureError] = field(default_factory=list)
    """Raised by the next calls, one each, before they do anything."""
    after_effect: list[errors.TenureError] = field(default_factory=list)
    """Raised by the next submissions after they were carried out."""
    relays: list[str] = field(default_factory=list)
    output: dict[str, bytes] = field(default_factory=dict)
    watch_tokens: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def finish(self, task_id: str) -> None:
        self.tasks[task_id].state = task_pb2.TASK_STATE_SUCCEEDED
        async with self.changed:
            self.changed.notify_all()


async def refuse(context: Context, error: errors.TenureError) -> None:
    code, message, trailers = to_abort(error)
    await context.abort(code, message, trailers)


class SmallTaskService(task_service_pb2_grpc.TaskServiceServicer):
    def __init__(self, store: Store, finish_at_once: bool = True) -> None:
        self.store = store
        self.finish_at_once = finish_at_once

    async def _count(self, name: str, context: Context) -> None:
        self.store.calls[name] += 1
        if self.store.failures:
            await refuse(context, self.store.failures.pop(0))

    async def SubmitTasks(
        self, request: tasks.SubmitTasksRequest, context: Context
    ) -> tasks.SubmitTasksResponse:
        await self._count("SubmitTasks", context)
        bad = [
            errors.Violation(f"items[{n}].spec.process.argv", "must not be empty")
            for n, item in enumerate(request.items)
            if item.spec.HasField("process") and not item.spec.process.argv
        ]
        if bad:
            await refuse(context, errors.InvalidArgument(violations=tuple(bad)))
        self.store.batches.append(len(request.items))
        response = tasks.SubmitTasksResponse()
        for item in request.items:
            task_id = hashlib.sha256(item.request_id.encode()).hexdigest()[:20]
            created = task_id not in self.store.tasks
            if created:
                state = task_pb2.TASK_STATE_SUCCEEDED if self.finish_at_once else task_pb2.TASK_STATE_PENDING
                self.store.tasks[task_id] = task_pb2.Task(id=task_id, state=state, request_id=item.request_id)
            response.results.add(task_id=task_id, created=created)
        if self.store.after_effect:
            await refuse(context, self.store.after_effect.pop(0))
        if request.HasField("wait"):
            await self._wait(response, request.wait.ToNanoseconds() / 1e9)
        return response

    async def _wait(self, response: tasks.SubmitTasksResponse, seconds: float) -> None:
        found = [self.store.tasks[result.task_id] for result in response.results]

        def ended() -> bool:
            return all(task.state == task_pb2.TASK_STATE_SUCCEEDED for task in found)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self.store.changed:
                await self.store.changed.wait_for(ended)
        for result, task in zip(response.results, found, strict=True):
            if task.state == task_pb2.TASK_STATE_SUCCEEDED:
                result.finished.CopyFrom(task)

    async def WaitTasks(self, request: tasks.WaitTasksRequest, context: Context) -> tasks.WaitTasksResponse:
        await self._count("WaitTasks", context)
        for task_id in request.task_ids:
            if task_id not in self.store.tasks:
                await refuse(context, errors.NotFound(kind="task", name=task_id))

        def finished() -> list[task_pb2.Task]:
            found = [self.store.tasks[i] for i in request.task_ids]
            return [task for task in found if task.state == task_pb2.TASK_STATE_SUCCEEDED]

        def enough() -> bool:
            wanted = 1 if request.mode == tasks.WAIT_MODE_ANY else len(request.task_ids)
            return len(finished()) >= wanted

        async with self.store.changed:
            await self.store.changed.wait_for(enough)
        ended = finished()
        ids = {task.id for task in ended}
        return tasks.WaitTasksResponse(
            finished=ended, unfinished=[i for i in request.task_ids if i not in ids]
        )

    async def GetTask(self, request: tasks.GetTaskRequest, context: Context) -> tasks.GetTaskResponse:
        await self._count("GetTask", context)
        found = [task for i, task in self.store.tasks.items() if i.startswith(request.task_id)]
        if not found:
            await refuse(context, errors.NotFound(kind="task", name=request.task_id))
        return tasks.GetTaskResponse(task=found[0])

    async def ListTasks(self, request: tasks.ListTasksRequest, context: Context) -> tasks.ListTasksResponse:
        await self._count("ListTasks", context)
        start = int(request.page_token or 0)
        found = list(self.store.tasks.values())
        more = start + request.page_size < len(found)
        return tasks.ListTasksResponse(
            tasks=found[start : start + request.page_size],
            next_page_token=str(start + request.page_size) if more else "",
        )

    async def WatchTasks(
        self, request: tasks.WatchTasksRequest, context: Context
    ) -> AsyncIterator[tasks.WatchTasksResponse]:
        self.store.watch_tokens.append(request.resume_token)
        await self._count("WatchTasks", context)
        start = int(request.resume_token or 0)
        for number in range(start + 1, start + 3):
            yield tasks.WatchTasksResponse(
                tasks=[task_pb2.Task(id=str(number))], resume_token=str(number), synced=True
            )
        await refuse(context, errors.Unavailable("the lead moved"))


class SmallClusterService(cluster_grpc.ClusterServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    async def GetServerInfo(
        self, request: cluster.GetServerInfoRequest, context: Context
    ) -> cluster.GetServerInfoResponse:
        self.store.calls["GetServerInfo"] += 1
        return cluster.GetServerInfoResponse(
            log_relays=[cluster.Endpoint(id=address, address=address) for address in self.store.relays]
        )


class SmallLogService(logs_grpc.LogServiceServicer):
    """Serves each byte as one chunk; `cut_after` bytes of one call it breaks the stream off."""

    def __init__(self, store: Store, cut_after: int = 1 << 60) -> None:
        self.store = store
        self.cut_after = cut_after

    async def TailLogs(
        self, request: logs.TailLogsRequest, context: Context
    ) -> AsyncIterator[logs.TailLogsResponse]:
        self.store.calls["TailLogs"] += 1
        data = self.store.output[request.task_id]
        for sent, offset in enumerate(range(int(request.cursor or 0), len(data))):
            if sent == self.cut_after:
                await refuse(context, errors.Unavailable("going away"))
            yield logs.TailLogsResponse(
                cursor=str(offset + 1), chunk=logs.LogChunk(offset=offset, data=data[offset : offset + 1])
            )
        if request.follow:
            yield logs.TailLogsResponse(
                cursor=str(len(data)), end=logs.LogEnd(state=task_pb2.TASK_STATE_SUCCEEDED, exit_code=0)
            )


class Running:
    """Servers of one test, each on its own port."""

    def __init__(self) -> None:
        self.store = Store()
        self._servers: dict[str, grpc.aio.Server] = {}

    async def scheduler(self, *, finish_at_once: bool = True, port: int = 0) -> str:
        def add(server: grpc.aio.Server) -> None:
            service = SmallTaskService(self.store, finish_at_once)  # type: ignore[abstract]
            task_service_pb2_grpc.add_TaskServiceServicer_to_server(service, server)
            info = SmallClusterService(self.store)  # type: ignore[abstract]
            cluster_grpc.add_ClusterServiceServicer_to_server(info, server)

        return await self._start(add, port)

    async def relay(self, *, cut_after: int = 1 << 60, port: int = 0) -> str:
        def add(server: grpc.aio.Server) -> None:
            service = SmallLogService(self.store, cut_after)  # type: ignore[abstract]
            logs_grpc.add_LogServiceServicer_to_server(service, server)

        address = await self._start(add, port)
        if address not in self.store.relays:
            self.store.relays.append(address)
        return address

    async def stop(self, address: str) -> int:
        await self._servers.pop(address).stop(None)
        return int(address.rpartition(":")[2])

    async def stop_all(self) -> None:
        for address in list(self._servers):
            await self.stop(address)

    async def _start(self, add: Callable[[grpc.aio.Server], None], port: int) -> str:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add(server)
        address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
        await server.start()
        self._servers[address] = server
        return address
