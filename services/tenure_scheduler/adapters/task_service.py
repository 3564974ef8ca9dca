"""How does the public door for tasks lead to the core?"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tenure.v1 import task_service_pb2 as pb
from tenure_core.errors import InvalidArgument, NotFound, Unavailable, Violation
from tenure_core.ids import LENGTH
from tenure_core.states import TERMINAL
from tenure_runtime.rpc.call import Call
from tenure_scheduler.adapters.filters import one_task, refuse_damaged_requests, task_filter, whole_ids
from tenure_scheduler.adapters.history_view import history_message
from tenure_scheduler.adapters.ports import Lead, Leader
from tenure_scheduler.adapters.public import FULL
from tenure_scheduler.adapters.specs import seconds
from tenure_scheduler.adapters.submitting import items_of, raise_error, results_of
from tenure_scheduler.adapters.watching import WatchTasks
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.commands import AnswerError
from tenure_scheduler.domain.model import Task
from tenure_scheduler.domain.views import compiled

DEFAULT_PAGE: Final = 100
CANCELLED_PER_CALL: Final = 10_000
_LONGEST_WAIT: Final = 3600.0
_SHORTEST_WAIT: Final = 0.1
"""What is finished already has to be heard of, also by those who do not want to wait."""
_ANSWER_MARGIN: Final = 0.2
"""How long before the caller's deadline a wait answers with what it knows."""


class TaskService(WatchTasks):
    """tenure.v1.TaskService."""

    def __init__(self, leader: Leader) -> None:
        super().__init__(leader.leading)
        self._leading = leader.leading

    async def SubmitTasks(self, request: pb.SubmitTasksRequest, call: Call) -> pb.SubmitTasksResponse:  # noqa: N802
        """Store tasks; answered when they are durable, or when they have ended."""
        reign = self._leading()
        refuse_when_full(reign)
        refuse_damaged_requests(reign.core, (item.request_id for item in request.items))
        items = items_of(request, reign.specs, reign.new_id, call.traceparent or "")
        answer = await reign.shell.ask(lambda ticket: e.TasksSubmitted(ticket, items), call.remaining())
        response = results_of(answer, items)
        if request.wait.ByteSize():
            ids = list({result.task_id for result in response.results if result.task_id})
            finished = await _finished(reign, ids, len(ids), min(seconds(request.wait), _longest_wait(call)))
            for result in response.results:
                if result.task_id in finished:
                    result.finished.CopyFrom(finished[result.task_id])
        return response

    async def GetTask(self, request: pb.GetTaskRequest, call: Call) -> pb.GetTaskResponse:  # noqa: N802
        """One task."""
        reign = self._leading()
        full = request.view in (0, FULL)
        response = pb.GetTaskResponse(
            task=reign.writer.task(one_task(reign.core, request.task_id), full=full)
        )
        await reign.shell.settled(call.remaining())
        return response

    async def ListTasks(self, request: pb.ListTasksRequest, call: Call) -> pb.ListTasksResponse:  # noqa: N802
        """One page, newest submission first."""
        reign = self._leading()
        before = _before(request.page_token)
        wanted = task_filter(request.filter)
        page = reign.core.page(wanted, request.page_size or DEFAULT_PAGE, before)
        full = request.view == FULL
        response = pb.ListTasksResponse(
            tasks=[reign.writer.task(task, full=full) for task in page.tasks],
            next_page_token="" if page.next is None else str(page.next),
        )
        await reign.shell.settled(call.remaining())
        return response

    async def CountTasks(self, request: pb.CountTasksRequest, call: Call) -> pb.CountTasksResponse:  # noqa: N802
        """How many tasks stand in each state."""
        reign = self._leading()
        wanted = task_filter(request.filter)
        counts: dict[int, int] = {}
        if wanted.empty:
            counts = {int(state): count for state, count in reign.core.counts().items()}
        else:
            matches = compiled(wanted)
            for task in reign.core.world.tasks.values():
                if matches(task):
                    counts[task.state] = counts.get(task.state, 0) + 1
        await reign.shell.settled(call.remaining())
        return pb.CountTasksResponse(
            counts=[
                pb.TaskStateCount(state=state, count=count)  # type: ignore[arg-type]
                for state, count in sorted(counts.items())
                if count
            ],
            damaged=len(reign.core.world.damaged),
        )

    async def WaitTasks(self, request: pb.WaitTasksRequest, call: Call) -> pb.WaitTasksResponse:  # noqa: N802
        """Block until the tasks are terminal, or answer what is known in time."""
        reign = self._leading()
        ids = whole_ids(reign.core, request.task_ids, "task_ids")
        enough = 1 if request.mode == pb.WaitMode.WAIT_MODE_ANY else len(set(ids))
        timeout = _wait_seconds(request, call)
        finished = await _finished(reign, ids, enough, timeout)
        return pb.WaitTasksResponse(
            finished=[finished[task_id] for task_id in ids if task_id in finished],
            unfinished=[task_id for task_id in ids if task_id not in finished],
        )

    async def CancelTasks(self, request: pb.CancelTasksRequest, call: Call) -> pb.CancelTasksResponse:  # noqa: N802
        """Cancel the matching tasks; answered when that is committed."""
        reign = self._leading()
        found, more = _matching(reign, request.filter, CANCELLED_PER_CALL)
        answer = await reign.shell.ask(
            lambda ticket: e.CancelRequested(ticket, [task.id for task in found], request.reason),
            call.remaining(),
        )
        return pb.CancelTasksResponse(
            results=[pb.CancelTasksResult(task_id=task.id, state=task.state) for task in answer.tasks],
            more=more,
        )

    async def RetryTask(self, request: pb.RetryTaskRequest, call: Call) -> pb.RetryTaskResponse:  # noqa: N802
        """Submit a copy of a terminal task."""
        reign = self._leading()
        refuse_when_full(reign)
        refuse_damaged_requests(reign.core, [request.request_id])
        task_id, new_id = one_task(reign.core, request.task_id).id, reign.new_id()
        answer = await reign.shell.ask(
            lambda ticket: e.RetryRequested(
                ticket, task_id, new_id, request.request_id, call.traceparent or ""
            ),
            call.remaining(),
        )
        if isinstance(answer, AnswerError):
            raise_error(answer)
        _, task = answer.results[0]
        return pb.RetryTaskResponse(task_id=task.id, created=task.id == new_id)

    async def ReleaseTasks(self, request: pb.ReleaseTasksRequest, call: Call) -> pb.ReleaseTasksResponse:  # noqa: N802
        """Let quarantined tasks run again."""
        reign = self._leading()
        found, _ = _matching(reign, request.filter, CANCELLED_PER_CALL)
        answer = await reign.shell.ask(
            lambda ticket: e.ReleaseRequested(ticket, [task.id for task in found]), call.remaining()
        )
        return pb.ReleaseTasksResponse(task_ids=answer.task_ids)

    async def ExplainTask(self, request: pb.ExplainTaskRequest, call: Call) -> pb.ExplainTaskResponse:  # noqa: N802
        """Why a task stands where it stands."""
        reign = self._leading()
        task = one_task(reign.core, request.task_id)
        found = reign.core.explain(task)
        response = pb.ExplainTaskResponse(
            task=reign.writer.task(task),
            summary=found.summary,
            ahead=found.ahead,
            workers=[
                pb.WorkerVerdictReason(worker=w.worker, fits=w.fits, reasons=w.reasons) for w in found.workers
            ],
            suggestions=found.suggestions,
            story=found.story,
        )
        await reign.shell.settled(call.remaining())
        return response

    async def GetTaskHistory(  # noqa: N802
        self, request: pb.GetTaskHistoryRequest, call: Call
    ) -> pb.GetTaskHistoryResponse:
        """The attempts that the record holds, and what else happened."""
        reign = self._leading()
        task = one_task(reign.core, request.task_id)
        response = history_message(reign.writer, task)
        await reign.shell.settled(call.remaining())
        return response


