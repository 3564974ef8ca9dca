"""What becomes of a worker that said Hello too late to renew the lease that it had?"""

from __future__ import annotations

from tenure_core.states import TaskState, WorkerVerdict
from tenure_scheduler.domain.model import Task
from tests.domain.scheduler.rig import Agent, Rig


def came_back_late() -> tuple[Rig, Agent, Task]:
    """A worker that says Hello under the lease that it had, too late to renew it: the lease ends."""
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.after(30.0)
    agent.reset()
    agent.hello()
    rig.expire(agent)
    return rig, agent, task


def test_who_came_back_under_a_lease_that_ends_may_say_hello_once_more() -> None:
    rig, agent, task = came_back_late()
    rig.after(1.9)
    assert agent.record.verdict is WorkerVerdict.ACTIVE
    assert agent.hello()
    rig.after(30.0)
    assert (task.attempt, task.attempts[0].outcome) == (1, None)


def test_who_does_not_say_it_once_more_is_lost() -> None:
    rig, agent, task = came_back_late()
    rig.after(2.1)
    assert (task.state, agent.record.verdict) == (TaskState.PENDING, WorkerVerdict.LOST)


def test_who_came_back_longer_ago_than_a_term_is_lost_at_once() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.a_task().running_on(agent)
    agent.reset()
    agent.hello()
    rig.after(10.1)
    rig.expire(agent)
    assert agent.record.verdict is WorkerVerdict.LOST
