"""Which tasks and workers does a filter of the API mean?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Any, Final

from tenure_core.errors import DataLoss, InvalidArgument, NotFound, Violation
from tenure_core.ids import LENGTH
from tenure_core.states import TaskState
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.model import Damaged, Task, Worker
from tenure_scheduler.domain.views import TaskFilter

_TWO: Final = 2


def task_filter(message: Any) -> TaskFilter:
    """The core's filter for a TaskFilter message."""
    return TaskFilter(
        ids=tuple(message.ids),
        namespaces=frozenset(message.namespaces),
        states=frozenset(map(TaskState, message.states)),
        names=tuple(message.names),
        labels=tuple(sorted(message.labels.items())),
        queues=frozenset(message.queues),
        workers=frozenset(message.workers),
    )


def one_task(core: Core, text: str, path: str = "task_id") -> Task:
    """The task with this id or unique prefix.

    NotFound, InvalidArgument at `path` for a prefix of several, or DataLoss when its record is damaged.
    """
    found = core.find(text)
    if not found:
        refuse_damaged(core, text)
        raise NotFound(kind="task", name=text)
    if len(found) >= _TWO:
        sentence = f"{text!r} is the beginning of several ids, such as {found[0].id} and {found[1].id}"
        raise InvalidArgument(violations=(Violation(path, sentence),))
    return found[0]


def refuse_damaged(core: Core, text: str) -> None:
    """DataLoss when the record of the task with this id or prefix is damaged."""
    for task_id, damaged in core.world.damaged.items():
        if task_id.startswith(text):
            raise _lost(damaged)


def refuse_damaged_requests(core: Core, request_ids: Iterable[str]) -> None:
    """DataLoss for the request id of a task whose record is damaged: another task would do its work again."""
    if core.world.damaged:
        known = {each.request_id: each for each in core.world.damaged.values() if each.request_id}
        for request_id in request_ids:
            if request_id in known:
                raise _lost(known[request_id])


def _lost(damaged: Damaged) -> DataLoss:
    return DataLoss(
        f"the record of task {damaged.task_id} in etcd is damaged: {damaged.reason}; it was left as it is,"
        " to be restored from a snapshot or deleted by an operator"
    )


def whole_ids(core: Core, texts: Iterable[str], path: str) -> list[str]:
    """Whole ids for ids and prefixes; NotFound and InvalidArgument as `one_task`."""
    return [
        text
        if len(text) == LENGTH and core.get(text) is not None
        else one_task(core, text, f"{path}[{index}]").id
        for index, text in enumerate(texts)
    ]


def is_dynamic(wanted: TaskFilter) -> bool:
    """Whether a task can begin or cease to match in the course of its life."""
    return bool(wanted.states or wanted.workers)


def worker_test(message: Any) -> Callable[[Worker], bool]:
    """Whether a worker is one of those that a WorkerFilter means."""
    pattern = _pattern(message.names) if message.names else None
    verdicts = frozenset(message.verdicts)
    labels = dict(message.labels)

    def test(worker: Worker) -> bool:
        return (
            (pattern is None or pattern.match(worker.name) is not None)
            and (not verdicts or worker.verdict in verdicts)
            and all(worker.labels.get(key) == value for key, value in labels.items())
        )

    return test


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    """One pattern for names in which "*" stands for any characters."""
    parts = (translate(re.sub(r"([?\[])", r"[\1]", name)) for name in names)
    return re.compile("|".join(parts))
