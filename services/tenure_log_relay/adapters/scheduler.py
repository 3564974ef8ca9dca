"""What does the scheduler say of the tasks whose logs are being followed?

One watch serves all readers of the relay: tasks that are followed newly within a few milliseconds share a
stream, and when there are several streams they are joined into one. A watch that breaks is opened again for
as long as anybody follows. A task needs no watch once it is terminal and the scheduler has judged its log.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc

from tenure.v1.task_pb2 import (
    LOG_STATE_OPEN,
    TASK_STATE_CANCELLED,
    TASK_STATE_FAILED,
    TASK_STATE_SUCCEEDED,
    Task,
    TaskFilter,
)
from tenure.v1.task_service_pb2 import (
    GetTaskHistoryRequest,
    GetTaskRequest,
    WatchTasksRequest,
    WatchTasksResponse,
)
from tenure.v1.task_service_pb2_grpc import TaskServiceStub
from tenure_core.errors import TenureError
from tenure_log_relay.adapters.storage.attempt import Signal
from tenure_log_relay.domain.ending import AttemptFacts
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.rpc.status import from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Sequence

TERMINAL: Final = frozenset({TASK_STATE_SUCCEEDED, TASK_STATE_FAILED, TASK_STATE_CANCELLED})
LOST: Final = 6
GATHER_SECONDS: Final = 0.01
MOST_STREAMS: Final = 6
MOST_IDS: Final = 1_000
ASK_SECONDS: Final = 5.0
_log = get_logger("scheduler")


class FollowedTask:
    """One task, as far as the scheduler's answers have reached this relay."""

    __slots__ = ("changed", "followers", "history", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.history: dict[int, AttemptFacts] = {}
        """Attempts by number."""
        self.changed = Signal()
        self.followers = 0

    @property
    def terminal(self) -> bool:
        return self.task.state in TERMINAL

    @property
    def settled(self) -> bool:
        """Whether nothing of the task changes any more, the scheduler's word on its log included."""
        return self.terminal and self.task.log_state > LOG_STATE_OPEN

    @property
    def attempts(self) -> list[AttemptFacts]:
        return [self.history[number] for number in sorted(self.history)]

    def update(self, task: Task) -> bool:
        """Take a newer state; True when attempts in between are not known yet."""
        if (self.terminal and task.state not in TERMINAL) or task.attempt.number < self.task.attempt.number:
            return False
        self.task = task
        newest = task.attempt.number
        if newest:
            self.history[newest] = facts_of(task.attempt)
        self.changed.notify()
        return any(
            number not in self.history or not self.history[number].ended for number in range(1, newest)
        )


def facts_of(attempt: Any) -> AttemptFacts:
    """The scheduler's record of an attempt, as the domain reads it."""
    return AttemptFacts(
        attempt.number,
        attempt.fence,
        attempt.worker,
        attempt.outcome,
        attempt.outcome == LOST,
        (attempt.stdout_bytes, attempt.stderr_bytes, 0),
        attempt.ended_at.ToNanoseconds(),
    )


class SchedulerTasks:
    """The relay's view of the tasks that somebody follows."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = TaskServiceStub(channel)
        self._followed: dict[str, FollowedTask] = {}
        self._new: list[str] = []
        self._wake = asyncio.Event()
        self._streams: list[asyncio.Task[None]] = []
        self._ids: dict[asyncio.Task[None], list[str]] = {}

    async def look_up(self, task_id: str) -> FollowedTask:
        """The present state of a task, with its attempts.

        Raises NotFound, or Unavailable without a scheduler.
        """
        task = (await self._ask(self._stub.GetTask, GetTaskRequest(task_id=task_id))).task
        followed = self._followed.get(task.id)
        if followed is None:
            followed = FollowedTask(task)
        if followed.update(task):
            await self._history(followed)
        return followed

    def follow(self, followed: FollowedTask) -> FollowedTask:
        """Keep a task up to date until `unfollow`.

        Returns the one that is, which others may follow as well.
        """
        followed = self._followed.setdefault(followed.task.id, followed)
        followed.followers += 1
        if followed.followers == 1 and not followed.settled:
            self._new.append(followed.task.id)
            self._wake.set()
        return followed

    def unfollow(self, followed: FollowedTask) -> None:
        """One reader less."""
        followed.followers -= 1
        if followed.followers == 0:
            self._followed.pop(followed.task.id, None)

    async def run(self) -> None:
        """Open watches for what is followed, for ever."""
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(GATHER_SECONDS)
                self._wake.clear()
                self._open(self._wanted(self._take_new()))
        finally:
            for stream in self._streams:
                stream.cancel()

    def _take_new(self) -> list[str]:
        new, self._new = self._new, []
        self._streams = [stream for stream in self._streams if not stream.done()]
        if len(self._streams) >= MOST_STREAMS:
            for stream in self._streams:
                new += self._ids.pop(stream, [])
                stream.cancel()
            self._streams = []
        return new

    def _wanted(self, ids: Sequence[str]) -> list[str]:
        unique = dict.fromkeys(ids)
        return [i for i in unique if i in self._followed and not self._followed[i].settled]

    def _open(self, ids: list[str]) -> None:
        for first in range(0, len(ids), MOST_IDS):
            some = ids[first : first + MOST_IDS]
            stream = asyncio.create_task(self._watch(some), name="watch followed tasks")
            self._streams.append(stream)
            self._ids[stream] = some
            stream.add_done_callback(lambda done: self._ids.pop(done, None) and None)

    async def _watch(self, ids: list[str]) -> None:
        pause = 0.1
        while wanted := self._wanted(ids):
            try:
                async for answer in self._stub.WatchTasks(WatchTasksRequest(filter=TaskFilter(ids=wanted))):
                    pause = 0.1
                    await self._take(answer)
                    if not self._wanted(ids):
                        return
            except grpc.aio.AioRpcError as error:
                _log.debug("watch of followed tasks broke", code=error.code().name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def _take(self, answer: WatchTasksResponse) -> None:
        for task in answer.tasks:
            followed = self._followed.get(task.id)
            if followed is not None and followed.update(task):
                await self._history(followed)

    async def _history(self, followed: FollowedTask) -> None:
        request = GetTaskHistoryRequest(task_id=followed.task.id)
        try:
            answer = await self._ask(self._stub.GetTaskHistory, request)
        except TenureError as error:
            _log.info("history of a followed task is not known", task=followed.task.id, reason=error.message)
            return
        for attempt in answer.attempts:
            followed.history[attempt.number] = facts_of(attempt)
        followed.changed.notify()

    async def _ask(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