def refuse_when_full(reign: Lead) -> None:
    """Raise why nothing may be stored at present, if so; Unavailable while the store does not answer."""
    trouble = reign.shell.blocked or reign.housekeeping.full
    if trouble is not None:
        raise trouble


def _before(token: str) -> int | None:
    if not token:
        return None
    if not token.isdecimal():
        raise InvalidArgument(violations=(Violation("page_token", "is not a token of this server's"),))
    return int(token)


def _matching(reign: Lead, message: Any, limit: int) -> tuple[list[Task], bool]:
    """The tasks that a filter means, without those that stay as they are; ids must exist."""
    wanted = task_filter(message)
    if wanted.ids:
        for index, text in enumerate(wanted.ids):
            one_task(reign.core, text, f"filter.ids[{index}]")
    matches = compiled(wanted)
    tasks = reign.core.world.tasks
    candidates = (
        (tasks[text] for text in wanted.ids)
        if wanted.ids and all(len(text) == LENGTH for text in wanted.ids)
        else tasks.values()
    )
    found: list[Task] = []
    for task in candidates:
        if matches(task) and (task.state not in TERMINAL or wanted.ids):
            if len(found) == limit:
                return found, True
            found.append(task)
    return found, False


def _wait_seconds(request: pb.WaitTasksRequest, call: Call) -> float:
    longest = _longest_wait(call)
    if not request.HasField("timeout"):
        return longest
    return min(max(seconds(request.timeout), _SHORTEST_WAIT), longest)


def _longest_wait(call: Call) -> float:
    remaining = call.remaining()
    return _LONGEST_WAIT if remaining is None else max(remaining - _ANSWER_MARGIN, 0.0)


async def _finished(reign: Lead, ids: list[str], enough: int, timeout: float) -> dict[str, Any]:
    """Views of those of the tasks that are terminal, once there are enough of them or the time is over."""
    finished: dict[str, Any] = {}
    listener = reign.shell.listen(lambda ticket: e.WaitRequested(ticket, ids))
    try:
        async with asyncio.timeout(timeout):
            while len(finished) < enough or listener.ready:
                news = await listener.next()
                if isinstance(news, str):
                    raise NotFound(kind="task", name=news)
                finished[news.id] = reign.writer.task(news)
    except TimeoutError:
        pass
    finally:
        reign.shell.unlisten(listener)
        if len(finished) < len(set(ids)) and not reign.shell.over.done():
            reign.shell.post(e.WaitEnded(listener.ticket))
    if reign.shell.over.done():
        raise Unavailable("this replica no longer leads", retry_after=0.2)
    return finished
