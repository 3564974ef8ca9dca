"""Does what a worker holds agree with what is recorded, and what repairs the difference?

With every beat an agent says what it holds: a level, not an edge, so that whatever was lost on the way heals
with the next one. In short first; only if that is not what this leader expects the whole list is asked for.
Both speak for the commands that the agent had processed, and nothing beyond them is judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from tenure_core.levels import HeldPhase, level_digest
from tenure_core.states import LossEvidence
from tenure_scheduler.domain.events import DigestReported, LevelReported
from tenure_scheduler.domain.model import Attempt, Task, Worker
from tenure_scheduler.domain.reports import forget, heard, miss, settle_held, speaker
from tenure_scheduler.domain.world import World


def on_digest(world: World, event: DigestReported) -> None:
    """An agent said in short what it holds: ask for the list if that is not what it should hold."""
    worker = speaker(world, event.worker, event.stream)
    if worker is None:
        return
    heard(world, worker, event)
    if event.digest != level_digest(_expected(world, worker, event.processed)):
        world.to_worker(worker).list_held = True


def _expected(world: World, worker: Worker, processed: int) -> Iterator[tuple[str, HeldPhase]]:
    """What a worker holds that did all that it was told up to command number `processed`."""
    n = world.n
    for task, attempt in _told(world, worker, processed):
        phase = HeldPhase.STARTED if attempt.started_ns else HeldPhase.HELD
        if attempt.stopping is not None and attempt.stop_number <= processed:
            phase = HeldPhase.STOPPING
        yield f"{n}.{task.id}.{attempt.number}", phase
    for fence in worker.leftovers:
        yield str(fence), HeldPhase.STOPPING


def _told(world: World, worker: Worker, processed: int) -> Iterator[tuple[Task, Attempt]]:
    """The open attempts that the worker knows of.

    Not those exclusive ones that an earlier session left: they go on only when that one is over for certain.
    """
    for task in list(worker.attempts.values()):
        attempt = task.attempts[-1]
        if attempt.start_number <= processed and task.id not in world.exclusive:
            yield task, attempt


def on_level(world: World, event: LevelReported) -> None:
    """An agent listed all that it holds: repair what does not agree, up to the last command it processed."""
    worker = speaker(world, event.worker, event.stream)
    if worker is None:
        return
    heard(world, worker, event)
    settle_held(world, worker, event.held, adopt=True, processed=event.processed)
    held = {report.fence for report in event.held}
    for fence in [fence for fence in worker.leftovers if fence not in held]:
        forget(world, worker, fence)
    for task, attempt in _told(world, worker, event.processed):
        if world.fence(task, attempt) not in held:
            saw = f"a list of all that it held after command {event.processed} did not name the attempt"
            miss(world, task, attempt, LossEvidence.PROCESS_VANISHED, "its worker no longer has it", saw)
