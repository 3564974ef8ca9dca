"""How does a process body become an order for the warden?"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from tenure.v1.task_spec_pb2 import LogOverflow, OnDisconnect, TaskSpec
from tenure_core.timing import Duration
from tenure_worker_agent.domain.plans import RunProcess

_OVERFLOW: Final = {
    LogOverflow.LOG_OVERFLOW_DROP_OLDEST: "drop_oldest",
    LogOverflow.LOG_OVERFLOW_BLOCK: "block",
    LogOverflow.LOG_OVERFLOW_FAIL: "fail",
}
_NAME: Final = str.maketrans(dict.fromkeys("./-", "_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What tasks are told of their node, and its defaults."""

    worker: str
    grace: Duration
    """Between TERM and KILL, for tasks that do not say."""
    overflow: str = "drop_oldest"
    """What happens when an attempt's output reaches its limit, for tasks that do not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one attempt was given besides its spec."""

    fence: str
    traceparent: str = ""
    indexes: dict[str, list[int]] = field(default_factory=dict)


def plan_process(spec: TaskSpec, grant: Grant, node: Node) -> RunProcess:
    """The order for a process body."""
    body = spec.process
    return plan_command(
        spec, grant, node, list(body.argv), dict(body.env), body.working_directory, body.stdin
    )


def plan_command(
    spec: TaskSpec,
    grant: Grant,
    node: Node,
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    stdin: bytes,
) -> RunProcess:
    """The order for any command, with everything that the spec says about attempts in general."""
    env.update(identity(grant, node))
    order: dict[str, Any] = {"argv": argv, "env": env}
    if cwd:
        order["cwd"] = cwd
    if stdin:
        order["stdin"] = base64.b64encode(stdin).decode()
    if memory := spec.resources.memory_bytes:
        order["memory"] = memory
    grace, run_limit = node.grace, 0.0
    if spec.HasField("timeouts"):
        timeouts = spec.timeouts
        if timeouts.HasField("stop_grace"):
            grace = timeouts.stop_grace.ToNanoseconds() / 1e9
        if timeouts.HasField("run"):
            order["run_limit"] = run_limit = timeouts.run.ToNanoseconds() / 1e9
    order["grace"] = grace
    order["overflow"] = node.overflow
    if spec.HasField("logs"):
        order["overflow"] = _OVERFLOW.get(spec.logs.overflow, node.overflow)
        order["log_cap"] = spec.logs.max_unacked_bytes
    exclusive = spec.on_disconnect == OnDisconnect.ON_DISCONNECT_STOP
    return RunProcess(order, grace, exclusive, run_limit)


def identity(grant: Grant, node: Node) -> dict[str, str]:
    """The variables by which a task knows who it is; no task can set them itself."""
    _, task, attempt = grant.fence.split(".")
    variables = {
        "TENURE_FENCE": grant.fence,
        "TENURE_TASK_ID": task,
        "TENURE_ATTEMPT": attempt,
        "TENURE_WORKER": node.worker,
    }
    if grant.traceparent:
        variables["TRACEPARENT"] = grant.traceparent
    for name, indexes in grant.indexes.items():
        variables[f"TENURE_RESOURCE_{name.upper().translate(_NAME)}"] = ",".join(map(str, indexes))
    return variables
