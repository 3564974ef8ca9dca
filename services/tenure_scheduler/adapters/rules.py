"""When is a request to the scheduler valid?

One table per message; a test keeps them complete against the descriptors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tenure.dispatch.v1 import log_ingest_service_pb2 as ingest_pb
from tenure.dispatch.v1 import worker_session_service_pb2 as session_pb
from tenure.v1 import cluster_service_pb2 as cluster_pb
from tenure.v1 import task_pb2 as task_pb
from tenure.v1 import task_service_pb2 as tasks_pb
from tenure.v1 import task_type_service_pb2 as types_pb
from tenure.v1 import worker_admin_service_pb2 as workers_pb
from tenure_runtime.rpc.validation import (
    Rules,
    Validator,
    anything,
    duration,
    enum,
    mapping,
    message,
    number,
    one_of,
    repeated,
    text,
    timestamp,
    whole,
)
from tenure_scheduler.adapters.spec_rules import SPEC_RULES, identifier, label_key, task_spec
from tenure_scheduler.domain.requests import LONGEST_DRAIN

SUBMIT_TASKS: Final = 500
_ID: Final = "[0-9a-hjkmnp-tv-z]{4,20}"
_ID_SAYS: Final = (
    "is not a task id: 20 characters of 0-9, a-z without i, l, o, u, or the first 4 or more of them"
)
_FENCE: Final = r"[1-9][0-9]{0,18}\.[0-9a-hjkmnp-tv-z]{20}\.[1-9][0-9]{0,18}"
_FENCE_SAYS: Final = "is not a fence: <incarnation>.<task id of 20 characters>.<attempt>, as in TENURE_FENCE"
_WORKER: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
_WORKER_SAYS: Final = "use 1 to 128 letters, digits, '.', '_', '-', with a letter or digit at both ends"


def _task_id(*, required: bool = True) -> Any:
    return text(required=required, pattern=_ID, says=_ID_SAYS)


def _worker(*, required: bool = True) -> Any:
    return text(required=required, pattern=_WORKER, says=_WORKER_SAYS)


def _workers() -> Any:
    return repeated(_worker(), min=1, max=1000, unique=True)


def _fence() -> Any:
    return text(required=True, max=64)


def _repeated_request_ids(request: Any) -> Iterator[tuple[str, str]]:
    first: dict[tuple[str, str], int] = {}
    for index, item in enumerate(request.items):
        if not item.request_id:
            continue
        key = (item.spec.namespace or "default", item.request_id)
        if key in first:
            yield f"items[{index}].request_id", f"repeats items[{first[key]}].request_id"
        else:
            first[key] = index


def _filter_needed(request: Any) -> Iterator[tuple[str, str]]:
    if not request.filter.ByteSize():
        yield "filter", "is required: name tasks, a state or a namespace"


RULES: Final[Rules] = {
    **SPEC_RULES,
    tasks_pb.SubmitTasksRequest: {
        "items": repeated(min=1, max=SUBMIT_TASKS),
        "wait": duration(),
        "": whole(_repeated_request_ids),
    },
    tasks_pb.SubmitTasksItem: {
        "request_id": text(
            max=512, pattern=r"[^\x00-\x1f\x7f]{1,128}", says="use up to 128 printable characters"
        ),
        "spec": task_spec(),
    },
    tasks_pb.GetTaskRequest: {"task_id": _task_id(), "view": enum(required=False)},
    tasks_pb.ListTasksRequest: {
        "filter": message(),
        "page_size": number(min=1, max=1000),
        "page_token": text(max=200),
        "view": enum(required=False),
    },
    tasks_pb.CountTasksRequest: {"filter": message()},
    tasks_pb.WatchTasksRequest: {
        "filter": message(),
        "resume_token": text(max=200),
        "view": enum(required=False),
        "changes_only": anything(),
    },
    tasks_pb.WaitTasksRequest: {
        "task_ids": repeated(_task_id(), min=1, max=1000, unique=True),
        "mode": enum(required=False),
        "timeout": duration(),
    },
    tasks_pb.CancelTasksRequest: {
        "filter": message(),
        "reason": text(max=2000, pattern=r"[^\x00]{0,500}", says="use up to 500 characters"),
        "": whole(_filter_needed),
    },
    tasks_pb.RetryTaskRequest: {"task_id": _task_id(), "request_id": text(max=512)},
    tasks_pb.ReleaseTasksRequest: {"filter": message(), "": whole(_filter_needed)},
    tasks_pb.ExplainTaskRequest: {"task_id": _task_id()},
    tasks_pb.GetTaskHistoryRequest: {"task_id": _task_id()},
    task_pb.TaskFilter: {
        "ids": repeated(_task_id(), max=1000),
        "namespaces": repeated(identifier(required=True), max=100),
        "states": repeated(enum(), max=20),
        "names": repeated(text(required=True, max=800), max=100),
        "labels": mapping(label_key(), text(max=255), max=64),
        "queues": repeated(identifier(required=True), max=100),
        "workers": repeated(_worker(), max=1000),
    },
    workers_pb.WorkerFilter: {
        "names": repeated(text(required=True, max=200), max=1000),
        "verdicts": repeated(enum(), max=10),
        "labels": mapping(label_key(), text(max=255), max=64),
    },
    workers_pb.ListWorkersRequest: {"filter": message()},
    workers_pb.GetWorkerRequest: {"name": _worker()},
    workers_pb.CordonWorkersRequest: {"names": _workers(), "reason": text(max=2000)},
    workers_pb.UncordonWorkersRequest: {"names": _workers()},
    workers_pb.DrainWorkersRequest: {
        "names": _workers(),
        "deadline": duration(min=0.001, max=LONGEST_DRAIN),
        "reason": text(max=2000),
    },
    workers_pb.CancelDrainRequest: {"names": _workers()},
    workers_pb.DeclareWorkersDeadRequest: {"names": _workers(), "reason": text(max=2000)},
    cluster_pb.GetServerInfoRequest: {},
    cluster_pb.VerifyFenceRequest: {"fence": text(required=True, pattern=_FENCE, says=_FENCE_SAYS)},
    types_pb.ListTaskTypesRequest: {},
    types_pb.GetTaskTypeRequest: {"name": text(required=True, max=200)},
    workers_pb.Capacity: {
        "cpu_milli": number(min=0),
        "memory_bytes": number(min=0, max=1 << 62),
        "counts": mapping(label_key(), number(min=0, max=1 << 62), max=100),
        "indexed": mapping(label_key(), number(min=0, max=4096), max=100),
    },
    session_pb.SessionRequest: {
        "kind": one_of(),
        "hello": message(),
        "report": anything(),
        "hold": anything(),
    },
    session_pb.Hello: {
        "worker": _worker(),
        "instance": text(required=True, max=64),
        "boot_id": text(required=True, max=64),
        "connect": number(required=True, min=1),
        "incarnation": anything(),
        "epoch": anything(),
        "welcomed": anything(),
        "forward": anything(),
        "version": text(max=100),
        "capacity": message(required=True),
        "labels": mapping(label_key(), text(max=255), max=200),
        "task_types": repeated(text(required=True, max=200), max=1000, unique=True),
        "held": repeated(max=100_000),
        "reduced_guarantees": repeated(text(max=500), max=100),
    },
    session_pb.HeldAttempt: {
        "fence": _fence(),
        "started": anything(),
        "started_at": timestamp(),
        "result": message(),
        "pid": anything(),
        "stopping": anything(),
        "start_ticks": anything(),
    },
    session_pb.AttemptResult: {
        "outcome": enum(),
        "exit_code": anything(),
        "signal": anything(),
        "reason": text(max=8000),
        "evidence": enum(required=False),
        "started_at": timestamp(),
        "ended_at": timestamp(),
        "log": anything(),
        "pid": anything(),
        "start_ticks": anything(),
    },
    session_pb.BeatRequest: {
        "worker": _worker(),
        "session": number(required=True, min=1),
        "lease_id": number(required=True),
        "live_revision": number(required=True, min=1),
    },
    ingest_pb.ReportLogStateRequest: {
        "relay": text(required=True, max=128),
        "attempts": repeated(min=1, max=1000),
    },
    ingest_pb.AttemptLogState: {"fence": _fence(), "log_state": enum(), "missing_bytes": anything()},
}


def validator() -> Validator:
    """The compiled tables; one per server, since it remembers specs found valid."""
    return Validator(RULES)
