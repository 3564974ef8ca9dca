"""Does a leader count what is committed once, whatever is written again afterwards?"""

from __future__ import annotations

from collections import Counter

from tenure_runtime import telemetry_metrics as metrics
from tenure_runtime.telemetry import Telemetry, Value
from tenure_runtime.telemetry_metrics import Metric
from tenure_scheduler.adapters.measures import Measures
from tests.domain.scheduler.rig import Rig, Spec, failed


class Counted(Telemetry):
    """Telemetry that adds up instead of sending."""

    on = True

    def __init__(self) -> None:
        self.totals: Counter[tuple[str, Value]] = Counter()

    def add(self, metric: Metric, amount: int = 1, **attributes: Value) -> None:
        self.totals[(metric.name, next(iter(attributes.values()), ""))] += amount


class Measured(Rig):
    """A leader whose commits are measured, as the shell does it."""

    def __init__(self) -> None:
        self.counted = Counted()
        self.measures = Measures(self.counted)
        super().__init__()

    def commit(self, max_ops: int = 1_000) -> None:
        self.measures.committed(list(self.core.world.tasks.values()), 0.0)
        super().commit(max_ops)

    def depose(self, *, past_grace: bool = False) -> None:
        super().depose(past_grace=past_grace)
        self.measures.leads(self.core)

    def count(self, metric: Metric, attribute: Value = "") -> int:
        return self.counted.totals[(metric.name, attribute)]


def test_the_end_and_the_loss_of_a_task_count_once() -> None:
    rig = Measured()
    first = rig.worker("w1")
    task = rig.a_task(Spec()).running_on(first)
    second = rig.worker("w2")
    rig.expire(first)
    second.starts(task)
    second.succeeds(task)
    first.held = []
    first.hello()
    first.report(failed(rig.fence(task, 1)))
    assert task.attempts[0].late is not None, "the record was not written again"

    def counts() -> tuple[int, int, int]:
        return (
            rig.count(metrics.TASKS_SUBMITTED),
            rig.count(metrics.TASKS_FINISHED, "SUCCEEDED"),
            rig.count(metrics.ATTEMPTS_LOST, "LEASE_EXPIRED"),
        )

    assert counts() == (1, 1, 1)
    rig.depose(past_grace=True)
    rig.commit()
    assert counts() == (1, 1, 1), "the next leader counted again what its predecessor had"
