"""Which losses does a task answer for, and what becomes of it then?"""

from __future__ import annotations

from tenure_core.retry import RetryPolicy
from tenure_core.states import (
    AttemptOutcome,
    LossEvidence,
    TaskState,
    WorkerVerdict,
)
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import Rig, Spec, newest


def test_three_counted_losses_on_two_workers_quarantine() -> None:
    rig = Rig()
    agents = [rig.worker("w1"), rig.worker("w2")]
    task = rig.a_task().pending()
    for number in range(3):
        agent = next(a for a in agents if task.worker is a.record)
        rig.clear()
        agent.held = []
        agent.starts(task)
        assert task.losses == number
        rig.expire(agent)
        agent.held = []
        agent.hello()
    assert task.state is TaskState.QUARANTINED
    assert (task.losses, task.attempt) == (3, 3)
    rig.clear()
    rig.do(e.ReleaseRequested(1, [task.id]))
    assert rig.only(c.AnswerRelease).task_ids == [task.id]
    assert (task.losses, task.attempt) == (0, 4)


def test_five_losses_on_one_worker_quarantine() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().pending()
    for _ in range(5):
        assert task.worker is agent.record
        agent.starts(task)
        rig.expire(agent)
        agent.held = []
        agent.hello()
        agent.report()
        rig.after(70.0)
    assert task.state is TaskState.QUARANTINED


def test_max_losses_fails_the_task() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(retry=RetryPolicy(max_losses=0))).running_on(agent)
    rig.expire(agent)
    assert task.state is TaskState.FAILED
    assert task.outcome is AttemptOutcome.LOST


def test_an_attempt_may_have_started_once_its_worker_was_told() -> None:
    """A task that takes its node down at once is never heard of, and must not go on to all the others."""
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    rig.expire(agent)
    assert (newest(task).outcome, task.losses) == (AttemptOutcome.LOST, 1)


def test_an_attempt_of_which_nobody_was_told_is_not_counted() -> None:
    rig = Rig()
    agent = rig.worker()
    revision = rig.store.lives["w1"]
    rig.decide(e.TasksSubmitted(1, [rig.item()]))
    rig.waiting = [w for w in rig.waiting if not isinstance(w, c.SendCommands)]
    rig.end_lease("w1")
    rig.do(e.LiveGone("w1", revision, rig.boot))
    (task,) = rig.core.world.tasks.values()
    ruling = newest(task).ruling
    assert (newest(task).outcome, task.losses) == (AttemptOutcome.LOST, 0)
    assert ruling is not None
    assert ruling.excuse == "its worker had not been told to start it"
    assert agent.record.verdict is WorkerVerdict.LOST


def test_another_instance_cannot_vouch_that_an_attempt_never_started() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    agent.instance = "i2"
    agent.reset()
    agent.hello()
    rig.after(rig.config.reattach_grace)
    attempt = task.attempts[0]
    assert (attempt.outcome, attempt.evidence) == (AttemptOutcome.LOST, LossEvidence.WORKER_REPLACED)
    assert task.losses == 1


def test_a_warden_that_knows_only_of_the_intent_cannot_say_that_it_never_ran() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    lost = e.AttemptReport(
        rig.fence(task),
        e.ReportKind.RESULT,
        outcome=AttemptOutcome.LOST,
        evidence=LossEvidence.WARDEN_DIED,
    )
    agent.held = [lost]
    agent.reset()
    agent.hello()
    assert (task.attempts[0].started_ns, task.losses) == (0, 1)


def test_a_loss_while_its_worker_is_drained_does_not_count() -> None:
    rig = Rig()
    agent = rig.worker("w1")
    task = rig.a_task().running_on(agent)
    rig.worker("w2")
    rig.do(e.DrainRequested(1, ["w1"], 500.0, "new kernel"))
    rig.expire(agent)
    assert agent.verdict() is WorkerVerdict.LOST
    assert (task.losses, task.attempts[0].counted) == (0, False)
    assert task.worker is rig.core.world.workers["w2"]
