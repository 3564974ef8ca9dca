"""A scheduler as far as a relay talks to one: a gRPC server that serves the task records that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tenure.dispatch.v1 import log_ingest_service_pb2 as ingest_pb
from tenure.v1 import task_pb2 as task_pb
from tenure.v1 import task_service_pb2 as tasks_pb
from tenure_core.errors import NotFound
from tenure_runtime.rpc.server import Server

NOT_SERVED = "this endpoint only serves what relays ask for"


class SchedulerEndpoint:
    """`TaskService` and `LogStateService` over records in memory."""

    def __init__(self) -> None:
        self.tasks: dict[str, task_pb.Task] = {}
        self.history: dict[str, dict[int, task_pb.Attempt]] = {}
        self.reported: dict[str, ingest_pb.AttemptLogState] = {}
        self.watches = 0
        self.refuse_reports = False
        self._changed: set[asyncio.Event] = set()
        self._server: Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Serve; the second time on the port of the first."""
        self._server = Server()
        tasks = tasks_pb.DESCRIPTOR.services_by_name["TaskService"]
        self._server.add(tasks, self, unimplemented=NOT_SERVED)
        self._server.add(ingest_pb.DESCRIPTOR.services_by_name["LogStateService"], self)
        (self.port,) = await self._server.start([f"127.0.0.1:{self.port}"])

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=0.0)
            self._server = None

    def set(self, task_id: str, state: int, attempt: int = 0, **fields: Any) -> None:
        """Commit a new state of a task; `fields` belong to its newest attempt."""
        outcome = fields.get("outcome", 0)
        task = task_pb.Task(id=task_id, state=state, log_state=task_pb.LOG_STATE_OPEN)  # type: ignore[arg-type]
        if attempt:
            record = task_pb.Attempt(number=attempt, fence=f"1.{task_id}.{attempt}", worker="w1", **fields)
            self.history.setdefault(task_id, {})[attempt] = record
            task.attempt.CopyFrom(record)
        if state in (task_pb.TASK_STATE_SUCCEEDED, task_pb.TASK_STATE_FAILED, task_pb.TASK_STATE_CANCELLED):
            task.outcome = outcome
            if not (fields.get("stdout_bytes") or fields.get("stderr_bytes")):
                task.log_state = task_pb.LOG_STATE_COMPLETE
            if "exit_code" in fields:
                task.exit_code = fields["exit_code"]
        self.tasks[task_id] = task
        self._tell()

    def judge_log(self, task_id: str, log_state: int) -> None:
        """Commit what the scheduler holds of a task's log."""
        self.tasks[task_id].log_state = log_state  # type: ignore[assignment]
        self._tell()

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()

    async def GetTask(self, request: tasks_pb.GetTaskRequest, call: Any) -> tasks_pb.GetTaskResponse:
        matching = [task for key, task in self.tasks.items() if key.startswith(request.task_id)]
        if len(matching) != 1:
            raise NotFound(kind="task", name=request.task_id)
        return tasks_pb.GetTaskResponse(task=matching[0])

    async def GetTaskHistory(
        self, request: tasks_pb.GetTaskHistoryRequest, call: Any
    ) -> tasks_pb.GetTaskHistoryResponse:
        attempts = self.history.get(request.task_id, {})
        return tasks_pb.GetTaskHistoryResponse(
            task_id=request.task_id, attempts=[attempts[number] for number in sorted(attempts)]
        )

    async def WatchTasks(
        self, request: tasks_pb.WatchTasksRequest, call: Any
    ) -> AsyncIterator[tasks_pb.WatchTasksResponse]:
        changed = asyncio.Event()
        self._changed.add(changed)
        self.watches += 1
        sent: dict[str, bytes] = {}
        try:
            while True:
                changed.clear()
                wanted = [self.tasks[i] for i in request.filter.ids if i in self.tasks]
                new = [task for task in wanted if sent.get(task.id) != task.SerializeToString()]
                sent.update({task.id: task.SerializeToString() for task in new})
                yield tasks_pb.WatchTasksResponse(tasks=new, synced=True)
                await changed.wait()
        finally:
            self._changed.discard(changed)
            self.watches -= 1

    async def ReportLogState(
        self, request: ingest_pb.ReportLogStateRequest, call: Any
    ) -> ingest_pb.ReportLogStateResponse:
        if self.refuse_reports:
            raise NotFound("not now")
        for state in request.attempts:
            self.reported[state.fence] = state
        return ingest_pb.ReportLogStateResponse()
