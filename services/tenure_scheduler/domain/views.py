"""Which tasks are there, and which of them match?

Views read the live objects. Whatever the shell derives from them leaves only when everything that was
marked for writing up to then is committed; a RUNNING that was not marked yet is marked by looking at it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tenure_core.ids import LENGTH
from tenure_core.states import OnDisconnect, TaskState
from tenure_scheduler.domain.model import Task, Worker
from tenure_scheduler.domain.world import World

SCAN_LIMIT = 20_000
"""Tasks looked at per page, so that a filter which matches little does not stop everything else."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks. Fields narrow each other; a field matches any of its values; empty: all."""

    ids: tuple[str, ...] = ()
    """Ids or prefixes."""
    namespaces: frozenset[str] = frozenset()
    states: frozenset[TaskState] = frozenset()
    names: tuple[str, ...] = ()
    """`*` stands for any characters."""
    labels: tuple[tuple[str, str], ...] = ()
    queues: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    """Workers that hold the newest attempt."""

    @property
    def empty(self) -> bool:
        """Whether it matches every task."""
        return self == TaskFilter()


@dataclass(frozen=True, slots=True)
class Page:
    """Matching tasks, and where the next page begins; None: this was the last."""

    tasks: list[Task]
    next: int | None


def compiled(wanted: TaskFilter) -> Callable[[Task], bool]:
    """The filter as a function."""
    tests: list[Callable[[Task], bool]] = []
    if wanted.ids:
        tests.append(lambda task: task.id.startswith(wanted.ids))
    if wanted.namespaces:
        tests.append(lambda task: task.profile.namespace in wanted.namespaces)
    if wanted.states:
        tests.append(lambda task: task.state in wanted.states)
    if wanted.names:
        globs = [_glob(name) for name in wanted.names]
        tests.append(lambda task: any(glob(task.name) for glob in globs))
    if wanted.labels:
        tests.append(lambda task: set(wanted.labels) <= set(task.labels))
    if wanted.queues:
        tests.append(lambda task: task.profile.queue in wanted.queues)
    if wanted.workers:
        tests.append(lambda task: bool(task.attempts) and task.attempts[-1].worker in wanted.workers)
    return lambda task: all(test(task) for test in tests)


def _glob(pattern: str) -> Callable[[str], bool]:
    first, *rest = pattern.split("*")
    if not rest:
        return lambda name: name == pattern
    *middle, last = rest

    def matches(name: str) -> bool:
        if not name.startswith(first) or len(name) < len(first) + len(last) or not name.endswith(last):
            return False
        at, end = len(first), len(name) - len(last)
        for part in middle:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return matches


def find(world: World, text: str) -> list[Task]:
    """The tasks whose id is `text` or begins with it; two are enough to know that a prefix is ambiguous."""
    if len(text) >= LENGTH:
        task = world.tasks.get(text)
        return [seen(world, task)] if task is not None else []
    found = []
    for task_id, task in world.tasks.items():
        if task_id.startswith(text):
            found.append(seen(world, task))
            if len(found) == 2:
                break
    return found


def seen(world: World, task: Task) -> Task:
    """`task`, with what was noted but not marked for writing now marked: it is about to be told."""
    if task.id in world.lazy:
        del world.lazy[task.id]
        if task.state is TaskState.RUNNING:
            world.touch(task)
    return task


def newest_first(world: World, before: int | None = None) -> Iterator[Task]:
    """Tasks by descending sequence, from the one before `before` on."""
    order = world.order
    start = len(order)
    if before is not None:
        start = bisect_left(order, before, key=lambda task: task.sequence)
    for index in range(start - 1, -1, -1):
        yield order[index]


def page(world: World, wanted: TaskFilter, size: int, before: int | None = None) -> Page:
    """Up to `size` matching tasks, newest first, with sequences below `before` (None: from the newest on)."""
    if wanted.ids and all(len(text) == LENGTH for text in wanted.ids):
        return _page_of_ids(world, wanted, size, before)
    matches = compiled(wanted)
    found: list[Task] = []
    for looked_at, task in enumerate(newest_first(world, before), 1):
        if world.tasks.get(task.id) is task and matches(task):
            found.append(seen(world, task))
        if len(found) == size or looked_at == SCAN_LIMIT:
            return Page(found, task.sequence)
    return Page(found, None)


def _page_of_ids(world: World, wanted: TaskFilter, size: int, before: int | None) -> Page:
    matches = compiled(wanted)
    known = {text: world.tasks[text] for text in wanted.ids if text in world.tasks}
    tasks = [task for task in known.values() if (before is None or task.sequence < before) and matches(task)]
    tasks.sort(key=lambda task: -task.sequence)
    shown = [seen(world, task) for task in tasks[:size]]
    return Page(shown, shown[-1].sequence if len(tasks) > size else None)


def exclusive_fences(world: World, worker: Worker) -> list[str]:
    """The worker's open attempts of `stop` tasks, which each beat extends."""
    return [
        f"{world.n}.{task.id}.{task.attempt}"
        for task in worker.attempts.values()
        if task.profile.on_disconnect is OnDisconnect.STOP
    ]
