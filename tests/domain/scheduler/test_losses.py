"""When is a worker lost, when is that put off, and what does it cost its tasks?"""

from __future__ import annotations

import pytest

from tenure_core.resources import Demand
from tenure_core.states import (
    AttemptOutcome,
    LossEvidence,
    OnDisconnect,
    TaskState,
    WorkerPhase,
    WorkerVerdict,
)
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import Agent, Rig, Spec, newest, stands

STOP = Spec(on_disconnect=OnDisconnect.STOP)


def test_a_gone_lease_moves_continue_tasks_at_once() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task().running_on(first)
    second = rig.worker("w2")
    rig.expire(first)
    assert first.record.verdict is WorkerVerdict.LOST
    assert rig.store.workers["w1"].verdict is WorkerVerdict.LOST
    assert task.worker is second.record
    assert task.attempts[0].evidence is LossEvidence.LEASE_EXPIRED
    assert rig.store.owns[task.id] == (2, 1, "w2")


def test_a_reset_stream_is_an_early_loss_after_the_reattach_grace() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task().running_on(first)
    second = rig.worker("w2")
    first.reset()
    rig.after(1.9)
    assert task.attempt == 1
    rig.after(0.2)
    assert task.worker is second.record
    assert task.attempts[0].evidence is LossEvidence.AGENT_UNREACHABLE
    assert "w1" not in rig.store.lives


@pytest.mark.parametrize("how", [e.StreamEnd.ENDED, e.StreamEnd.CLOSED])
def test_an_orderly_end_is_not_an_early_loss(how: e.StreamEnd) -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.StreamClosed("w1", agent.stream, how))
    rig.after(60.0)
    assert task.attempt == 1


def test_a_forwarded_stream_gives_no_early_loss() -> None:
    rig = Rig()
    agent = Agent(rig, "w1")
    agent.hello(direct=False)
    task = rig.a_task().running_on(agent)
    agent.reset()
    rig.after(60.0)
    assert task.attempt == 1


def test_nobody_is_lost_to_a_new_leader_before_it_could_say_hello() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.depose()
    rig.expire(agent)
    rig.after(11.9)
    assert (rig.task(task).state, agent.record.verdict) == (TaskState.ASSIGNED, WorkerVerdict.ACTIVE)
    rig.after(0.2)
    assert (rig.task(task).state, agent.record.verdict) == (TaskState.PENDING, WorkerVerdict.LOST)


def test_who_said_hello_to_a_new_leader_is_lost_without_its_grace() -> None:
    rig = Rig(past_grace=False)
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    rig.after(2.1)
    assert (task.state, agent.record.verdict) == (TaskState.PENDING, WorkerVerdict.LOST)


def test_our_own_stalls_extend_the_grace_at_most_three_times() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.StallNoticed(5.0, "paused"))
    rig.expire(agent)
    for _ in range(5):
        rig.after(10.0)
        rig.do(e.StallNoticed(5.0, "paused"))
    assert task.state is TaskState.PENDING
    assert newest(task).ended_ns < rig.now.utc_ns - 10 * 10**9


def test_a_hold_delays_the_loss_and_survives_the_leader() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.HoldAnnounced("w1", agent.stream, 40.0))
    agent.reset()
    rig.expire(agent)
    rig.after(20.0)
    rig.depose()
    rig.after(19.0)
    assert rig.task(task).attempts[0].outcome is None
    rig.after(2.0)
    assert rig.task(task).attempts[0].outcome is AttemptOutcome.LOST


def test_a_hold_is_answered_when_it_is_committed_and_is_no_longer_than_allowed() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.clear()
    rig.decide(e.HoldAnnounced("w1", agent.stream, 500.0))
    (answer,) = rig.waiting
    assert isinstance(answer, c.SendCommands)
    assert (answer.hold, answer.only_accepts) == (60.0, False)
    assert rig.store.workers["w1"].hold_until_ns == 0
    rig.settle()
    assert rig.store.workers["w1"].hold_until_ns == rig.now.utc_after(60.0)


def test_a_hold_delays_an_early_loss_and_ends_with_the_next_hello() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.HoldAnnounced("w1", agent.stream, 40.0))
    agent.reset()
    rig.after(39.0)
    assert task.attempt == 1
    agent.hello()
    agent.reset()
    rig.after(2.1)
    assert task.attempts[0].evidence is LossEvidence.AGENT_UNREACHABLE


def test_a_hold_spares_continue_tasks_and_no_exclusive_ones() -> None:
    rig = Rig()
    first = rig.worker("w1")
    kept, exclusive = rig.a_task().running_on(first), rig.a_task(STOP).running_on(first)
    rig.do(e.HoldAnnounced("w1", first.stream, 60.0))
    first.end()
    second = rig.worker("w2")
    rig.expire(first)
    rig.after(11.9)
    assert exclusive.attempt == 1
    rig.after(0.2)
    assert exclusive.worker is second.record
    assert (kept.attempt, first.verdict()) == (1, WorkerVerdict.ACTIVE)
    first.hello()
    assert (stands(kept), kept.attempt) == (TaskState.RUNNING, 1)


