"""How do submissions become events, and the core's answers their results?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from google.rpc.status_pb2 import Status

from tenure.v1 import task_service_pb2 as pb
from tenure_core import errors
from tenure_core.errors import AlreadyExists, TenureError
from tenure_runtime.rpc.status import to_status
from tenure_scheduler.adapters.specs import SpecReader, differing_paths
from tenure_scheduler.domain.commands import AnswerError, AnswerSubmit, SubmitKind
from tenure_scheduler.domain.events import SubmitItem
from tenure_scheduler.domain.model import Task

_ERRORS: Final[dict[str, type[TenureError]]] = {
    cls.reason: cls for cls in (errors.NotFound, errors.FailedPrecondition, errors.AlreadyExists)
}


class NewId(Protocol):
    """Makes ids of tasks."""

    def __call__(self) -> str:
        """A fresh one."""


def items_of(
    request: pb.SubmitTasksRequest, specs: SpecReader, new_id: Callable[[], str], traceparent: str
) -> list[SubmitItem]:
    """The items of a valid request."""
    read = specs.read
    items = []
    for item in request.items:
        spec, profile, name, labels, not_before_ns = read(item.spec)
        items.append(
            SubmitItem(new_id(), profile, spec, name, labels, item.request_id, not_before_ns, traceparent)
        )
    return items


def results_of(answer: AnswerSubmit, items: list[SubmitItem]) -> pb.SubmitTasksResponse:
    """The response to SubmitTasks."""
    response = pb.SubmitTasksResponse()
    add = response.results.add
    for (kind, task), item in zip(answer.results, items, strict=True):
        if kind is SubmitKind.CREATED:
            add(task_id=task.id, created=True)
        elif kind is SubmitKind.EXISTING:
            add(task_id=task.id)
        else:
            _add_conflict(response, task, item)
    return response


def _add_conflict(response: pb.SubmitTasksResponse, task: Task, item: SubmitItem) -> None:
    """Equal meanings in different bytes are the same spec: newer clients may serialize otherwise."""
    differing = differing_paths(task.spec, item.spec)
    if not differing:
        response.results.add(task_id=task.id)
    else:
        response.results.add(error=conflict(task, differing))


def conflict(task: Task, differing: list[str]) -> Status:
    """The status of an item whose request id made another task."""
    paths = tuple(f"spec.{path}" for path in differing)
    sentence = (
        f"request id {task.request_id!r} made task {task.id}, whose spec differs in {', '.join(paths[:20])}"
    )
    return to_status(AlreadyExists(sentence, kind="task", name=task.id, differing=paths))


def raise_error(answer: AnswerError) -> None:
    """Raise what the core answered."""
    raise _ERRORS.get(answer.reason, errors.FailedPrecondition)(answer.message)
