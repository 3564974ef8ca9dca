"""After a restore open attempts are fenced and their tasks run again; a store that went back is noticed."""

import pytest

from tenure_core.fence import Fence
from tenure_core.states import AttemptOutcome, LogState, LossEvidence, OnDisconnect, TaskState
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.model import LogFinals
from tests.domain.scheduler.rig import Agent, Rig, Spec, newest, result, running, stands

EXCLUSIVE = Spec(on_disconnect=OnDisconnect.STOP)


def test_open_attempts_are_lost_uncounted_and_run_again() -> None:
    rig = Rig()
    agent = rig.worker()
    running_one, assigned = rig.a_task().running_on(agent), rig.a_task().assigned()
    rig.restore(rig.store.copy())
    for before in (running_one, assigned):
        task = rig.task(before)
        assert (task.state, task.losses) == (TaskState.PENDING, 0)
        lost = newest(task)
        assert (lost.outcome, lost.evidence, lost.n) == (
            AttemptOutcome.LOST,
            LossEvidence.STORE_RESTORED,
            1,
        )
        assert "restored from an older state" in task.reason
    agent.held = []
    agent.hello()
    task = rig.task(running_one)
    assert rig.core.world.fence(task, newest(task)) == Fence(2, task.id, 2)
    assert rig.core.world.fence(task, task.attempts[0]) == Fence(1, task.id, 1)


def test_what_the_agent_holds_is_fenced_told_and_never_accepted() -> None:
    rig = Rig()
    agent = rig.worker()
    known = rig.a_task().running_on(agent)
    snapshot = rig.store.copy()
    gone = rig.a_task().running_on(agent)
    rig.restore(snapshot)
    welcome = agent.hello()
    assert welcome is not None
    assert welcome.adopted == []
    orphans = rig.only(c.TellOrphans)
    assert (set(orphans.fences), orphans.unknown) == ({Fence(1, known.id, 1), Fence(1, gone.id, 1)}, 1)
    sent = [command for command in rig.taken(c.SendCommands) if command.fenced]
    assert {fenced.fence for command in sent for fenced in command.fenced} == set(orphans.fences)
    agent.report(result(Fence(1, known.id, 1)))
    refused = [fenced for command in rig.taken(c.SendCommands) for fenced in command.fenced]
    assert [fenced.fence for fenced in refused] == [Fence(1, known.id, 1)]
    task = rig.task(known)
    assert (stands(task), task.attempt) == (TaskState.ASSIGNED, 2)
    agent.report(running(Fence(2, known.id, 2)), result(Fence(2, known.id, 2)))
    assert stands(task) is TaskState.SUCCEEDED


def test_the_room_of_a_fenced_attempt_is_free_when_it_has_ended() -> None:
    rig = Rig()
    agent = rig.worker()
    known = rig.a_task().running_on(agent)
    rig.restore(rig.store.copy())
    agent.hello()
    assert list(agent.record.leftovers) == [Fence(1, known.id, 1)]
    agent.report(e.AttemptReport(Fence(1, known.id, 1), e.ReportKind.STOPPED))
    assert not agent.record.leftovers


@pytest.mark.parametrize("state", ["running", "pending", "placed later"])
def test_an_exclusive_task_waits_for_every_warden_of_before(state: str) -> None:
    rig = Rig()
    if state == "running":
        agent = rig.worker()
        task = rig.a_task(EXCLUSIVE).running_on(agent)
        snapshot = rig.store.copy()
    else:
        task = rig.a_task(EXCLUSIVE).pending()
        snapshot = rig.store.copy()
        if state == "placed later":
            rig.worker()
            assert stands(task) is TaskState.ASSIGNED
    rig.restore(snapshot)
    rig.worker("w2", instance="i2")
    rig.after(rig.config.grace - 0.1)
    before = rig.task(task).attempt
    assert not [start for sent in rig.taken(c.SendCommands) for start in sent.starts]
    rig.after(0.2)
    assert rig.task(task).state is TaskState.ASSIGNED
    assert rig.task(task).attempt == before + 1


@pytest.mark.parametrize("later", ["hello", "list", "declared dead", "next leader"])
def test_an_exclusive_task_waits_whatever_comes_meanwhile(later: str) -> None:
    """The worker that the snapshot names knows nothing of the attempt that followed elsewhere."""
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(EXCLUSIVE).running_on(agent)
    rig.restore(rig.store.copy())
    agent.held = [] if later == "list" else [running(Fence(1, task.id, 1))]
    agent.hello()
    if later == "hello":
        agent.reset()
        agent.hello()
    elif later == "list":
        agent.reset()
        agent.hello()
        rig.do(e.LevelReported("w1", agent.stream, 1 << 30, []))
    elif later == "declared dead":
        rig.do(e.DeadDeclared(7, ["w1"], "it burnt"))
    else:
        rig.core.world.touch(rig.task(task))
        rig.settle()
        rig.depose()
    rig.worker("w2", instance="i2")
    rig.after(rig.config.grace - 0.1)
    assert rig.task(task).attempt == 1
    rig.after(0.2)
    assert (rig.task(task).state, rig.task(task).attempt) == (TaskState.ASSIGNED, 2)