def test_another_instance_does_not_replace_one_that_announced_to_be_back() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.HoldAnnounced("w1", agent.stream, 30.0))
    agent.end()
    Agent(rig, "w1", instance="i2").hello()
    rig.after(29.0)
    assert task.attempt == 1
    rig.after(2.0)
    assert task.attempts[0].evidence is LossEvidence.WORKER_REPLACED


def test_who_is_declared_dead_is_lost_in_spite_of_a_hold() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.HoldAnnounced("w1", agent.stream, 60.0))
    agent.end()
    rig.do(e.DeadDeclared(1, ["w1"]))
    assert task.attempts[0].evidence is LossEvidence.DECLARED_DEAD


def test_a_stop_task_goes_on_only_term_and_margin_after_the_proof() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task(STOP).running_on(first)
    rig.worker("w2")
    rig.expire(first)
    assert first.record.verdict is WorkerVerdict.LOST
    rig.after(11.9)
    assert task.attempt == 1
    rig.after(0.2)
    assert task.attempt == 2


def test_the_proof_of_an_earlier_leader_does_not_count() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task(STOP).running_on(first)
    rig.worker("w2")
    rig.expire(first)
    rig.after(11.0)
    rig.depose()
    rig.after(11.9)
    assert rig.task(task).attempts[0].outcome is None
    rig.after(0.2)
    assert rig.task(task).attempts[0].outcome is AttemptOutcome.LOST


def test_declare_dead_overrides_everything() -> None:
    rig = Rig(past_grace=False)
    first = rig.worker("w1")
    task, exclusive = rig.a_task().running_on(first), rig.a_task(STOP).running_on(first)
    second = rig.worker("w2")
    rig.clear()
    rig.do(e.DeadDeclared(5, ["w1", "w9"], "burnt down"))
    answer = rig.only(c.AnswerWorkers)
    assert ([w.name for w in answer.workers], answer.unknown) == (["w1"], ["w9"])
    assert task.worker is exclusive.worker is second.record
    assert "w1" not in rig.store.lives


def test_the_last_worker_is_taken_if_no_other_fits() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task(Spec(demand=Demand(cpu_milli=3_000))).running_on(first)
    rig.expire(first)
    rig.do(e.CordonRequested(1, ["w1"]))
    first.instance, first.held = "i2", []
    first.hello()
    assert task.state is TaskState.PENDING
    rig.decide(e.CordonRequested(1, ["w1"], cordoned=False))
    assert newest(task).worker == "w1"


def test_another_worker_that_fits_is_preferred_to_the_last_one() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task(Spec(demand=Demand(cpu_milli=3_000))).running_on(first)
    rig.expire(first)
    rig.do(e.CordonRequested(1, ["w1"]))
    first.instance, first.held = "i2", []
    first.hello()
    second = rig.worker("w2", task_types=frozenset())
    second.task_types = frozenset({"process"})
    rig.decide(second.hello_event(), e.CordonRequested(1, ["w1"], cordoned=False))
    assert newest(task).worker == "w2"


def test_a_storm_pauses_losses_and_then_lets_them_through_slowly() -> None:
    rig = Rig()
    agents = [rig.worker(f"w{n}") for n in range(8)]
    rig.after(61.0)
    for agent in agents[:6]:
        rig.expire(agent)
    lost = [a for a in agents if a.record.verdict is WorkerVerdict.LOST]
    assert len(lost) == 3
    rig.after(119.0)
    assert sum(a.record.verdict is WorkerVerdict.LOST for a in agents) == 3
    rig.after(2.0)
    assert sum(a.record.verdict is WorkerVerdict.LOST for a in agents) == 4
    rig.after(10.0)
    assert sum(a.record.verdict is WorkerVerdict.LOST for a in agents) == 5
    rig.after(10.0)
    assert not rig.core.world.storm.active


def test_when_all_are_gone_none_is_lost_until_one_comes_back() -> None:
    rig = Rig()
    agents = [rig.worker("w1"), rig.worker("w2")]
    task = rig.a_task().running_on(agents[0])
    for agent in agents:
        rig.store.expire(agent.name)
    rig.decide(*(e.LiveGone(a.name, a.record.live_revision, rig.boot) for a in agents))
    rig.settle()
    rig.after(10_000.0)
    assert [agent.record.verdict for agent in agents] == [WorkerVerdict.ACTIVE] * 2
    agents[0].hello()
    assert (task.state, task.attempt) == (TaskState.RUNNING, 1)
    rig.after(11.9)
    assert agents[1].record.verdict is WorkerVerdict.ACTIVE
    rig.after(0.2)
    assert agents[1].verdict() is WorkerVerdict.LOST


