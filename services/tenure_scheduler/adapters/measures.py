"""Which numbers does a leader tell about itself?

Counted from what is committed, batch by batch; nothing is looked at while telemetry is off. A leader takes
over where its predecessor stopped counting: what was finished or lost before is not counted again. Gauges are
read by a thread of the exporter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tenure_core.states import TERMINAL, AttemptOutcome, WorkerVerdict
from tenure_core.timing import SECOND_NS
from tenure_runtime import telemetry_metrics as metrics
from tenure_runtime.telemetry import Telemetry, Value
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.model import Attempt, Task


class Measures:
    """The metrics of one replica; `leads` and `ended` say whose memory the gauges read."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.on = telemetry.on
        self._telemetry = telemetry
        self._core: Core | None = None
        telemetry.watch(metrics.TASKS, self._tasks)
        telemetry.watch(metrics.WORKERS, self._workers)

    def leads(self, core: Core) -> None:
        """This replica leads with this memory."""
        self._core = core
        if not self.on:
            return
        for task in core.world.tasks.values():
            task.measured = task.state in TERMINAL
            if lost := _lost_attempts(task):
                task.measured_loss = lost[-1].number

    def ended(self) -> None:
        """It leads no more."""
        self._core = None

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
            self._count_losses(task)
        if submitted:
            self._telemetry.add(metrics.TASKS_SUBMITTED, submitted)

    def _finished(self, task: Task) -> None:
        """Once: a finished task is written again when its log is complete or a late end is told."""
        if task.measured:
            return
        task.measured = True
        self._telemetry.add(metrics.TASKS_FINISHED, state=task.state.name)
        if task.attempts and task.attempts[0].number == 1:
            waited = (task.attempts[0].assigned_ns - task.created_ns) / SECOND_NS
            self._telemetry.record(metrics.TASK_WAIT_SECONDS, max(waited, 0.0))

    def _count_losses(self, task: Task) -> None:
        """Also those behind which the next attempt has begun: loss and reallocation often share a batch."""
        for attempt in _lost_attempts(task):
            if attempt.number > task.measured_loss:
                task.measured_loss = attempt.number
                evidence = attempt.evidence.name if attempt.evidence is not None else "UNKNOWN"
                self._telemetry.add(metrics.ATTEMPTS_LOST, evidence=evidence)

    def refused(self, count: int) -> None:
        """So many reports came from holders whose tenure had ended."""
        if count:
            self._telemetry.add(metrics.STALE_REFUSED, count, what="report")

    def orphaned(self, count: int) -> None:
        """So many attempts of an earlier incarnation were held by a worker that came."""
        self._telemetry.add(metrics.STALE_REFUSED, count, what="orphan")

    def _tasks(self) -> Iterator[tuple[float, Mapping[str, Value]]]:
        if (core := self._core) is not None:
            for state, count in core.counts().items():
                yield float(count), {"state": state.name}

    def _workers(self) -> Iterator[tuple[float, Mapping[str, Value]]]:
        if (core := self._core) is not None:
            # One step of the interpreter: the loop may add a worker at any other moment.
            verdicts = Counter(worker.verdict for worker in tuple(core.workers().values()))
            for verdict in WorkerVerdict:
                yield float(verdicts[verdict]), {"verdict": verdict.name}


def _lost_attempts(task: Task) -> list[Attempt]:
    return [attempt for attempt in task.attempts if attempt.outcome is AttemptOutcome.LOST]
