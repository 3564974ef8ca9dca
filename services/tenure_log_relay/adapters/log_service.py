"""How do readers reach the relay?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.v1.log_service_pb2 import (
    ListLogStreamsRequest,
    ListLogStreamsResponse,
    LogStream,
    TailLogsRequest,
)
from tenure_core.errors import InvalidArgument, NotFound, Violation
from tenure_core.ids import is_prefix
from tenure_log_relay.adapters.tail import Tail
from tenure_log_relay.adapters.tail_request import checked
from tenure_log_relay.domain.position import is_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tenure_log_relay.adapters.scheduler import SchedulerTasks
    from tenure_log_relay.adapters.storage.attempt import AttemptLog
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_runtime.rpc.call import Call


class Logs:
    """`tenure.v1.LogService`."""

    def __init__(self, log: SegmentLog, scheduler: SchedulerTasks) -> None:
        self._log = log
        self._scheduler = scheduler

    async def TailLogs(self, request: TailLogsRequest, call: Call) -> AsyncIterator[bytes]:  # noqa: N802
        """History, then live output."""
        await call.send_headers()
        async for message in Tail(self._log, self._scheduler, checked(request)).messages():
            yield message

    async def ListLogStreams(self, request: ListLogStreamsRequest, call: Call) -> ListLogStreamsResponse:  # noqa: N802
        """What is committed of a task's streams."""
        if not is_prefix(request.task_id):
            raise InvalidArgument(
                violations=(Violation("task_id", "a task id or a prefix of one is needed"),)
            )
        tasks = [task for task in self._log.tasks if task.startswith(request.task_id)]
        if request.task_id in self._log.tasks:
            tasks = [request.task_id]
        if len(tasks) > 1:
            raise InvalidArgument(violations=(Violation("task_id", f"{len(tasks)} tasks begin like this"),))
        if not tasks:
            raise NotFound(f"this relay has no output of task {request.task_id}")
        streams = [stream for attempt in self._log.tasks[tasks[0]] for stream in _streams(attempt)]
        return ListLogStreamsResponse(streams=streams)


def _streams(attempt: AttemptLog) -> list[LogStream]:
    return [
        LogStream(
            fence=attempt.key,
            channel=channel,  # type: ignore[arg-type]
            committed_offset=committed,
            missing_bytes=missing,
        )
        for channel, (committed, missing) in enumerate(
            zip(attempt.committed.offsets, attempt.missing, strict=True), 1
        )
        if is_channel(channel) and committed
    ]
