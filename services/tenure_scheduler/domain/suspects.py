"""Which task may be the reason why its workers are lost?

A suspect is a task with `SUSPECTED_FROM` counted losses since it was last released. A worker runs one suspect
at a time, beside any number of other tasks: placement looks at `Task.shape`, which is another one for
suspects. When a worker is lost while a suspect runs on it, the loss counts for the suspect only: whoever is
the reason is alone with the blame. Losses that do not count, as those in a storm or a drain, make nobody a
suspect.
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


def excuse(worker: Worker | None, task: Task, attempt: Attempt) -> str:
    """Why another task is to blame for a loss; empty: none is."""
    if worker is None or task.suspect or attempt.evidence not in WITH_THEIR_WORKER:
        return ""
    if worker.blamed == attempt.session or any(s.attempts[-1].started_ns for s in worker.suspects.values()):
        return "a task that was lost before ran on the same worker"
    return ""


def blame(worker: Worker | None, attempt: Attempt, outcome: AttemptOutcome) -> None:
    """Remember that a suspect was lost with its worker: attempts beside it may be given up later than it."""
    lost = outcome is AttemptOutcome.LOST and attempt.evidence in WITH_THEIR_WORKER
    if worker is not None and lost and attempt.started_ns:
        worker.blamed = attempt.session


def blame_again(world: World, task: Task) -> None:
    """As `blame`, for what the record of a task says: an earlier leader may have been cut off on the way."""
    counted = [attempt for attempt in task.attempts if attempt.counted]
    for attempt in counted[-task.losses :][SUSPECTED_FROM:]:
        worker = world.workers.get(attempt.worker)
        lost = attempt.outcome is AttemptOutcome.LOST and attempt.evidence in WITH_THEIR_WORKER
        if worker is not None and lost:
            worker.blamed = max(worker.blamed, attempt.session)
