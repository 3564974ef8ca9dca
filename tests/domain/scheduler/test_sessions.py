"""Does each row of the Hello table do what the design says?"""

from __future__ import annotations

import pytest

from tenure_core.resources import Capacity, Demand
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
from tests.domain.scheduler.rig import Agent, Rig, Spec, newest, result, stands

ONE = Spec(demand=Demand(cpu_milli=1_000))


def test_the_first_hello_registers_before_it_welcomes() -> None:
    rig = Rig()
    agent = Agent(rig, "w1")
    rig.decide(agent.hello_event())
    (grant,) = rig.waiting
    assert isinstance(grant, c.GrantLease)
    rig.waiting = []
    rig.decide(e.LeaseGranted("w1", grant.ticket, 77))
    (register,) = rig.waiting
    assert isinstance(register, c.RegisterWorker)
    assert (register.lease_id, register.worker.session, register.worker.connect) == (77, 1, 1)
    assert not agent.schedulable()
    rig.settle()
    welcome = rig.only(c.WelcomeWorker)
    assert (welcome.session, welcome.connect, welcome.live_revision) == (1, 1, rig.store.lives["w1"])
    assert agent.schedulable()
    rig.empty()


def test_present_same_same_keeps_session_and_lease() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    welcome = agent.hello()
    assert welcome is not None
    assert (welcome.session, welcome.connect, welcome.adopted) == (1, 2, [rig.fence(task)])
    assert rig.store.workers["w1"].connect == 2
    assert task.attempt == 1


def test_a_newer_connection_of_the_same_process_closes_the_older() -> None:
    rig = Rig()
    agent = rig.worker()
    old = agent.stream
    assert agent.hello() is not None
    assert rig.only(c.CloseStream).stream == old


def test_present_same_instance_new_boot_is_a_new_session_and_earlier_attempts_are_lost() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    agent.boot, agent.held = "b2", []
    welcome = agent.hello()
    assert welcome is not None
    assert welcome.session == 2
    assert newest(task).number == 2
    assert task.attempts[0].evidence is LossEvidence.HOST_REBOOTED
    assert task.attempts[0].counted


def test_present_another_instance_is_refused_while_the_first_is_connected() -> None:
    rig = Rig()
    rig.worker()
    twin = Agent(rig, "w1", instance="i2")
    assert twin.hello() is None
    assert twin.refused() == "DUPLICATE_WORKER"
    rig.empty()


def test_present_another_instance_replaces_a_disconnected_one_after_the_reattach_grace() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.end()
    twin = Agent(rig, "w1", instance="i2")
    assert twin.hello() is None
    rig.empty()
    rig.after(1.9)
    rig.empty()
    rig.after(0.2)
    assert rig.only(c.WelcomeWorker).session == 2
    assert task.attempts[0].evidence is LossEvidence.WORKER_REPLACED


def test_the_first_instance_may_come_back_within_the_grace() -> None:
    rig = Rig()
    agent = rig.worker()
    agent.end()
    twin = Agent(rig, "w1", instance="i2")
    twin.hello()
    assert agent.hello() is not None
    refusal = rig.only(c.RefuseHello)
    assert (refusal.stream, refusal.reason) == (twin.stream, "DUPLICATE_WORKER")


def test_absent_same_same_is_a_new_session_that_readopts() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.expire(agent)
    assert task.state is TaskState.PENDING
    welcome = agent.hello()
    assert welcome is not None
    assert (welcome.session, welcome.adopted) == (2, [rig.fence(task, 1)])
    assert stands(task) is TaskState.RUNNING
    assert (task.losses, newest(task).counted, task.attempt) == (0, False, 1)
    assert rig.store.owns[task.id] == (1, 2, "w1")


def test_absent_other_instance_loses_what_it_held() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.expire(agent)
    twin = Agent(rig, "w1", instance="i2")
    welcome = twin.hello()
    assert welcome is not None
    assert (welcome.session, welcome.adopted) == (2, [])
    assert task.attempt == 2


def test_held_attempts_that_were_given_away_are_fenced_and_occupy_the_worker_until_they_end() -> None:
    rig = Rig()
    first = rig.worker("w1", capacity=Capacity(1_000))
    task = rig.a_task(ONE).running_on(first)
    rig.expire(first)
    second = rig.worker("w2", capacity=Capacity(1_000))
    assert task.worker is second.record
    rig.clear()
    other = rig.submit(ONE)[0]
    first.hello()
    fenced = rig.only(c.SendCommands).fenced
    assert [(f.fence, f.current) for f in fenced] == [(rig.fence(task, 1), 2)]
    assert other.state is TaskState.PENDING
    first.report(e.AttemptReport(rig.fence(task, 1), e.ReportKind.STOPPED))
    assert other.worker is first.record


