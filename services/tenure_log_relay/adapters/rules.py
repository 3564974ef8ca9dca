"""When is a request to the relay valid?

One table per message; a test keeps them complete against the descriptors. What depends on several fields of
a tail is checked in `tail_request`.
"""

from __future__ import annotations

from typing import Any, Final

from tenure.dispatch.v1 import log_ingest_service_pb2 as ingest_pb
from tenure.v1 import log_service_pb2 as logs_pb
from tenure.v1 import task_pb2 as task_pb
from tenure_runtime.rpc.validation import Rules, Validator, anything, enum, one_of, repeated, text, timestamp

_ID: Final = "[0-9a-hjkmnp-tv-z]{4,20}"
_ID_SAYS: Final = (
    "is not a task id: 20 characters of 0-9, a-z without i, l, o, u, or the first 4 or more of them"
)


def _task_id(*, required: bool = True) -> Any:
    return text(required=required, pattern=_ID, says=_ID_SAYS)


RULES: Final[Rules] = {
    logs_pb.TailLogsRequest: {
        "task_id": _task_id(required=False),
        "attempt": anything(),
        "channels": repeated(enum(), max=3),
        "from": one_of(required=False),
        "cursor": text(max=300),
        "last_lines": anything(),
        "since": timestamp(),
        "offset": anything(),
        "follow": anything(),
        "format": enum(required=False),
        "filter": anything(),
        "tasks": anything(),
        "entry_cursors": anything(),
    },
    logs_pb.LogFilter: {
        "minimum_level": anything(),
        "expression": text(max=1000),
        "until": anything(),
    },
    task_pb.TaskFilter: {
        name: anything() for name in ("ids", "namespaces", "states", "names", "labels", "queues", "workers")
    },
    logs_pb.ListLogStreamsRequest: {"task_id": _task_id()},
    ingest_pb.PushRequest: {"worker": text(max=128), "chunks": anything()},
    ingest_pb.PushChunk: {"fence": anything(), "frames": anything(), "final_frames": anything()},
}


def validator() -> Validator:
    """The compiled tables."""
    return Validator(RULES)
