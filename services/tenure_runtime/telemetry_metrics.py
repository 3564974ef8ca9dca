"""Which ten numbers say how a Tenure cluster fares?

The only place where metrics are defined; names follow OpenTelemetry's conventions, durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: a counter only grows, a histogram collects samples, a gauge is read when it is sent."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    attributes: tuple[str, ...] = ()


RPC_SECONDS: Final = Metric(
    "tenure.rpc.duration", "histogram", "s", "Time to serve a call", ("method", "code")
)
TASKS_SUBMITTED: Final = Metric("tenure.tasks.submitted", "counter", "{task}", "Tasks accepted")
TASKS_FINISHED: Final = Metric(
    "tenure.tasks.finished", "counter", "{task}", "Tasks that reached a terminal state", ("state",)
)
TASKS: Final = Metric("tenure.tasks", "gauge", "{task}", "Tasks that the leader holds", ("state",))
TASK_WAIT_SECONDS: Final = Metric(
    "tenure.task.wait", "histogram", "s", "From submission to the first assignment, a not_before included"
)
ATTEMPTS_LOST: Final = Metric(
    "tenure.attempts.lost", "counter", "{attempt}", "Attempts lost with their worker", ("evidence",)
)
STALE_REFUSED: Final = Metric(
    "tenure.stale.refused", "counter", "{report}", "Reports of holders whose tenure had ended", ("what",)
)
COMMIT_SECONDS: Final = Metric("tenure.commit.duration", "histogram", "s", "One group commit to etcd")
WORKERS: Final = Metric("tenure.workers", "gauge", "{worker}", "Registered workers", ("verdict",))
LOG_BYTES: Final = Metric(
    "tenure.logs.bytes", "counter", "By", "Bytes of task output made durable by a relay", ("channel",)
)

METRICS: Final = (
    RPC_SECONDS,
    TASKS_SUBMITTED,
    TASKS_FINISHED,
    TASKS,
    TASK_WAIT_SECONDS,
    ATTEMPTS_LOST,
    STALE_REFUSED,
    COMMIT_SECONDS,
    WORKERS,
    LOG_BYTES,
)
