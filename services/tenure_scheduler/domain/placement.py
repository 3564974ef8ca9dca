"""Which worker gets a task, and why does none fit?

Filter, then score. Filters are worker verdict and session, task type, constraints, room; the score spreads
load (the largest share of any resource in use), honours preferences, and keeps workers with devices free
for tasks that ask for devices. Filters that do not change with load are cached per shape, so that a batch
of alike tasks costs one look at the fleet and then a heap operation each.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from typing import TypeAlias

from tenure_core.labels import preference_score, unmet
from tenure_core.resources import Pool
from tenure_core.states import WorkerPhase, WorkerVerdict
from tenure_scheduler.domain.assign import assign
from tenure_scheduler.domain.model import Task, Worker
from tenure_scheduler.domain.profiles import Shape
from tenure_scheduler.domain.queue import Lane
from tenure_scheduler.domain.world import World

DEVICE_PENALTY = 0.5
Candidates: TypeAlias = list[tuple[float, int, Worker]]


@dataclass(frozen=True, slots=True)
class Placed:
    """This worker takes the task."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class NoFit:
    """No worker takes the task: why not, per worker."""

    reasons: dict[str, tuple[str, ...]]


def static_reasons(shape: Shape, worker: Worker) -> list[str]:
    """Why `worker` can never take such a task, whatever is free; empty: it can."""
    reasons = []
    if shape.kind not in worker.task_types:
        reasons.append(f"it does not run tasks of type {shape.kind!r}")
    failed = unmet(shape.constraints, worker.labels)
    if failed is not None:
        reasons.append(f"constraint not met: {failed} (label is {worker.labels.get(failed.key, 'absent')})")
    reasons += [f"too small: {lack}" for lack in Pool(worker.capacity).lacking(shape.demand)]
    return reasons


def session_reasons(worker: Worker) -> list[str]:
    """Why `worker` takes nothing new at all; empty: it does."""
    reasons = []
    match worker.verdict:
        case WorkerVerdict.ACTIVE:
            pass
        case WorkerVerdict.DRAINING:
            reasons.append("it is being drained" + (f": {worker.reason}" if worker.reason else ""))
        case WorkerVerdict.LOST:
            reasons.append("it is lost")
        case WorkerVerdict.RETIRED:
            reasons.append("it is retired")
    if worker.cordoned:
        reasons.append("it is cordoned" + (f": {worker.reason}" if worker.reason else ""))
    if worker.verdict in (WorkerVerdict.ACTIVE, WorkerVerdict.DRAINING) and not worker.ready:
        reasons.append("it is not connected")
    elif worker.phase == WorkerPhase.STOPPING:
        reasons.append("its node is being shut down")
    return reasons


def room_reasons(world: World, shape: Shape, worker: Worker) -> list[str]:
    """Why `worker` has no room for such a task now; empty: it has."""
    reasons = [f"busy: {lack}" for lack in worker.pool.lacking(shape.demand)]
    if len(worker.attempts) >= world.config.max_attempts_per_worker:
        reasons.append(f"it has {len(worker.attempts)} attempts, the most it may have")
    if shape.alone and worker.suspects:
        reasons.append(f"it runs another task that was lost before: {next(iter(worker.suspects))}")
    return reasons


def suited(world: World, shape: Shape) -> dict[Worker, float]:
    """The workers that take such a task when they have room, each with the part of its score that does not
    change with load; cached until the fleet changes.
    """
    if shape.seen_fleet != world.fleet_version:
        workers = world.workers.values()
        suits = [w for w in workers if w.schedulable and not static_reasons(shape, w)]
        shape.suits = {w: _attraction(shape, w) for w in suits}
        shape.seen_fleet = world.fleet_version
    return shape.suits


def _attraction(shape: Shape, worker: Worker) -> float:
    devices = DEVICE_PENALTY if worker.capacity.indexed and not shape.demand.indexed else 0.0
    return devices - preference_score(shape.preferences, worker.labels)


def score(world: World, shape: Shape, worker: Worker) -> float:
    """How bad `worker` is for such a task; the smallest is taken."""
    crowd = len(worker.attempts) / world.config.max_attempts_per_worker
    return shape.suits[worker] + crowd + worker.pool.share(shape.demand)


def has_room(world: World, shape: Shape, worker: Worker) -> bool:
    """Whether `worker` has room for such a task now."""
    if shape.alone and worker.suspects:
        return False
    return len(worker.attempts) < world.config.max_attempts_per_worker and worker.pool.fits(shape.demand)