def test_a_leader_that_is_cut_off_leaves_the_rest_to_the_next() -> None:
    rig = Rig()
    agent = rig.worker()
    tasks = [rig.a_task().running_on(agent) for _ in range(3)]
    rig.restore(rig.store.copy())
    dirty = rig.core.take_dirty(4)
    rig.core.committed(dirty, rig.store.commit(dirty))
    assert 0 < len(dirty.tasks) < 3
    rig.depose()
    rig.do()
    rig.depose()
    for before in tasks:
        task = rig.task(before)
        assert [attempt.evidence for attempt in task.attempts] == [LossEvidence.STORE_RESTORED]
        assert (task.state, newest(task).n) == (TaskState.PENDING, 1)


def test_a_cancelled_task_ends_and_a_finished_one_stands() -> None:
    rig = Rig()
    agent = rig.worker()
    finished = rig.a_task(Spec(has_output=True)).running_on(agent)
    agent.succeeds(finished)
    cancelled = rig.a_task().running_on(agent)
    rig.do(e.CancelRequested(77, [cancelled.id], "no longer wanted"))
    rig.restore(rig.store.copy())
    assert rig.task(cancelled).state is TaskState.CANCELLED
    assert rig.task(finished).state is TaskState.SUCCEEDED


def test_the_log_of_a_finished_attempt_of_before_is_still_told_complete() -> None:
    rig = Rig()
    agent = rig.worker()
    finished = rig.a_task(Spec(has_output=True)).running_on(agent)
    report = result(rig.fence(finished))
    report.log = LogFinals(1, 5, 0, 0)
    agent.report(report)
    assert finished.log_state is LogState.OPEN
    rig.restore(rig.store.copy())
    rig.do(e.LogStateReported(Fence(2, finished.id, 1), LogState.COMPLETE, 0))
    assert rig.task(finished).log_state is LogState.OPEN
    rig.do(e.LogStateReported(Fence(1, finished.id, 1), LogState.COMPLETE, 0))
    assert rig.task(finished).log_state is LogState.COMPLETE


@pytest.mark.parametrize("proof", ["epoch", "attempt", "session"])
def test_a_rolled_back_store_assigns_nothing_under_any_leader(proof: str) -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    if proof == "epoch":
        agent.epoch = rig.epoch + 1
    elif proof == "attempt":
        agent.held = [running(rig.fence(task, 2))]
    else:
        agent.welcomed = agent.connect + 5
        agent.connect += 10
    agent.reset()
    agent.hello()
    assert agent.refused() == "ROLLED_BACK"
    alarm = rig.only(c.RaiseAlarm)
    assert proof in alarm.message
    assert "tenure cluster new-incarnation" in alarm.message
    assert rig.store.alarm == alarm.message
    assert not rig.taken(c.SendCommands), "nothing is fenced: a newer store may come back"
    rig.depose(past_grace=True)
    (late,) = rig.submit()
    assert late.state is TaskState.PENDING
    assert rig.only(c.RaiseAlarm).message == alarm.message
    assert Agent(rig, "w2").hello() is None
    assert Agent(rig, "w3", instance="i3").hello() is None
    rig.clear()
    rig.restore(rig.store)
    assert agent.hello() is not None
    assert rig.task(late).state is TaskState.ASSIGNED


def test_what_an_agent_was_told_by_the_same_store_is_no_proof() -> None:
    rig = Rig()
    agent = rig.worker()
    agent.reset()
    agent.epoch, agent.welcomed = rig.epoch, agent.connect
    assert agent.hello() is not None
    other = Agent(rig, "w1", instance="i2", welcomed=900, connect=900)
    agent.reset()
    rig.do(other.hello_event())
    assert not rig.taken(c.RaiseAlarm)
    assert Agent(rig, "w9", welcomed=5, connect=7).hello() is not None


def test_another_process_may_have_seen_it() -> None:
    rig = Rig()
    rig.worker()
    rig.do(e.RollbackSeen("scheduler a saw revision 900"))
    (task,) = rig.submit()
    assert task.state is TaskState.PENDING
    assert "scheduler a saw revision 900" in rig.core.explain(task).summary
    assert rig.store.alarm == "scheduler a saw revision 900"
