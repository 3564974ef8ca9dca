"""Which task may be the reason why its workers are lost?

A suspect is a task with `SUSPECTED_FROM` counted losses since it was last released. A worker has one suspect
on probation at a time, beside any number of other tasks: placement looks at `Task.shape`, which is another
one for suspects. When a worker is lost while it has one, the loss counts for that one only: whoever is the
reason is alone with the blame. The probation ends with the attempt or after a while of running, so that two
innocents that run for days do not keep all others waiting. Losses that do not count, as those in a storm or a
drain, make nobody a suspect.
"""

from __future__ import annotations

from typing import Final

from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_scheduler.domain.model import SUSPECTED_FROM, Attempt, Task, Worker
from tenure_scheduler.domain.world import World

E = LossEvidence
WITH_THEIR_WORKER: Final = frozenset(
    {
        E.LEASE_EXPIRED,
        E.AGENT_UNREACHABLE,
        E.HOST_REBOOTED,
        E.WARDEN_DIED,
        E.WORKER_REPLACED,
        E.DECLARED_DEAD,
    }
)
"""Evidence of losses that befall all attempts of a worker."""


def watch(world: World, worker: Worker, task: Task) -> None:
    """The worker has an attempt of a suspect: its probation begins."""
    worker.suspects[task.id] = task
    _arm(world, worker, task)


def _arm(world: World, worker: Worker, task: Task) -> None:
    due = world.now.boot + world.config.probation
    world.timers.at(due, _probation_is_over, world, worker, task, task.attempt)


def _probation_is_over(world: World, worker: Worker, task: Task, number: int) -> None:
    if worker.suspects.get(task.id) is not task or task.attempt != number:
        return
    if worker.ready and task.attempts[-1].started_ns:
        del worker.suspects[task.id]
        world.queue.gained[worker] = None
    else:
        _arm(world, worker, task)  # it may have just taken its worker down


def excuse(worker: Worker | None, task: Task, attempt: Attempt) -> str:
    """Why another task is to blame for a loss; empty: none is."""
    if worker is None or task.id in worker.suspects or attempt.evidence not in WITH_THEIR_WORKER:
        return ""
    ran = any(worker.may_have_started(suspect.attempts[-1]) for suspect in worker.suspects.values())
    if ran or worker.blamed == attempt.session:
        return "a task that was lost before ran on the same worker"
    return ""


def blame(worker: Worker | None, task: Task, attempt: Attempt, outcome: AttemptOutcome) -> None:
    """Remember that a suspect was lost with its worker: attempts beside it may be given up later than it."""
    if worker is None or task.id not in worker.suspects:
        return
    lost = outcome is AttemptOutcome.LOST and attempt.evidence in WITH_THEIR_WORKER
    if lost and worker.may_have_started(attempt):
        worker.blamed = attempt.session


def blame_again(world: World, task: Task) -> None:
    """As `blame`, for what the record of a task says: an earlier leader may have been cut off on the way."""
    counted = [attempt for attempt in task.attempts if attempt.counted]
    for attempt in counted[-task.losses :][SUSPECTED_FROM:]:
        worker = world.workers.get(attempt.worker)
        lost = attempt.outcome is AttemptOutcome.LOST and attempt.evidence in WITH_THEIR_WORKER
        if worker is not None and lost:
            worker.blamed = max(worker.blamed, attempt.session)
