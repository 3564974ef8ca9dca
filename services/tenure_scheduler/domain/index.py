"""By what are tasks found?

Kept up to date by the leader, and by each standby for the day on which it leads.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure_scheduler.domain.model import Task


class TaskIndex:
    """Tasks by their id, and by namespace and request id."""

    __slots__ = ("requests", "tasks")

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self.tasks: dict[str, Task] = {}
        self.requests: dict[str, dict[str, Task]] = {}
        for task in tasks:
            self.add(task)

    def add(self, task: Task) -> None:
        """From now on `task` is found."""
        self.tasks[task.id] = task
        if task.request_id:
            namespace = task.profile.namespace
            known = self.requests.get(namespace)
            if known is None:
                known = self.requests[namespace] = {}
            known[task.request_id] = task

    def remove(self, task_id: str) -> None:
        """No longer find the task; nothing happens if there is none."""
        task = self.tasks.pop(task_id, None)
        if task is not None and task.request_id:
            known = self.requests[task.profile.namespace]
            if known.get(task.request_id) is task:
                del known[task.request_id]

    def of_request(self, namespace: str, request_id: str) -> Task | None:
        """The task that a request made."""
        known = self.requests.get(namespace)
        return known.get(request_id) if known is not None else None
