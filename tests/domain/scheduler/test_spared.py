"""Is nobody lost who was just heard, and may say Hello again?"""

from __future__ import annotations

import pytest

from tenure_core.states import (
    AttemptOutcome,
    TaskState,
)
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.model import Task
from tests.domain.scheduler.rig import Agent, Rig, newest, stands


@pytest.mark.parametrize("ended", [False, True])
def test_who_resumed_on_a_lease_that_was_over_may_say_hello_again(ended: bool) -> None:
    """The agent may learn from its beat, before the leader does, that the session is over, and hang up."""
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.held = [e.AttemptReport(rig.fence(task), e.ReportKind.STARTED)]
    agent.end()
    agent.hello()
    if ended:
        agent.end()
    rig.expire(agent)
    rig.after(rig.config.reattach_grace - 0.1)
    assert newest(task).outcome is None
    agent.hello()
    rig.after(60.0)
    assert (task.attempt, task.state) == (1, TaskState.RUNNING)


def test_who_resumed_on_a_lease_that_was_over_and_stays_silent_is_lost() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.end()
    agent.hello()
    agent.end()
    rig.expire(agent)
    rig.after(rig.config.reattach_grace)
    assert task.attempts[0].outcome is AttemptOutcome.LOST


def waiting_for_a_lease(rig: Rig) -> tuple[Agent, Task, c.GrantLease]:
    """A worker says Hello to a new leader, which gets no lease for it until the grace is over."""
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.held = [e.AttemptReport(rig.fence(task), e.ReportKind.STARTED)]
    rig.end_lease("w1")
    rig.depose()
    rig.decide(agent.hello_event())
    (grant,) = [w for w in rig.waiting if isinstance(w, c.GrantLease)]
    rig.waiting = []
    rig.after(rig.config.grace)
    return agent, task, grant


def test_a_refusal_that_had_to_wait_for_etcd_leaves_time_to_say_hello_again() -> None:
    rig = Rig()
    agent, task, grant = waiting_for_a_lease(rig)
    rig.do(e.JoinFailed("w1", grant.ticket, "etcd is out of space"))
    rig.after(rig.config.reattach_grace - 0.1)
    rig.do(e.StreamClosed("w1", agent.stream, e.StreamEnd.CLOSED))
    rig.after(rig.config.reattach_grace - 0.1)
    assert newest(rig.task(task)).outcome is None
    rig.after(0.2)
    assert newest(rig.task(task)).outcome is AttemptOutcome.LOST


def test_who_gave_up_waiting_for_our_answer_may_say_hello_again() -> None:
    """The lease for its new session took longer than the agent's patience, and the grace is over by then."""
    rig = Rig()
    agent, task, grant = waiting_for_a_lease(rig)
    agent.end()
    rig.do(e.LeaseGranted("w1", grant.ticket, 9_000))
    rig.after(rig.config.reattach_grace - 0.1)
    assert newest(rig.task(task)).outcome is None
    agent.hello()
    rig.after(60.0)
    assert (rig.task(task).attempt, stands(rig.task(task))) == (1, TaskState.RUNNING)