@pytest.mark.parametrize("new_leader", [True, False])
def test_etcd_paused_as_a_whole_reallocates_nothing(new_leader: bool) -> None:
    """Every lease is gone; the leader waits, and the agents take their tasks up again."""
    rig = Rig()
    agents = [rig.worker(f"w{n}") for n in range(4)]
    tasks = []
    for _ in range(4):
        task = rig.a_task(Spec(demand=Demand(cpu_milli=3_000))).pending()
        next(a for a in agents if a.record is task.worker).starts(task)
        tasks.append(task)
    for agent in agents:
        rig.store.expire(agent.name)
    if new_leader:
        rig.depose(past_grace=True)
    else:
        rig.do(*(e.LiveGone(a.name, a.record.live_revision, rig.boot) for a in agents))
    for agent in agents:
        agent.hello()
    assert [(rig.task(t).state, rig.task(t).attempt) for t in tasks] == [(TaskState.RUNNING, 1)] * 4


def test_a_commit_that_finds_the_lease_gone_takes_its_assignments_back() -> None:
    rig = Rig()
    agent = rig.worker()
    revision = rig.store.lives["w1"]
    rig.decide(e.TasksSubmitted(1, [rig.item()]))
    rig.store.expire("w1")
    rig.waiting = [w for w in rig.waiting if not isinstance(w, c.SendCommands)]
    rig.do(e.WorkerLeaseGone("w1", revision, rig.boot))
    (task,) = rig.core.world.tasks.values()
    assert (task.state, newest(task).outcome) == (TaskState.PENDING, AttemptOutcome.NOT_STARTED)
    assert agent.record.verdict is WorkerVerdict.LOST


def test_a_commit_that_finds_the_lease_gone_does_not_take_back_what_was_told_on_an_earlier_stream() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(on_disconnect=OnDisconnect.STOP)).assigned()
    agent.held = [e.AttemptReport(rig.fence(task), e.ReportKind.HELD)]
    agent.reset()
    agent.hello()
    revision = rig.store.lives["w1"]
    rig.end_lease("w1")
    rig.do(e.WorkerLeaseGone("w1", revision, rig.boot))
    assert (task.state, newest(task).outcome) == (TaskState.ASSIGNED, None), (
        "it may run until its lease is over"
    )
    rig.after(rig.config.grace)
    assert newest(rig.task(task)).outcome is AttemptOutcome.LOST


def test_a_commit_that_finds_the_lease_gone_does_not_take_back_what_was_adopted_after_a_loss() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    agent.held = [e.AttemptReport(rig.fence(task), e.ReportKind.HELD)]
    rig.expire(agent)
    assert newest(task).outcome is AttemptOutcome.LOST
    agent.hello()
    assert (stands(task), newest(task).outcome) == (TaskState.ASSIGNED, None)
    revision = rig.store.lives["w1"]
    rig.end_lease("w1")
    rig.do(e.WorkerLeaseGone("w1", revision, rig.boot))
    assert newest(task).outcome is AttemptOutcome.LOST, "it was told, so it may have run"


def test_a_large_loss_is_carried_on_by_the_next_leader() -> None:
    rig = Rig()
    agent = rig.worker()
    tasks = [rig.a_task().running_on(agent) for _ in range(8)]
    revision = rig.store.lives["w1"]
    rig.store.expire("w1")
    rig.decide(e.LiveGone("w1", revision, rig.boot))
    dirty = rig.core.take_dirty(max_ops=8)
    rig.store.commit(dirty)
    assert len({task.state for task in rig.store.tasks.values()}) > 1
    rig.depose()
    assert [rig.task(t).state for t in tasks] == [TaskState.PENDING] * 8


def test_what_an_ended_session_held_is_not_owned_by_the_next() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(STOP).running_on(agent)
    rig.expire(agent)
    agent.instance, agent.boot, agent.held = "i2", "b2", []
    agent.hello()
    assert task.attempt == 1, "its old process may still run"
    rig.do(e.CancelRequested(1, [task.id]))
    assert stands(task) is TaskState.CANCELLING
    assert task.id not in rig.store.owns


@pytest.mark.parametrize("how", ["lost", "shut down"])
def test_a_drain_outlives_the_session(how: str) -> None:
    rig = Rig()
    agent = rig.worker("w1")
    rig.do(e.DrainRequested(1, ["w1"], 500.0, "new kernel"))
    if how == "lost":
        rig.expire(agent)
    else:
        rig.do(e.ReportsReceived("w1", agent.stream, 0, [], WorkerPhase.STOPPING))
        agent.end()
    rig.depose()
    agent.boot = "b2"
    agent.hello()
    assert agent.verdict() is WorkerVerdict.DRAINING
    assert not agent.schedulable()
    rig.do(e.DrainCancelled(1, ["w1"]))
    assert agent.schedulable()


def test_a_drain_of_a_lost_worker_can_be_cancelled() -> None:
    rig = Rig()
    agent = rig.worker("w1")
    rig.do(e.DrainRequested(1, ["w1"], 500.0, "new kernel"))
    rig.expire(agent)
    rig.do(e.DrainCancelled(1, ["w1"]))
    agent.hello()
    assert agent.schedulable()
