"""Which keys may a task in a spec file have, and what do they mean?

The keys are the fields of `tenure.v1.TaskSpec`, with units in the values instead of the names: `cpu: 0.5`,
`memory: 64MiB`, `run: 10m`. docs/reference/spec-file.md describes them for people; a test holds both
together.
"""

from __future__ import annotations

from typing import Any, Final

from tenure.specfile.convert import (
    DURATION,
    SIZE,
    AnyJson,
    DictOf,
    ListOf,
    Message,
    OneOf,
    Parsed,
    Text,
    cpu_milli,
    number,
    timestamp,
    whole_number,
)
from tenure.v1 import task_spec_pb2 as pb

_U32: Final = 2**32 - 1
_U64: Final = 2**64 - 1
_TEXT: Final = Text()
_COUNT: Final = whole_number(0, _U32)


class _Stdin(Text):
    """A text that a process reads; kept as it is written, spaces included."""

    __slots__ = ()

    def convert(self, node: Any, path: str, into: Any) -> Any:
        text = super().convert(node, path, into)
        return None if text is None else text.encode()


PROCESS: Final = Message(
    pb.ProcessBody,
    {
        "argv": ("argv", ListOf(_TEXT)),
        "env": ("env", DictOf(_TEXT)),
        "working_directory": ("working_directory", _TEXT),
        "stdin": ("stdin", _Stdin()),
    },
    required=("argv",),
)
CONTAINER: Final = Message(
    pb.ContainerBody,
    {"image": ("image", _TEXT), "argv": ("argv", ListOf(_TEXT)), "env": ("env", DictOf(_TEXT))},
    required=("image",),
)
CALL: Final = Message(
    pb.CallBody,
    {
        "type": ("type", _TEXT),
        "version": ("version", _TEXT),
        "text": ("text", _TEXT),
        "json": ("json", AnyJson()),
    },
    required=("type",),
)
MANUAL: Final = Message(pb.ManualBody, {"topic": ("topic", _TEXT), "payload": ("payload", _Stdin())})
RESOURCES: Final = Message(
    pb.Resources,
    {
        "cpu": ("cpu_milli", Parsed("a number of processors", cpu_milli)),
        "memory": ("memory_bytes", SIZE),
        "counts": ("counts", DictOf(whole_number(0, _U64))),
        "indexed": ("indexed", DictOf(_COUNT)),
    },
)
OPERATORS: Final = {
    "in": pb.CONSTRAINT_OPERATOR_IN,
    "not_in": pb.CONSTRAINT_OPERATOR_NOT_IN,
    "exists": pb.CONSTRAINT_OPERATOR_EXISTS,
    "not_exists": pb.CONSTRAINT_OPERATOR_NOT_EXISTS,
    "greater_than": pb.CONSTRAINT_OPERATOR_GREATER_THAN,
    "less_than": pb.CONSTRAINT_OPERATOR_LESS_THAN,
}
CONSTRAINT: Final = Message(
    pb.Constraint,
    {"key": ("key", _TEXT), "operator": ("operator", OneOf(OPERATORS)), "values": ("values", ListOf(_TEXT))},
    required=("key", "operator"),
)
PREFERENCE: Final = Message(
    pb.Preference,
    {"constraint": ("constraint", CONSTRAINT), "weight": ("weight", whole_number(-100, 100))},
    required=("constraint", "weight"),
)
RETRY: Final = Message(
    pb.RetryPolicy,
    {
        "max_failures": ("max_failures", _COUNT),
        "max_losses": ("max_losses", _COUNT),
        "initial_backoff": ("initial_backoff", DURATION),
        "backoff_factor": ("backoff_factor", number(1, 10)),
        "max_backoff": ("max_backoff", DURATION),
        "jitter": ("jitter", number(0, 1)),
        "retry_exit_codes": ("retry_exit_codes", ListOf(whole_number(-(2**31), 2**31 - 1))),
    },
)
TIMEOUTS: Final = Message(
    pb.Timeouts,
    {"run": ("run", DURATION), "queue": ("queue", DURATION), "stop_grace": ("stop_grace", DURATION)},
)
OVERFLOWS: Final = {
    "drop_oldest": pb.LOG_OVERFLOW_DROP_OLDEST,
    "block": pb.LOG_OVERFLOW_BLOCK,
    "fail": pb.LOG_OVERFLOW_FAIL,
}
LOGS: Final = Message(
    pb.LogPolicy,
    {"max_unacked": ("max_unacked_bytes", SIZE), "overflow": ("overflow", OneOf(OVERFLOWS))},
)
ON_DISCONNECT: Final = {"continue": pb.ON_DISCONNECT_CONTINUE, "stop": pb.ON_DISCONNECT_STOP}
NAMED_PATH: Final = {"name": ("name", _TEXT), "path": ("path", _TEXT)}
BODIES: Final = ("process", "container", "call", "manual")

TASK: Final = Message(
    pb.TaskSpec,
    {
        "name": ("name", _TEXT),
        "namespace": ("namespace", _TEXT),
        "labels": ("labels", DictOf(_TEXT)),
        "queue": ("queue", _TEXT),
        "priority": ("priority", whole_number(-1000, 1000)),
        "process": ("process", PROCESS),
        "container": ("container", CONTAINER),
        "call": ("call", CALL),
        "manual": ("manual", MANUAL),
        "resources": ("resources", RESOURCES),
        "constraints": ("constraints", ListOf(CONSTRAINT)),
        "preferences": ("preferences", ListOf(PREFERENCE)),
        "not_before": ("not_before", Parsed("an instant", timestamp)),
        "retry": ("retry", RETRY),
        "timeouts": ("timeouts", TIMEOUTS),
        "logs": ("logs", LOGS),
        "artifacts": ("artifacts", ListOf(Message(pb.Artifact, NAMED_PATH, required=("name", "path")))),
        "caches": ("caches", ListOf(Message(pb.Cache, NAMED_PATH, required=("name", "path")))),
        "on_disconnect": ("on_disconnect", OneOf(ON_DISCONNECT)),
    },
    exactly_one=BODIES,
)
