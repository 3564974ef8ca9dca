"""What becomes of what an earlier incarnation left open?

After a restore the records say where tasks were when the snapshot was taken. What happened since is not
known: an open attempt may have ended, may run on, or another one may run in its place. All of them are fenced
by their n, so each task simply goes on with its next attempt. Only an exclusive task waits until every warden
of before has reached its deadline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tenure_core.states import PLACED, LossEvidence, OnDisconnect, TaskState
from tenure_scheduler.domain.assign import back_off
from tenure_scheduler.domain.losses import WORDS, lose_when_safe
from tenure_scheduler.domain.model import Task
from tenure_scheduler.domain.results import lose
from tenure_scheduler.domain.world import World

_QUEUED: Final = frozenset({TaskState.PENDING, TaskState.BACKOFF})


def give_up_earlier(world: World, tasks: Iterable[Task], began: int) -> None:
    """Give up every attempt that was left open before the revision at which this incarnation began.

    `tasks` are those of which it may be true. A record that was written since is looked at no more, unless
    the task still waits, so a leader that is cut off on the way leaves the rest to the next one.
    """
    evidence = LossEvidence.STORE_RESTORED
    safe_at = world.now.boot + world.config.grace
    for task in tasks:
        waited = task.state in PLACED and task.attempts[-1].n
        if task.revision >= began and not waited:
            continue
        exclusive = task.profile.on_disconnect is OnDisconnect.STOP
        if task.state in PLACED:
            saw = (
                f"its record is of revision {task.revision}, incarnation {world.n} began at revision {began}"
            )
            if exclusive:
                lose_when_safe(world, task, safe_at, evidence, saw)
            else:
                lose(world, task, task.attempts[-1], evidence, WORDS[evidence], saw)
        elif exclusive and task.state in _QUEUED:
            until_ns = max(task.next_attempt_ns, world.now.utc_after(world.config.grace))
            back_off(world, task, until_ns, WORDS[evidence])
