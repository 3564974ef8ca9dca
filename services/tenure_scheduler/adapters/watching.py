"""What does a reader of WatchTasks get, in which order, and where does it resume?

Whole state first, then changes. A token names the incarnation and a revision: everything that changed up to
it has been handled. Records that were removed leave no trace, so a token from before the newest removal is
refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from tenure.v1 import task_service_pb2 as pb
from tenure_core.errors import InvalidArgument, OutOfRange, Violation
from tenure_runtime.rpc.call import Call
from tenure_scheduler.adapters.filters import is_dynamic, task_filter, whole_ids
from tenure_scheduler.adapters.ports import Lead
from tenure_scheduler.adapters.public import FULL
from tenure_scheduler.adapters.watchers import MESSAGE_TASKS, Entry, Watcher, message_bytes, portions
from tenure_scheduler.domain.model import Task
from tenure_scheduler.domain.views import compiled

_FROM_THE_START: Final = 0


class WatchTasks:
    """The streaming RPC of TaskService."""

    def __init__(self, leading: Callable[[], Lead]) -> None:
        self._leading = leading

    async def WatchTasks(self, request: pb.WatchTasksRequest, _call: Call) -> AsyncIterator[bytes]:  # noqa: N802
        """The current state of the matching tasks, then their changes."""
        reign = self._leading()
        after = _revision(request.resume_token, reign)
        watcher = _watcher(request, reign)
        sealed = reign.watchers.add(watcher)
        base = reign.watchers.revision
        try:
            initial = _initial(request, reign, after, sealed)
            async for message in _state(reign, watcher, initial, _token(reign, after)):
                yield message
            yield message_bytes((), _token(reign, base), synced=True)
            async for message in _changes(reign, watcher, base):
                yield message
        finally:
            reign.watchers.remove(watcher)


def _token(reign: Lead, revision: int) -> str:
    return f"{reign.n}.{revision}"


def _revision(token: str, reign: Lead) -> int:
    """The revision that a token names; OutOfRange when what changed since can no longer be told."""
    if not token:
        return _FROM_THE_START
    n, _, revision = token.partition(".")
    if not (n.isdecimal() and revision.isdecimal()):
        raise InvalidArgument(violations=(Violation("resume_token", "is not a token of this server's"),))
    if int(n) != reign.n:
        raise OutOfRange("the token is of another incarnation of the cluster: start again without one")
    if 0 < int(revision) < reign.core.world.floor:
        raise OutOfRange("tasks were removed since this token: start again without one")
    return int(revision)


def _watcher(request: pb.WatchTasksRequest, reign: Lead) -> Watcher:
    wanted = task_filter(request.filter)
    ids = frozenset(whole_ids(reign.core, wanted.ids, "filter.ids")) if wanted.ids else None
    rest = request.filter
    narrowed = bool(
        rest.namespaces or rest.states or rest.names or rest.labels or rest.queues or rest.workers
    )
    test = compiled(wanted) if narrowed else None
    return Watcher(ids, test, dynamic=is_dynamic(wanted), full=request.view == FULL)


def _initial(request: pb.WatchTasksRequest, reign: Lead, after: int, sealed: Iterable[Task]) -> list[Task]:
    """The tasks to send before changes: all, or those that changed after the token.

    Batches that are on their way to etcd were sealed before this watcher was there: their tasks belong to it.
    """
    tasks = reign.core.world.tasks
    under_way = {task.id: task for task in sealed if task.id in tasks}
    if after:
        under_way.update({task.id: task for task in tasks.values() if task.revision > after})
    elif not request.changes_only:
        return sorted(tasks.values(), key=lambda task: task.sequence)
    return sorted(under_way.values(), key=lambda task: task.sequence)


async def _state(reign: Lead, watcher: Watcher, tasks: list[Task], token: str) -> AsyncIterator[bytes]:
    """The tasks in bounded messages; each leaves when what it shows is committed."""
    for start in range(0, len(tasks), MESSAGE_TASKS):
        shown = (reign.core.get(task.id) for task in tasks[start : start + MESSAGE_TASKS])
        entries: list[Entry] = [
            (task.id, reign.watchers.view(task, full=watcher.full))
            for task in shown
            if task is not None and watcher.wants(task)
        ]
        await reign.shell.settled()
        # What is pending by now is at least as new: it follows with the changes.
        fresh = [entry for entry in entries if entry[0] not in watcher.pending]
        for portion in portions(fresh):
            yield message_bytes(portion, token, synced=False)
        await asyncio.sleep(0)


async def _changes(reign: Lead, watcher: Watcher, base: int) -> AsyncIterator[bytes]:
    """What is committed from now on; a message that leaves news for the next one keeps the old token."""
    while True:
        await watcher.news()
        revision = reign.watchers.revision
        waiting = list(portions(watcher.take()))
        for index, portion in enumerate(waiting):
            last = index == len(waiting) - 1
            yield message_bytes(portion, _token(reign, revision if last else base), synced=True)
        base = revision
