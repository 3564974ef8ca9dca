"""Which tasks does a filter mean?

A TaskFilter is compiled once into a predicate; ids are found by the index of ids, everything else by looking at
every task in the order of submission.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from typing import Any, Final

from tenure_core.errors import InvalidArgument, NotFound, Violation
from tenure_core.ids import LENGTH
from tenure_scheduler.domain.model import Task, Worker

Predicate = Callable[[Task], bool]

_SHOWN_TWINS: Final = 5


class IdIndex:
    """Finds ids by prefix. The sorted list is made when a prefix is asked for and ids changed since."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._sorted: list[str] = []
        self._made_of = (-1, -1)

    def find(self, text: str, generation: int) -> list[str]:
        """Every id that begins with this text; `generation` changes whenever ids come or go."""
        if len(text) == LENGTH:
            return [text] if text in self._tasks else []
        made_of = (len(self._tasks), generation)
        if made_of != self._made_of:
            self._sorted, self._made_of = sorted(self._tasks), made_of
        first = bisect_left(self._sorted, text)
        last = bisect_left(self._sorted, text + "~")
        return self._sorted[first:last]

    def one(self, text: str, generation: int) -> Task:
        """The task with this id or unique prefix; NotFound or InvalidArgument."""
        found = self.find(text, generation)
        if not found:
            raise NotFound(kind="task", name=text)
        if len(found) > 1:
            shown = ", ".join(found[:_SHOWN_TWINS])
            sentence = f"is the beginning of {len(found)} ids: {shown}"
            raise InvalidArgument(violations=(Violation("task_id", sentence),))
        return self._tasks[found[0]]


def name_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """One pattern for names in which "*" stands for any characters."""
    parts = (translate(re.sub(r"([?\[])", r"[\1]", name)) for name in names)
    return re.compile("|".join(parts))


def predicate(filter: Any) -> Predicate | None:  # noqa: A002
    """What the filter says besides ids; None: everything."""
    tests: list[Predicate] = []
    if filter.states:
        states = frozenset(filter.states)
        tests.append(lambda task: task.state in states)
    if filter.namespaces:
        namespaces = frozenset(filter.namespaces)
        tests.append(lambda task: task.profile.namespace in namespaces)
    if filter.queues:
        queues = frozenset(filter.queues)
        tests.append(lambda task: task.profile.queue in queues)
    if filter.workers:
        workers = frozenset(filter.workers)
        tests.append(lambda task: bool(task.attempts) and task.attempts[-1].worker in workers)
    if filter.names:
        matches = name_pattern(filter.names).match
        tests.append(lambda task: matches(task.name) is not None)
    if filter.labels:
        labels = frozenset(filter.labels.items())
        tests.append(lambda task: labels.issubset(task.labels))
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else lambda task: all(test(task) for test in tests)


def is_dynamic(filter: Any) -> bool:  # noqa: A002
    """Whether a task can begin or cease to match in the course of its life."""
    return bool(filter.states or filter.workers)


def worker_predicate(filter: Any) -> Callable[[Worker], bool]:  # noqa: A002
    """Whether a worker is one of those that a WorkerFilter means."""
    pattern = name_pattern(filter.names) if filter.names else None
    verdicts = frozenset(filter.verdicts)
    labels = dict(filter.labels)

    def test(worker: Worker) -> bool:
        return (
            (pattern is None or pattern.match(worker.name) is not None)
            and (not verdicts or worker.verdict in verdicts)
            and all(worker.labels.get(key) == value for key, value in labels.items())
        )

    return test