def candidates(world: World, shape: Shape) -> Candidates:
    """The workers with room for such a task, as a heap with the best first."""
    most, demand = world.config.max_attempts_per_worker, shape.demand
    found: Candidates = []
    for index, (worker, attraction) in enumerate(suited(world, shape).items()):
        crowd, pool = len(worker.attempts), worker.pool
        if crowd < most and pool.fits(demand) and not (shape.alone and worker.suspects):
            found.append((attraction + crowd / most + pool.share(demand), index, worker))
    if len(found) > 1:
        heapify(found)
    return found


def choose(world: World, task: Task, heap: Candidates) -> Worker | None:
    """The best worker of `heap` that still has room; another than the one to avoid, if another fits."""
    shape = task.shape
    while heap and not has_room(world, shape, heap[0][2]):
        heappop(heap)
    if not heap:
        return None
    best = heap[0][2]
    if task.avoid_until_ns > world.now.utc_ns and task.attempts and task.attempts[-1].worker == best.name:
        return _another(world, shape, heap)
    return best


def _another(world: World, shape: Shape, heap: Candidates) -> Worker:
    avoided = heappop(heap)
    while heap and not has_room(world, shape, heap[0][2]):
        heappop(heap)
    other = heap[0][2] if heap else avoided[2]
    heappush(heap, avoided)
    return other


def place(world: World) -> None:
    """Assign as many waiting tasks as fit, in their order."""
    queue = world.queue
    if queue.gained:
        _unpark(world)
    if not queue.active or world.alarm:
        return
    turn: list[tuple[tuple[int, int], int, Shape, Candidates]] = []
    for number, shape in enumerate(list(queue.active)):
        best = queue.best(shape)
        if best is None:
            queue.drop(shape)
        else:
            turn.append((best[0], number, shape, candidates(world, shape)))
    heapify(turn)
    while turn:
        _, number, shape, heap = turn[0]
        rank = _serve(world, shape, heap, turn[1][0] if len(turn) > 1 else None)
        if rank is None:
            heappop(turn)
        else:
            heapreplace(turn, (rank, number, shape, heap))


def _serve(
    world: World, shape: Shape, heap: Candidates, until: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Assign tasks of one shape until another shape's turn comes; None: none is left, or none fits."""
    queue = world.queue
    while True:
        best = queue.best(shape)
        if best is None:
            queue.drop(shape)
            return None
        rank, task, lane = best
        if until is not None and rank > until:
            return rank
        if not _assign_next(world, task, lane, heap):
            _park(world, shape)
            return None


def _assign_next(world: World, task: Task, lane: Lane, heap: Candidates) -> bool:
    worker = choose(world, task, heap)
    if worker is None:
        return False
    lane.pop()
    assign(world, task, worker)
    shape = lane.shape
    if heap[0][2] is worker:
        heapreplace(heap, (score(world, shape, worker), heap[0][1], worker))
    return True


def _park(world: World, shape: Shape) -> None:
    """Leave a shape alone until a worker that it suits gains room."""
    queue = world.queue
    queue.park(shape)
    if queue.seen_fleet == world.fleet_version:
        for worker in suited(world, shape):
            _note_parked(world, worker, shape)


def _note_parked(world: World, worker: Worker, shape: Shape) -> None:
    parked = world.queue.parked_at.setdefault(worker, {})
    parked[shape] = None


def _unpark(world: World) -> None:
    """Look again at the parked shapes that a worker with new room suits."""
    queue = world.queue
    if queue.seen_fleet != world.fleet_version:
        queue.seen_fleet = world.fleet_version
        queue.parked_at = {}
        for shape in queue.parked:
            for worker in suited(world, shape):
                _note_parked(world, worker, shape)
    for worker in queue.gained:
        shapes = queue.parked_at.get(worker)
        if shapes:
            _unpark_at(world, worker, shapes)
    queue.gained.clear()


def _unpark_at(world: World, worker: Worker, shapes: dict[Shape, None]) -> None:
    queue = world.queue
    for shape in list(shapes):
        if shape not in queue.parked:
            del shapes[shape]
        elif has_room(world, shape, worker):
            del shapes[shape]
            del queue.parked[shape]
            queue.active[shape] = None


def decide(world: World, task: Task) -> Placed | NoFit:
    """Which worker would take `task` now, or why each does not; changes nothing."""
    shape = task.shape
    worker = choose(world, task, candidates(world, shape))
    if worker is not None:
        return Placed(worker)
    reasons = {}
    for worker in world.workers.values():
        why = session_reasons(worker) + static_reasons(shape, worker)
        reasons[worker.name] = tuple(why or room_reasons(world, shape, worker))
    return NoFit(reasons)
