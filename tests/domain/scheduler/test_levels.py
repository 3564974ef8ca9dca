"""Does what was lost on the way heal by what the worker says next that it holds?"""

from __future__ import annotations

from tenure_core.fence import Fence
from tenure_core.levels import HeldPhase, level_digest
from tenure_core.resources import Capacity, Demand
from tenure_core.states import AttemptOutcome, OnDisconnect, TaskState
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import START_NS, Agent, Rig, Spec, newest, result, running, stands

HELD, STARTED, STOPPING = HeldPhase
MANY = 1 << 30


def digest(agent: Agent, held: dict[Fence, HeldPhase], processed: int = MANY) -> bool:
    """Say in short what is held; whether the leader wants the list."""
    rig = agent.rig
    rig.clear()
    short = level_digest((str(fence), phase) for fence, phase in held.items())
    rig.do(e.DigestReported(agent.name, agent.stream, processed, short))
    return any(sent.list_held for sent in rig.taken(c.SendCommands))


def level(agent: Agent, *held: e.AttemptReport, processed: int = MANY) -> list[c.SendCommands]:
    """List what is held; what the leader answers."""
    agent.rig.clear()
    agent.rig.do(e.LevelReported(agent.name, agent.stream, processed, list(held)))
    return agent.rig.taken(c.SendCommands)


def stopping(fence: Fence) -> e.AttemptReport:
    return e.AttemptReport(fence, e.ReportKind.STARTED, started_ns=START_NS, stopping=True)


def test_nothing_is_asked_for_while_both_sides_agree() -> None:
    rig = Rig()
    agent = rig.worker()
    assert not digest(agent, {})
    assigned, started, cancelled = (rig.a_task().assigned() for _ in range(3))
    agent.starts(started)
    agent.starts(cancelled)
    rig.do(e.CancelRequested(1, [cancelled.id]))
    held = {rig.fence(assigned): HELD, rig.fence(started): STARTED, rig.fence(cancelled): STOPPING}
    assert not digest(agent, held)
    rig.empty()
    assert digest(agent, {**held, rig.fence(assigned): STARTED})


def test_what_the_worker_cannot_know_yet_is_not_judged() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    assert not digest(agent, {}, processed=0)
    level(agent, processed=0)
    assert (task.state, task.attempt) == (TaskState.ASSIGNED, 1)
    agent.starts(task)
    rig.do(e.CancelRequested(1, [task.id]))
    assert not digest(agent, {rig.fence(task): STARTED}, processed=1)
    assert level(agent, running(rig.fence(task)), processed=1) == []


def test_a_lost_start_is_another_attempt_and_never_sent_twice() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    assert digest(agent, {})
    starts = [attempt.number for sent in level(agent) for _, attempt in sent.starts]
    rig.after(1.0)
    starts += [attempt.number for sent in rig.taken(c.SendCommands) for _, attempt in sent.starts]
    assert (starts, task.losses) == ([2], 0)
    assert task.attempts[0].outcome is AttemptOutcome.NOT_STARTED


def test_a_started_attempt_that_is_no_longer_held_is_lost() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    level(agent)
    assert (task.attempts[0].outcome, task.losses) == (AttemptOutcome.LOST, 1)


def test_a_lost_report_of_a_start_or_an_end_is_in_the_list() -> None:
    rig = Rig()
    agent = rig.worker()
    first, second = rig.a_task().assigned(), rig.a_task().assigned()
    assert digest(agent, {rig.fence(first): STARTED})
    (sent,) = level(agent, running(rig.fence(first)), result(rig.fence(second)))
    assert sent.accepted == [rig.fence(second)]
    assert (stands(first), stands(second)) == (TaskState.RUNNING, TaskState.SUCCEEDED)


def test_a_lost_accept_is_said_again() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.succeeds(task)
    (sent,) = level(agent, result(rig.fence(task)))
    assert (sent.accepted, sent.fenced) == ([rig.fence(task)], [])


def test_a_lost_stop_is_sent_again_until_it_is_obeyed() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    fence = rig.fence(task)
    rig.do(e.CancelRequested(1, [task.id]))
    assert digest(agent, {fence: STARTED})
    (sent,) = level(agent, running(fence))
    assert [stop.fence for stop in sent.stops] == [fence]
    assert level(agent, stopping(fence)) == []
    assert not digest(agent, {fence: STOPPING})


def test_a_lost_fenced_is_sent_again_and_a_lost_end_of_it_gives_the_room_back() -> None:
    rig = Rig()
    agent = rig.worker(capacity=Capacity(1_000))
    task = rig.a_task(Spec(demand=Demand(cpu_milli=1_000))).running_on(agent)
    fence = rig.fence(task)
    rig.expire(agent)
    rig.worker("w2")
    agent.hello()
    assert task.attempt == 2
    assert digest(agent, {fence: STARTED})
    (sent,) = level(agent, running(fence))
    assert [fenced.fence for fenced in sent.fenced] == [fence]
    assert level(agent, stopping(fence)) == []
    assert not digest(agent, {fence: STOPPING})
    assert agent.record.pool.cpu_milli == 0
    assert digest(agent, {})
    level(agent)
    assert agent.record.pool.cpu_milli == 1_000


def test_an_exclusive_attempt_of_an_ended_session_waits_for_its_certain_end_whatever_is_held_now() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(on_disconnect=OnDisconnect.STOP)).running_on(agent)
    rig.expire(agent)
    agent.boot, agent.held = "b2", []
    agent.hello()
    assert not digest(agent, {})
    level(agent)
    assert newest(task).outcome is None
    rig.after(rig.config.grace + 0.1)
    assert task.attempts[0].outcome is AttemptOutcome.LOST