def test_recorded_but_not_held_assigned_goes_back_uncounted_and_running_is_lost() -> None:
    rig = Rig()
    agent = rig.worker()
    assigned, started = rig.a_task().assigned(), rig.a_task().assigned()
    agent.starts(started)
    agent.held = []
    agent.reset()
    agent.hello()
    assert assigned.attempts[0].outcome is AttemptOutcome.NOT_STARTED
    assert started.attempts[0].evidence is LossEvidence.PROCESS_VANISHED
    assert [assigned.losses, started.losses] == [0, 1]


def test_a_start_is_never_sent_twice() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    agent.reset()
    agent.hello()
    starts = [(t.id, a.number) for s in rig.taken(c.SendCommands) for t, a in s.starts]
    assert starts == [(task.id, 2)]


@pytest.mark.parametrize("connect", [0, 1])
def test_a_connect_counter_that_was_used_is_refused(connect: int) -> None:
    rig = Rig()
    agent = rig.worker()
    agent.reset()
    assert agent.hello(connect=connect) is None
    assert agent.refused() == "STALE_CONNECT"
    assert agent.hello(connect=2) is not None


def test_results_in_the_hello_count_before_anything_is_lost() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    agent.held = [result(rig.fence(task))]
    agent.hello()
    assert task.state is TaskState.SUCCEEDED
    assert rig.only(c.SendCommands).accepted == [rig.fence(task)]


def test_a_hello_during_the_deletion_of_live_readopts() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    rig.boot += rig.config.reattach_grace
    rig.decide()
    assert [type(w) for w in rig.waiting] == [c.DeleteLive]
    deletion, rig.waiting = rig.waiting, []
    rig.do(agent.hello_event())
    rig.empty()
    rig.waiting = deletion
    rig.settle()
    assert rig.only(c.WelcomeWorker).adopted == [rig.fence(task)]
    assert (task.state, task.attempt) == (TaskState.RUNNING, 1)


@pytest.mark.parametrize("proof", ["epoch", "attempt"])
def test_knowledge_from_the_future_stops_assigning(proof: str) -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    if proof == "epoch":
        agent.epoch = 2
    else:
        agent.held = [e.AttemptReport(rig.fence(task, 2), e.ReportKind.STARTED)]
    agent.hello()
    assert rig.only(c.RaiseAlarm).name == "store-rolled-back"
    (late,) = rig.submit()
    assert late.state is TaskState.PENDING
    assert "rolled back" in rig.core.explain(late).summary


def test_a_hello_from_a_later_incarnation_is_refused() -> None:
    rig = Rig()
    agent = Agent(rig, "w1")
    event = agent.hello_event()
    event.hello.incarnation = 2
    rig.do(event)
    assert agent.refused() == "INCARNATION"


def test_attempts_of_another_incarnation_are_fenced() -> None:
    rig = Rig()
    agent = Agent(rig, "w1")
    task = rig.a_task().pending()
    old = rig.fence(task, 1)._replace(n=9)
    agent.held = [e.AttemptReport(old, e.ReportKind.STARTED)]
    agent.hello()
    sent = rig.only(c.SendCommands)
    assert [f.fence for f in sent.fenced] == [old]


def test_a_failed_registration_lets_the_agent_try_again() -> None:
    rig = Rig()
    agent = Agent(rig, "w1")
    rig.store.lives["w1"] = 50
    agent.hello()
    refusal = rig.only(c.RefuseHello)
    assert (refusal.stream, refusal.reason) == (agent.stream, "NOT_REGISTERED")
    assert 0 < refusal.retry_after_ms < 1000 * rig.config.reattach_grace
    rig.expire(agent)
    rig.clear()
    assert agent.hello() is not None


def test_level_reports_repair_only_up_to_the_last_processed_command() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    rig.do(e.LevelReported("w1", agent.stream, 0, []))
    assert task.attempt == 1
    rig.do(e.LevelReported("w1", agent.stream, 1, []))
    assert task.attempts[0].outcome is AttemptOutcome.NOT_STARTED


def test_a_start_that_is_not_processed_for_15_seconds_closes_the_stream() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.a_task().assigned()
    rig.after(14.9)
    rig.empty()
    rig.after(0.2)
    assert rig.only(c.CloseStream).cause == "it did not process a Start in time"
    assert agent.record.stream == 0


def test_a_processed_start_is_enough() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.a_task().assigned()
    agent.report(processed=1)
    rig.after(60.0)
    rig.empty()


def test_an_exclusive_task_waits_out_its_term_when_another_boot_says_hello() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(on_disconnect=OnDisconnect.STOP)).running_on(agent)
    rig.expire(agent)
    agent.boot, agent.instance, agent.held = "b2", "i2", []
    agent.hello()
    rig.after(11.9)
    assert task.attempt == 1
    rig.after(0.2)
    assert task.attempt == 2


