"""Which numbers does a leader tell about itself?

Counted from what is committed, batch by batch; nothing is looked at while telemetry is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tenure_core.states import TERMINAL, AttemptOutcome, LogState
from tenure_core.timing import SECOND_NS
from tenure_runtime import telemetry_metrics as metrics
from tenure_runtime.telemetry import Telemetry, Value
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.model import Task


class Measures:
    """The metrics of one replica; `leads` and `ended` say whose memory the gauges read."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.on = type(telemetry) is not Telemetry
        self._telemetry = telemetry
        self._core: Core | None = None
        self._log_open: set[str] = set()
        """Finished tasks that are counted already and will be written once more for their log."""
        self._lost: set[tuple[str, int]] = set()
        telemetry.watch(metrics.TASKS, self._tasks)
        telemetry.watch(metrics.WORKERS, self._workers)

    def leads(self, core: Core) -> None:
        """This replica leads with this memory."""
        self._core = core

    def ended(self) -> None:
        """It leads no more."""
        self._core = None
        self._log_open.clear()
        self._lost.clear()

    def committed(self, tasks: Iterable[Task], seconds: float) -> None:
        """A batch with these records was committed; called before they learn its revision."""
        if not self.on:
            return
        self._telemetry.record(metrics.COMMIT_SECONDS, seconds)
        submitted = 0
        for task in tasks:
            submitted += not task.revision
            if task.state in TERMINAL:
                self._finished(task)
            self._count_loss(task)
        if submitted:
            self._telemetry.add(metrics.TASKS_SUBMITTED, submitted)

    def _finished(self, task: Task) -> None:
        is_open = task.log_state is LogState.OPEN
        if task.id in self._log_open:
            if not is_open:
                self._log_open.discard(task.id)
            return
        if is_open:
            self._log_open.add(task.id)
        self._telemetry.add(metrics.TASKS_FINISHED, state=task.state.name)
        if task.attempts and task.attempts[0].number == 1:
            waited = (task.attempts[0].assigned_ns - task.created_ns) / SECOND_NS
            self._telemetry.record(metrics.TASK_WAIT_SECONDS, max(waited, 0.0))

    def _count_loss(self, task: Task) -> None:
        newest = task.attempts[-1] if task.attempts else None
        if newest is None or newest.outcome is not AttemptOutcome.LOST:
            return
        key = (task.id, newest.number)
        if key not in self._lost:
            self._lost.add(key)
            evidence = newest.evidence.name if newest.evidence is not None else "UNKNOWN"
            self._telemetry.add(metrics.ATTEMPTS_LOST, evidence=evidence)

    def refused(self, count: int) -> None:
        """So many reports came from holders whose tenure had ended."""
        if count:
            self._telemetry.add(metrics.STALE_REFUSED, count, what="report")

    def _tasks(self) -> Iterator[tuple[float, Mapping[str, Value]]]:
        if self._core is not None:
            for state, count in self._core.counts().items():
                yield float(count), {"state": state.name}

    def _workers(self) -> Iterator[tuple[float, Mapping[str, Value]]]:
        verdicts: dict[str, int] = {}
        if self._core is not None:
            for worker in self._core.workers().values():
                verdicts[worker.verdict.name] = verdicts.get(worker.verdict.name, 0) + 1
        for verdict, count in verdicts.items():
            yield float(count), {"verdict": verdict}
