"""Does a fence still hold its task?

For user code that guards an effect of its own. The answer is about the record, not about the process: a
fence that does not hold any more may still have a process that runs somewhere.
"""

from __future__ import annotations

from typing import NamedTuple

from tenure_core.fence import Fence
from tenure_core.states import TERMINAL
from tenure_scheduler.domain.model import Task
from tenure_scheduler.domain.world import World


class FenceVerdict(NamedTuple):
    """Whether a fence holds."""

    valid: bool
    current: Fence | None
    """The newest fence of the task; None: it has none, or there is no such task."""
    reason: str
    """Why it does not hold: one sentence; empty: it does."""


def verify(world: World, fence: Fence) -> FenceVerdict:
    """A fence holds iff it is the newest of its task in this incarnation and its attempt has not ended."""
    task = world.tasks.get(fence.task)
    if task is None:
        return FenceVerdict(False, None, f"task {fence.task} is not known: it never was, or it was removed")
    newest = task.current
    current = None if newest is None else world.fence(task, newest)
    reason = _why_not(world, task, fence)
    return FenceVerdict(not reason, current, reason)


def _why_not(world: World, task: Task, fence: Fence) -> str:
    newest = task.current
    if fence.n != world.n:
        return f"it belongs to incarnation {fence.n} of the cluster, and this is {world.n}"
    if newest is None or fence.attempt > newest.number:
        return f"attempt {fence.attempt} was never assigned: the newest is {task.attempt}"
    if fence.attempt < newest.number:
        return f"attempt {newest.number} has taken its place"
    if task.state in TERMINAL:
        return f"the task is {task.state.name}"
    if newest.outcome is not None:
        return f"the attempt ended {newest.outcome.name}, and another one will take its place"
    return ""