def test_an_exclusive_task_waits_also_when_the_first_stream_of_another_boot_ends_too_early() -> None:
    """The second Hello comes from a registered process, which knows nothing of the one before it."""
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(on_disconnect=OnDisconnect.STOP)).running_on(agent)
    agent.reset()
    copy = Agent(rig, "w1", boot="b2", connect=agent.connect)
    rig.decide(copy.hello_event())
    while not any(isinstance(command, c.RegisterWorker) for command in rig.waiting):
        rig.commit()
        released, rig.waiting = rig.waiting, []
        for command in released:
            rig.carry_out(command)
    rig.decide(e.StreamClosed("w1", copy.stream, e.StreamEnd.RESET))
    rig.settle()
    assert copy.hello() is not None
    rig.after(rig.config.grace - 0.1)
    assert task.attempt == 1
    rig.after(0.2)
    assert (task.attempt, task.attempts[0].evidence) == (2, LossEvidence.HOST_REBOOTED)


def test_an_exclusive_task_waits_also_when_another_boot_says_that_it_ended() -> None:
    """It may be a copy of the state directory on another machine, and the task runs on where it was."""
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(on_disconnect=OnDisconnect.STOP)).running_on(agent)
    agent.reset()
    ended = result(rig.fence(task), AttemptOutcome.LOST, None)
    ended.evidence = LossEvidence.HOST_REBOOTED
    copy = Agent(rig, "w1", boot="b2", connect=agent.connect, held=[ended])
    assert copy.hello() is not None
    rig.after(rig.config.grace / 2)
    copy.report(ended)
    copy.hello()
    rig.after(rig.config.grace / 2 - 0.1)
    assert task.attempt == 1
    rig.after(0.2)
    assert (task.attempt, task.attempts[0].evidence) == (2, LossEvidence.HOST_REBOOTED)


def test_an_exclusive_task_goes_on_at_once_after_a_same_boot_hello_without_it() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(on_disconnect=OnDisconnect.STOP)).running_on(agent)
    rig.expire(agent)
    assert task.state is TaskState.RUNNING
    agent.instance, agent.held = "i2", []
    agent.hello()
    assert task.attempt == 2


def shut_down(rig: Rig, agent: Agent) -> None:
    """Its node says that it stops, and leaves in order."""
    stopping = e.ReportsReceived(agent.name, agent.stream, 0, [], phase=WorkerPhase.STOPPING)
    rig.do(stopping, e.StreamClosed(agent.name, agent.stream, e.StreamEnd.ENDED))


def test_a_node_that_was_shut_down_may_come_back_at_once_as_another_instance() -> None:
    rig = Rig()
    agent = rig.worker()
    shut_down(rig, agent)
    assert agent.record.verdict is WorkerVerdict.RETIRED
    assert rig.store.workers["w1"].verdict is WorkerVerdict.RETIRED
    agent.instance = "i2"
    agent.hello()
    assert agent.record.ready
    assert agent.verdict() is WorkerVerdict.ACTIVE


def test_a_node_that_is_shut_down_gets_nothing_new() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.do(e.ReportsReceived("w1", agent.stream, 0, [], phase=WorkerPhase.STOPPING))
    task = rig.a_task().pending()
    assert task.state is TaskState.PENDING
    assert "its node is being shut down" in rig.core.explain(task).workers[0].reasons


def test_a_node_that_leaves_before_it_told_every_result_is_lost_when_its_lease_ends() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    shut_down(rig, agent)
    assert agent.record.verdict is WorkerVerdict.ACTIVE
    rig.expire(agent)
    assert (agent.record.verdict, task.state) == (WorkerVerdict.LOST, TaskState.PENDING)


def test_another_instance_cannot_keep_what_it_claims_to_hold() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.expire(agent)
    rig.clear()
    agent.instance = "i2"
    agent.hello()
    sent = rig.only(c.SendCommands)
    assert [f.fence for f in sent.fenced] == [rig.fence(task, 1)]
    assert (task.attempts[0].outcome, task.attempt) == (AttemptOutcome.LOST, 2)


def test_a_live_session_of_another_instance_loses_what_the_new_one_claims() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.end()
    rig.after(3.0)
    agent.instance = "i2"
    agent.hello()
    assert task.attempts[0].evidence is LossEvidence.WORKER_REPLACED
    assert task.attempt == 2


def test_left_over_attempts_are_counted_once_however_often_the_worker_comes() -> None:
    rig = Rig()
    first = rig.worker("w1", capacity=Capacity(1_000))
    task = rig.a_task(ONE).running_on(first)
    rig.expire(first)
    rig.worker("w2", capacity=Capacity(1_000))
    first.hello()
    first.hello()
    assert first.record.pool.cpu_milli == 0
    rig.do(e.LevelReported("w1", first.stream, 9, []))
    assert first.record.pool.cpu_milli == 1_000
    assert task.attempt == 2
