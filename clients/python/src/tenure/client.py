"""How does a Python program use Tenure?

`Client` is asynchronous, belongs to one event loop and may be shared by any number of coroutines of it: calls
that they make in the same turn of the loop travel together.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenure import methods, statuses
from tenure.batching import Submissions, Waits, chunks
from tenure.calls import ATTEMPT_TIMEOUT, Caller
from tenure.channels import Servers
from tenure.contexts import Tls, resolve
from tenure.errors import DeadlineExceeded, TenureError
from tenure.fencing import current_fence
from tenure.operating import Operating
from tenure.streams import Relays, tail, watch
from tenure.v1 import cluster_service_pb2 as cluster
from tenure.v1 import log_service_pb2 as logs
from tenure.v1 import task_service_pb2 as tasks
from tenure.v1.task_pb2 import (
    TASK_VIEW_BRIEF,
    TASK_VIEW_FULL,
    TASK_VIEW_UNSPECIFIED,
    Task,
    TaskFilter,
    TaskState,
    TaskView,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from types import TracebackType

    from tenure.fencing import Fence
    from tenure.v1.task_spec_pb2 import TaskSpec

WHOLE_ID: Final = 20
_WAIT_SECONDS: Final = 20
_FIRST_WAIT: Final = 2.0
"""For how many seconds a submission waits for the end: a server that falls silent must be left soon."""
_WAIT_IDS: Final = 1000
_SUBMITS_IN_FLIGHT: Final = 2


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of one task of `submit_many`."""

    task_id: str
    """Id of the task; empty when it was refused."""

    created: bool
    """False when an earlier submission with this request id made the task."""

    error: TenureError | None
    """Why it was refused, for example AlreadyExists: the same request id with another spec."""


