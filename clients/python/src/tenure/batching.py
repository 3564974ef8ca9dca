"""How do many small calls become few large ones, without waiting for company?

What arrives in one turn of the event loop leaves in one request at the end of that turn. Submissions beyond
`IN_FLIGHT` requests gather while those travel: the leader commits one batch at a time, so nothing is lost by
it. Submissions of different traces never share a request, since a request belongs to one trace.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from tenure.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted, TenureError
from tenure.tracing import trace_metadata
from tenure.v1.task_pb2 import Task
from tenure.v1.task_service_pb2 import SubmitTasksItem, SubmitTasksResult

CHUNK_ITEMS: Final = 500
CHUNK_BYTES: Final = 4 * 1024 * 1024 - 16 * 1024
WAIT_IDS: Final = 1000
IN_FLIGHT: Final = 4

SendItems = Callable[[list[SubmitTasksItem]], Awaitable[Sequence[SubmitTasksResult]]]
WaitAny = Callable[[list[str]], Awaitable[Iterable[Task]]]


def chunks(items: Iterable[SubmitTasksItem]) -> Iterator[list[SubmitTasksItem]]:
    """The items in requests of at most 500 items and 4 MiB; an item that is too large goes alone."""
    chunk: list[SubmitTasksItem] = []
    room = CHUNK_BYTES
    for item in items:
        size = item.ByteSize() + 6
        if chunk and (len(chunk) == CHUNK_ITEMS or size > room):
            yield chunk
            chunk, room = [], CHUNK_BYTES
        chunk.append(item)
        room -= size
    if chunk:
        yield chunk


class _Waiting(NamedTuple):
    """One submission that has not been sent."""

    item: SubmitTasksItem
    future: asyncio.Future[SubmitTasksResult]
    trace: tuple[tuple[str, str], ...]
    context: contextvars.Context


def _of_one_trace(waiting: Sequence[_Waiting]) -> Iterator[SubmitTasksItem]:
    """The first items, as far as they belong to the same trace."""
    trace = waiting[0].trace
    return (one.item for one in itertools.takewhile(lambda one: one.trace == trace, waiting))


class Submissions:
    """Single submissions, sent together."""

    def __init__(self, send: SendItems) -> None:
        self._send = send
        self._waiting: list[_Waiting] = []
        self._scheduled = False
        self._running: set[asyncio.Task[None]] = set()

    async def add(self, item: SubmitTasksItem) -> SubmitTasksResult:
        """What became of one item."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[SubmitTasksResult] = loop.create_future()
        self._waiting.append(_Waiting(item, future, trace_metadata(), contextvars.copy_context()))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush)
        return await future

    async def close(self) -> None:
        """Give up what is under way."""
        await cancel_all(self._running)

    def _flush(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._running) < IN_FLIGHT:
            count = len(next(chunks(_of_one_trace(self._waiting))))
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            delivery = self._deliver([(one.item, one.future) for one in batch])
            task = asyncio.get_running_loop().create_task(delivery, context=batch[0].context)
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._flush()

    async def _deliver(self, batch: list[tuple[SubmitTasksItem, asyncio.Future[SubmitTasksResult]]]) -> None:
        try:
            results = await self._send([item for item, _ in batch])
        except (InvalidArgument, ResourceExhausted, DataLoss) as error:
            # One bad item refuses a whole request: the others, which have other callers, must not suffer.
            if len(batch) == 1:
                fail([batch[0][1]], error)
            else:
                await asyncio.gather(*(self._deliver([one]) for one in batch))
        except TenureError as error:
            fail([future for _, future in batch], error)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


class Waits:
    """Single waits, asked together: each answer settles at least one, the rest joins the next request."""

    def __init__(self, wait_any: WaitAny) -> None:
        self._wait_any = wait_any
        self._futures: dict[str, list[asyncio.Future[Task]]] = {}
        self._asking: list[str] = []
        self._scheduled = False
        self._running: set[asyncio.Task[None]] = set()

    async def add(self, task_id: str) -> Task:
        """The task, once it is terminal."""
        future: asyncio.Future[Task] = asyncio.get_running_loop().create_future()
        waiting = self._futures.setdefault(task_id, [])
        waiting.append(future)
        if len(waiting) == 1:
            self._ask([task_id])
        return await future

    async def close(self) -> None:
        """Give up what is under way."""
        await cancel_all(self._running)

    def _ask(self, task_ids: Iterable[str]) -> None:
        self._asking.extend(task_ids)
        if not self._scheduled and self._asking:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        asking, self._asking = self._asking, []
        for start in range(0, len(asking), WAIT_IDS):
            task = asyncio.get_running_loop().create_task(self._settle(asking[start : start + WAIT_IDS]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _settle(self, group: list[str]) -> None:
        try:
            for task in await self._wait_any(group):
                for future in self._futures.pop(task.id, ()):
                    if not future.done():
                        future.set_result(task)
        except (NotFound, InvalidArgument, DataLoss) as error:
            await self._isolate(group, error)
        except TenureError as error:
            for task_id in group:
                fail(self._futures.pop(task_id, ()), error)
        self._ask(task_id for task_id in group if self._still_wanted(task_id))

    async def _isolate(self, group: list[str], error: TenureError) -> None:
        """Fail the wait that the error is about; ask one by one when it does not say which."""
        named = getattr(error, "name", "")
        if len(group) == 1 or named in group:
            fail(self._futures.pop(named if named in group else group[0], ()), error)
        else:
            await asyncio.gather(*(self._settle([task_id]) for task_id in group))
            group.clear()

    def _still_wanted(self, task_id: str) -> bool:
        waiting = [future for future in self._futures.get(task_id, ()) if not future.done()]
        if waiting:
            self._futures[task_id] = waiting
        else:
            self._futures.pop(task_id, None)
        return bool(waiting)


def fail(futures: Iterable[asyncio.Future[Any]], error: TenureError) -> None:
    """Hand an error to everybody who still waits."""
    for future in futures:
        if not future.done():
            future.set_exception(error)


async def cancel_all(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they are gone."""
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
