"""Which pending task goes first?

Order is priority, then first in first out, with ageing: waiting for `ageing` is worth one point of
priority. Since all tasks age alike, "effective priority" never changes the order of two waiting tasks, so
it is a fixed rank: created minus priority times ageing, smallest first.

Tasks of one shape and priority wait in one lane. A shape of which nothing fits is parked: its tasks cost
nothing until a worker gains room, however many they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from tenure_core.states import TaskState
from tenure_core.timing import SECOND_NS, Duration
from tenure_scheduler.domain.model import Task, Worker
from tenure_scheduler.domain.profiles import Shape

PENDING = TaskState.PENDING
EMPTY_LANES = 512
"""Below this many lanes, empty ones stay: a busy shape would be made anew with every batch."""


class Lane:
    """The waiting tasks of one shape and priority, in the order of their sequence.

    Hardly anything is removed from the middle: a task that stopped being PENDING is dropped when it comes
    up. A task that returns while its old entry is still here goes on with that entry.
    """

    __slots__ = ("advantage", "fresh", "priority", "returned", "shape")

    def __init__(self, shape: Shape, priority: int, ageing: Duration) -> None:
        self.shape = shape
        self.priority = priority
        self.advantage = int(priority * ageing * SECOND_NS)
        self.fresh: deque[Task] = deque()
        self.returned: list[tuple[int, Task]] = []
        """Heap of those that came back out of order."""

    def push(self, task: Task) -> None:
        """Let `task` wait here."""
        if task.in_lane is self:
            return
        if task.in_lane is not None:
            task.in_lane.remove(task)
        task.in_lane = self
        fresh = self.fresh
        if not fresh or fresh[-1].sequence < task.sequence:
            fresh.append(task)
        else:
            heappush(self.returned, (task.sequence, task))

    def head(self) -> Task | None:
        """The next task of this lane, left in place."""
        fresh, returned = self.fresh, self.returned
        while fresh and fresh[0].state is not PENDING:
            fresh.popleft().in_lane = None
        while returned and returned[0][1].state is not PENDING:
            heappop(returned)[1].in_lane = None
        if returned and (not fresh or returned[0][0] < fresh[0].sequence):
            return returned[0][1]
        return fresh[0] if fresh else None

    def pop(self) -> None:
        """Remove the task that `head` returned."""
        fresh, returned = self.fresh, self.returned
        if returned and (not fresh or returned[0][0] < fresh[0].sequence):
            heappop(returned)[1].in_lane = None
        else:
            fresh.popleft().in_lane = None

    def remove(self, task: Task) -> None:
        """Remove a task that became a suspect, or is none any more, while its old entry is still here."""
        task.in_lane = None
        self.fresh = deque(other for other in self.fresh if other is not task)
        self.returned = [entry for entry in self.returned if entry[1] is not task]
        heapify(self.returned)

    def rank(self, task: Task) -> tuple[int, int]:
        """What decides between tasks of different lanes; the smallest goes first."""
        return (task.created_ns - self.advantage, task.sequence)

    def waiting(self) -> Iterator[Task]:
        """All tasks that wait here, in no particular order."""
        yield from (task for task in self.fresh if task.state is PENDING)
        yield from (task for _, task in self.returned if task.state is PENDING)


class Queue:
    """All lanes, and which shapes are worth a look."""

    __slots__ = ("active", "ageing", "by_shape", "gained", "lanes", "parked", "parked_at", "seen_fleet")

    def __init__(self, ageing: Duration) -> None:
        self.ageing = ageing
        self.lanes: dict[tuple[Shape, int], Lane] = {}
        self.by_shape: dict[Shape, list[Lane]] = {}
        self.active: dict[Shape, None] = {}
        """Shapes with waiting tasks that may fit; a dict, so that order is that of arrival."""
        self.parked: dict[Shape, None] = {}
        """Shapes with waiting tasks of which none fitted when last looked at."""
        self.gained: dict[Worker, None] = {}
        """Workers that gained room since the last placement."""
        self.parked_at: dict[Worker, dict[Shape, None]] = {}
        """Worker → parked shapes that it suits, for the fleet as of `seen_fleet`; may name unparked ones."""
        self.seen_fleet = -1

    def push(self, task: Task) -> None:
        """Let a PENDING task wait for a worker."""
        self.lane(task.shape, task.profile.priority).push(task)

    def lane(self, shape: Shape, priority: int) -> Lane:
        """Where tasks of this shape and priority wait: one is about to."""
        lane = self.lanes.get((shape, priority))
        if lane is None:
            lane = self.lanes[shape, priority] = Lane(shape, priority, self.ageing)
            self.by_shape.setdefault(shape, []).append(lane)
        if shape not in self.parked:
            self.active[shape] = None
        return lane

    def best(self, shape: Shape) -> tuple[tuple[int, int], Task, Lane] | None:
        """The task of this shape that goes first, with its rank and lane; None: no task of it waits."""
        best = None
        for lane in self.by_shape.get(shape, ()):
            task = lane.head()
            if task is not None:
                rank = lane.rank(task)
                if best is None or rank < best[0]:
                    best = (rank, task, lane)
        return best

    def drop(self, shape: Shape) -> None:
        """No task of this shape waits; its empty lanes are kept for the next one unless there are many."""
        self.active.pop(shape, None)
        self.parked.pop(shape, None)
        if len(self.lanes) <= EMPTY_LANES:
            return
        for lane in self.by_shape.pop(shape, ()):
            del self.lanes[shape, lane.priority]

    def park(self, shape: Shape) -> None:
        """Leave a shape alone until a worker gains room."""
        self.active.pop(shape, None)
        self.parked[shape] = None

    def ahead_of(self, task: Task) -> int:
        """How many waiting tasks go before `task`. Looks at every waiting task: for explanations only."""
        own = task.created_ns - int(task.profile.priority * self.ageing * SECOND_NS), task.sequence
        return sum(lane.rank(other) < own for lane in self.lanes.values() for other in lane.waiting())
