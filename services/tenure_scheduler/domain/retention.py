"""When is a finished task forgotten?

After `retention`, or when more than `retained_tasks` newer ones have finished, and
earlier while the store is nearly full. A watch cannot resume from
before a deletion, so each deletion raises the watch floor to the highest revision at which a removed task
changed.
"""

from __future__ import annotations

from tenure_core.states import WorkerVerdict
from tenure_core.timing import SECOND_NS
from tenure_scheduler.domain.events import StoreFilled
from tenure_scheduler.domain.model import Task, Worker
from tenure_scheduler.domain.world import RemovedTask, RemovedWorker, World

INTERVAL = 30.0
NEXT_BATCH = 0.25
SEEN_SECONDS = 60
"""A task that has just ended is kept however full the store is: somebody may be about to ask for it."""


def arm(world: World) -> None:
    """Set the first timer."""
    world.timers.at(world.now.boot + INTERVAL, sweep, world)


def on_store_filled(world: World, event: StoreFilled) -> None:
    """The fuller the store, the fewer finished tasks are kept: from as many as there were down to none."""
    if event.pressure <= 0:
        world.keeps, world.filled_from = world.config.retained_tasks, None
        return
    if world.filled_from is None:
        world.filled_from = len(world.finished)
    share = 1 - min(event.pressure, 1.0)
    world.keeps = min(world.config.retained_tasks, int(world.filled_from * share))
    remove_tasks(world)


def sweep(world: World) -> None:
    """Remove what is too old or too much, a bounded number at a time, and come again."""
    more = remove_tasks(world)
    _remove_workers(world)
    world.timers.at(world.now.boot + (NEXT_BATCH if more else INTERVAL), sweep, world)


def remove_tasks(world: World) -> bool:
    """Remove the oldest finished tasks that need not be kept; whether there are more of them."""
    finished = world.finished
    too_old = world.now.utc_ns - int(world.config.retention * SECOND_NS)
    seen = world.now.utc_ns - SEEN_SECONDS * SECOND_NS
    for _ in range(world.config.retention_batch):
        if not finished:
            return False
        task = finished[0]
        # A record that is not written yet has no revision to raise the floor to.
        expired = task.finished_ns <= too_old or (
            len(finished) > world.keeps and (world.filled_from is None or task.finished_ns <= seen)
        )
        if task.dirty or not expired:
            return False
        finished.popleft()
        _forget(world, task)
    return True


def _forget(world: World, task: Task) -> None:
    world.index.remove(task.id)
    world.counts[task.state] -= 1
    world.open_logs.pop(task.id, None)
    world.floor = max(world.floor, task.revision)
    world.floor_dirty = True
    world.remove(RemovedTask(task))
    world.removed += 1
    if world.removed > 1_000 and world.removed * 2 > len(world.order):
        world.order = [kept for kept in world.order if world.tasks.get(kept.id) is kept]
        world.removed = 0


def _remove_workers(world: World) -> None:
    """Forget workers that were lost or retired as long ago as a task would be."""
    too_old = world.now.utc_ns - int(world.config.retention * SECOND_NS)
    for worker in list(world.workers.values()):
        if _is_forgettable(worker) and worker.updated_ns <= too_old:
            del world.workers[worker.name]
            world.remove(RemovedWorker(worker.name))
            world.fleet_version += 1


def _is_forgettable(worker: Worker) -> bool:
    gone = worker.verdict in (WorkerVerdict.LOST, WorkerVerdict.RETIRED)
    return gone and not (worker.attempts or worker.joining or worker.live_revision or worker.dirty)