class Client(Operating):
    """A connection to one Tenure cluster.

    Args:
        address: "host:port" of a scheduler, or several with commas; any replica answers, and one that fails
            is replaced by the next. None: `TENURE_ADDRESS`, the context file, or 127.0.0.1:7420
            (`tenure.contexts`).
        tls: certificate files; None: those of the context or of `TENURE_TLS_CA`, `TENURE_TLS_CERT` and
            `TENURE_TLS_KEY`, without which the connection is not encrypted.
        context: name of a context in the context file.
        patience: seconds for which a call without an answer is tried again before it raises Unavailable.
            Every call of the client is safe to repeat.
        connect_timeout: the same before the first answer, so that a wrong address is told soon.

    Every method raises a `tenure.errors.TenureError`: Unavailable when no server helped for as long as the
    patience lasts (it says why no connection came about), PermissionDenied when the certificate is not for
    this, InvalidArgument with every fault of a request, and what its own text names. A call that is given up
    by `asyncio.timeout` may have been carried out. Ids may be shortened to a unique prefix of at least 4
    characters. The connection opens with the first call; use `async with`, or `await close()`.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        tls: Tls | None = None,
        context: str | None = None,
        patience: float = 60.0,
        connect_timeout: float = 5.0,
    ) -> None:
        target = resolve(address, tls=tls, context=context)
        self.addresses = target.addresses
        """Addresses of the schedulers that are asked."""
        self._servers = Servers(target.addresses, target.tls)
        self._call = Caller(self._servers, patience=patience, connect_timeout=connect_timeout)
        self._relays = Relays(self._call, target.tls)
        self._submissions = Submissions(self._send_items)
        self._waits = Waits(self._wait_any)
        self._runs = 0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End what is under way and close the connections. Idempotent."""
        await self._submissions.close()
        await self._waits.close()
        await self._call.close()
        await self._relays.close()
        await self._servers.close()

    @property
    def calls_made(self) -> int:
        """How many requests were sent so far, streams excluded."""
        return self._call.made

    async def submit(self, spec: TaskSpec, *, request_id: str | None = None) -> str:
        """Store a task; returns its id once it is durable.

        Args:
            spec: the task, for example from `tenure.process`.
            request_id: makes the submission idempotent across calls and processes: the same id and spec
                answer the same task. None: the client makes one, so that its own retries never make a second
                task.

        Raises:
            InvalidArgument: `violations` names every fault of the spec.
            AlreadyExists: the request id was used for another spec; `differing` says where.
            DataLoss: it was used for a task whose record is damaged now.
        """
        result = await self._submissions.add(_item(spec, request_id))
        if result.HasField("error"):
            raise statuses.from_status(result.error)
        return result.task_id

    async def submit_many(
        self, specs: Iterable[TaskSpec], *, request_ids: Sequence[str] | None = None
    ) -> Sequence[Submitted]:
        """Store many tasks, in requests of at most 500 tasks and 4 MiB; one result per spec, in their order.

        Each request is checked as a whole: one fault refuses all of it with InvalidArgument. Earlier requests
        stay stored; with `request_ids` of your own, one per spec, the call can simply be made again.
        """
        ids: Iterable[str | None] = request_ids if request_ids is not None else iter(lambda: None, 0)
        items = [_item(spec, request_id) for spec, request_id in zip(specs, ids, strict=False)]
        limit = asyncio.Semaphore(_SUBMITS_IN_FLIGHT)

        async def send(chunk: Sequence[tasks.SubmitTasksItem]) -> Sequence[tasks.SubmitTasksResult]:
            async with limit:
                return await self._send_items(chunk)

        answers = await asyncio.gather(*(send(chunk) for chunk in chunks(items)))
        return [_submitted(result) for answer in answers for result in answer]

    async def wait(self, task_id: str, *, timeout: float | None = None) -> Task:
        """The task in brief view, once it is terminal.

        Raises:
            DeadlineExceeded: it was not within `timeout` seconds.
            NotFound: there is no such task.
        """
        try:
            async with asyncio.timeout(timeout):
                if len(task_id) != WHOLE_ID:
                    task_id = (await self.get(task_id, view=TASK_VIEW_BRIEF)).id
                return await self._waits.add(task_id)
        except TimeoutError:
            raise DeadlineExceeded(f"task {task_id} did not end within {timeout:g} s") from None

    async def wait_many(
        self, task_ids: Sequence[str], *, any_of: bool = False, timeout: float | None = None
    ) -> Sequence[Task]:
        """The tasks in brief view, in the order given, once all of them are terminal.

        Args:
            any_of: answer as soon as at least one is terminal, with those that are.
            timeout: seconds after which DeadlineExceeded is raised.
        """
        groups = [list(task_ids[at : at + _WAIT_IDS]) for at in range(0, len(task_ids), _WAIT_IDS)]
        try:
            async with asyncio.timeout(timeout):
                if not any_of:
                    found = await asyncio.gather(*(self._wait_all(group) for group in groups))
                    return [task for group in found for task in group]
                return await _first_of([self._wait_some(group, tasks.WAIT_MODE_ANY) for group in groups])
        except TimeoutError:
            raise DeadlineExceeded(f"the tasks did not end within {timeout:g} s") from None

    async def run(self, spec: TaskSpec, *, timeout: float | None = None) -> Task:
        """Submit a task and wait for its end; the task in brief view.

        Raises:
            InvalidArgument: `violations` names every fault of the spec.
            DeadlineExceeded: it did not end within `timeout` seconds. It is not cancelled by that.
        """
        self._runs += 1
        try:
            await asyncio.sleep(0)  # others of this turn of the loop may come
            if self._runs == 1:
                return await self._run_alone(spec, timeout)
            # Several travel together, and then none may wait for the end of another.
            return await self.wait(await self.submit(spec), timeout=timeout)
        finally:
            self._runs -= 1

    async def _run_alone(self, spec: TaskSpec, timeout: float | None) -> Task:
        """Submit and wait in one call, which a short task ends with."""
        began = time.monotonic()
        result = await self._send_and_wait(_item(spec, None), timeout)
        if result.HasField("finished"):
            return result.finished
        left = None if timeout is None else max(0.0, began + timeout - time.monotonic())
        try:
            return await self.wait(result.task_id, timeout=left)
        except DeadlineExceeded:
            raise DeadlineExceeded(f"task {result.task_id} did not end within {timeout:g} s") from None

    async def get(self, task_id: str, *, view: TaskView = TASK_VIEW_FULL) -> Task:
        """One task, with its spec unless the `view` is brief; NotFound when there is none."""
        response = await self._call(methods.GET, tasks.GetTaskRequest(task_id=task_id, view=view))
        return response.task

    async def list(
        self, where: TaskFilter | None = None, *, limit: int | None = None, view: TaskView = TASK_VIEW_BRIEF
    ) -> AsyncIterator[Task]:
        """Tasks that match, newest submission first; pages are fetched as they are needed.

        Args:
            where: which tasks; None: all.
            limit: how many at most; None: no limit.
            view: how much of each; the brief view leaves out specs.
        """
        request = tasks.ListTasksRequest(filter=where, view=view)
        left = limit
        while left is None or left > 0:
            request.page_size = 1000 if left is None else min(1000, left)
            page = await self._call(methods.LIST, request)
            for task in page.tasks:
                yield task
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
            left = None if left is None else left - len(page.tasks)

    async def count(self, where: TaskFilter | None = None) -> dict[TaskState, int]:
        """How many of the tasks that match `where` stand in each state; empty states are left out."""
        response = await self._call(methods.COUNT, tasks.CountTasksRequest(filter=where))
        return {entry.state: entry.count for entry in response.counts}

    async def damaged(self) -> int:
        """How many tasks of the cluster have a damaged record; asking for one of them raises DataLoss."""
        return (await self._call(methods.COUNT, tasks.CountTasksRequest())).damaged

    def watch(
        self,
        where: TaskFilter | None = None,
        *,
        resume_token: str = "",
        view: TaskView = TASK_VIEW_UNSPECIFIED,
        changes_only: bool = False,
    ) -> AsyncIterator[tasks.WatchTasksResponse]:
        """The current state of the matching tasks, then every change, without end.

        Survives the loss of the server it watches: it resumes by token. When the token is too old it begins
        anew with the current state of all that match. Levels, not edges: a slow reader sees the newest state
        once.

        Args:
            where: which tasks; None: all.
            resume_token: go on behind the message that had this token, also in another process.
            view: how much of each.
            changes_only: leave the current state out and begin with what changes from now on.
        """
        request = tasks.WatchTasksRequest(
            filter=where, resume_token=resume_token, view=view, changes_only=changes_only
        )
        return watch(self._call, request)

    async def cancel(
        self, *task_ids: str, where: TaskFilter | None = None, reason: str = ""
    ) -> Sequence[tasks.CancelTasksResult]:
        """Cancel tasks by id, or all that match a filter; returns when that is committed.

        Processes end a little later; `wait` for that. Idempotent; a terminal task stays as it is, and its
        result says so. Whichever of cancel and success is committed first stands.

        Args:
            where: a filter instead of ids; an empty one is refused.
            reason: one sentence for people, shown with the task.
        """
        found: deque[tasks.CancelTasksResult] = deque()
        for request in _cancellations(task_ids, where, reason):
            more = True
            while more:
                response = await self._call(methods.CANCEL, request)
                found.extend(response.results)
                more = response.more
        return tuple(found)

    async def retry(self, task_id: str, *, request_id: str | None = None) -> str:
        """Submit a copy of a terminal task; returns the id of the new one.

        Args:
            request_id: as for `submit`: the same id answers the same copy.

        Raises:
            FailedPrecondition: the task has not ended.
        """
        request = tasks.RetryTaskRequest(task_id=task_id, request_id=request_id or new_request_id())
        return str((await self._call(methods.RETRY, request)).task_id)

    async def release(self, *task_ids: str, where: TaskFilter | None = None) -> Sequence[str]:
        """Let quarantined tasks run again, by id or by the filter `where`; returns the ids that were."""
        request = tasks.ReleaseTasksRequest(filter=where or TaskFilter(ids=task_ids))
        return list((await self._call(methods.RELEASE, request)).task_ids)

    async def explain(self, task_id: str) -> tasks.ExplainTaskResponse:
        """Why the task stands where it stands, and what would change that."""
        return await self._call(methods.EXPLAIN, tasks.ExplainTaskRequest(task_id=task_id))

    async def history(self, task_id: str) -> tasks.GetTaskHistoryResponse:
        """What happened to a task: its attempts with their evidence, a timeline, and when two ran at once."""
        return await self._call(methods.HISTORY, tasks.GetTaskHistoryRequest(task_id=task_id))

    async def server_info(self) -> cluster.GetServerInfoResponse:
        """Versions, limits, the leader and the log relays; answered without a leader as well."""
        return await self._call(methods.SERVER_INFO, cluster.GetServerInfoRequest())

    async def verify_fence(self, fence: Fence | str | None = None) -> cluster.VerifyFenceResponse:
        """Whether a fence still holds its task: `valid`, else a `reason`, and the `current_fence`.

        Linearizable, through any replica. It may be over when the answer arrives: a resource that must never
        be written by a stale attempt has to compare fences itself (`tenure.Fence.order`).

        Args:
            fence: whose; None: that of the attempt in which this process runs (`tenure.current_fence`).

        Raises:
            InvalidArgument: it is no fence.
            BadConfiguration: there is none given, and this process runs in no task.
        """
        text = str(current_fence() if fence is None else fence)
        return await self._call(methods.VERIFY_FENCE, cluster.VerifyFenceRequest(fence=text))

    def follow_logs(
        self,
        task_id: str,
        *,
        follow: bool = True,
        attempt: int = 0,
        channels: Iterable[logs.LogChannel] = (),
        cursor: str = "",
        last_lines: int | None = None,
        raw: bool = False,
        entry_cursors: bool = False,
    ) -> AsyncIterator[logs.TailLogsResponse]:
        """The output of a task: history, then live, every byte once and in order, or a `gap` in its place.

        Each message holds one of `lines` (a batch of entries), `chunk` (with `raw`), `gap`, `attempt_begin`,
        `attempt_end` and, when the task is terminal and its output complete, `end` with the exit status.
        Survives the loss of relays and schedulers.

        Args:
            follow: wait for more until the task ends; else stop where the output ends now.
            attempt: only this one; 0: every attempt in turn.
            channels: LOG_CHANNEL_STDOUT, LOG_CHANNEL_STDERR or both; empty: both.
            cursor: continue behind the message, or entry, that had this cursor.
            last_lines: begin at the last N lines of the newest attempt.
            raw: bytes as they came instead of lines.
            entry_cursors: give each entry of `lines` a cursor too, to continue behind it.
        """
        request = logs.TailLogsRequest(
            task_id=task_id,
            attempt=attempt,
            channels=channels,
            follow=follow,
            format=logs.LOG_FORMAT_CHUNKS if raw else logs.LOG_FORMAT_LINES,
            entry_cursors=entry_cursors,
        )
        if cursor:
            request.cursor = cursor
        elif last_lines is not None:
            request.last_lines = last_lines
        return tail(self._call, self._relays, request)

    async def follow_lines(self, task_id: str, *, follow: bool = True) -> AsyncIterator[logs.LogEntry]:
        """The lines of a task, without begin, end and gap markers. Per line; `follow_logs` is faster.

        Args:
            follow: wait for more until the task ends; else stop where the output ends now.
        """
        async for message in self.follow_logs(task_id, follow=follow):
            for entry in message.lines.entries:
                yield entry

    async def _send_items(self, items: Sequence[tasks.SubmitTasksItem]) -> Sequence[tasks.SubmitTasksResult]:
        response = await self._call(methods.SUBMIT, tasks.SubmitTasksRequest(items=items))
        return response.results

    async def _send_and_wait(
        self, item: tasks.SubmitTasksItem, timeout: float | None
    ) -> tasks.SubmitTasksResult:
        seconds = _FIRST_WAIT if timeout is None else max(0.0, min(timeout, _FIRST_WAIT))
        request = tasks.SubmitTasksRequest(items=[item])
        request.wait.FromNanoseconds(int(seconds * 1e9))
        response = await self._call(methods.SUBMIT, request, attempt_timeout=seconds + ATTEMPT_TIMEOUT)
        return response.results[0]

    async def _wait_any(self, task_ids: Sequence[str]) -> Sequence[Task]:
        return (await self._wait(task_ids, tasks.WAIT_MODE_ANY)).finished

    async def _wait(self, task_ids: Sequence[str], mode: tasks.WaitMode) -> tasks.WaitTasksResponse:
        request = tasks.WaitTasksRequest(task_ids=task_ids, mode=mode)
        request.timeout.FromSeconds(_WAIT_SECONDS)
        return await self._call(methods.WAIT, request, attempt_timeout=_WAIT_SECONDS + 10)

    async def _wait_all(self, task_ids: Sequence[str]) -> Sequence[Task]:
        while True:
            response = await self._wait(task_ids, tasks.WAIT_MODE_ALL)
            if not response.unfinished:
                return response.finished

    async def _wait_some(self, task_ids: Sequence[str], mode: tasks.WaitMode) -> Sequence[Task]:
        while True:
            response = await self._wait(task_ids, mode)
            if response.finished:
                return list(response.finished)


def new_request_id() -> str:
    """A request id that nobody else has."""
    return uuid.uuid4().hex


def _item(spec: TaskSpec, request_id: str | None) -> tasks.SubmitTasksItem:
    return tasks.SubmitTasksItem(request_id=request_id or new_request_id(), spec=spec)


def _submitted(result: tasks.SubmitTasksResult) -> Submitted:
    error = statuses.from_status(result.error) if result.HasField("error") else None
    return Submitted(result.task_id, result.created, error)


def _cancellations(
    task_ids: Sequence[str], where: TaskFilter | None, reason: str
) -> Iterable[tasks.CancelTasksRequest]:
    if where is not None:
        yield tasks.CancelTasksRequest(filter=where, reason=reason)
    for at in range(0, len(task_ids), _WAIT_IDS):
        yield tasks.CancelTasksRequest(filter=TaskFilter(ids=task_ids[at : at + _WAIT_IDS]), reason=reason)


async def _first_of(waits: Sequence[object]) -> Sequence[Task]:
    running = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        return [task for ended in done for task in ended.result()]
    finally:
        for task in running:
            task.cancel()
