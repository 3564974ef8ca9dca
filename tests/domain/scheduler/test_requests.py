"""Do submits, cancels, retries, waits, drains and cordons do what they promise?"""

from __future__ import annotations

import pytest

from tenure_core.resources import Demand
from tenure_core.retry import RetryPolicy
from tenure_core.states import AttemptOutcome, OnDisconnect, TaskState, WorkerVerdict
from tenure_core.timing import SECOND_NS
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import Rig, Spec, failed, newest, result, stands


def test_the_same_request_id_and_spec_is_the_same_task() -> None:
    rig = Rig()
    first, again = rig.item(request_id="r"), rig.item(request_id="r")
    other = rig.item(Spec(namespace="other"), request_id="r")
    rig.do(e.TasksSubmitted(3, [first, again, other]))
    answer = rig.only(c.AnswerSubmit)
    assert [kind for kind, _ in answer.results] == [
        c.SubmitKind.CREATED,
        c.SubmitKind.EXISTING,
        c.SubmitKind.CREATED,
    ]
    assert answer.results[0][1] is answer.results[1][1]
    assert len(rig.core.world.tasks) == 2


def test_the_same_request_id_with_another_spec_is_a_conflict_also_after_a_change_of_leader() -> None:
    rig = Rig()
    rig.do(e.TasksSubmitted(3, [rig.item(request_id="r")]))
    rig.depose()
    rig.do(e.TasksSubmitted(4, [rig.item(Spec(priority=1), request_id="r")]))
    ((kind, task),) = rig.only(c.AnswerSubmit).results
    assert (kind, task.sequence) == (c.SubmitKind.CONFLICT, 1)


def test_not_before_waits_in_backoff_also_under_the_next_leader() -> None:
    rig = Rig()
    rig.worker()
    item = rig.item(not_before_ns=rig.now.utc_ns + 100 * SECOND_NS)
    rig.do(e.TasksSubmitted(1, [item]))
    rig.depose()
    rig.worker("w2")
    task = rig.core.world.tasks[item.task_id]
    rig.after(99.0)
    assert task.state is TaskState.BACKOFF
    rig.worker("w3")
    rig.after(1.5)
    assert stands(task) is TaskState.ASSIGNED


def test_a_queue_timeout_fails_what_never_started() -> None:
    rig = Rig()
    (waits,) = rig.submit(Spec(queue_timeout=10.0))
    rig.after(9.0)
    assert waits.state is TaskState.PENDING
    rig.after(1.1)
    assert (waits.state, waits.outcome) == (TaskState.FAILED, AttemptOutcome.TIMED_OUT)


def test_a_queue_timeout_does_not_touch_what_has_started() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(queue_timeout=10.0, retry=RetryPolicy(1, initial_backoff=50.0))).running_on(agent)
    agent.report(failed(rig.fence(task)))
    rig.after(20.0)
    assert task.state is TaskState.BACKOFF


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.BACKOFF])
def test_what_has_no_attempt_is_cancelled_at_once(state: TaskState) -> None:
    rig = Rig()
    later = rig.now.utc_ns + 100 * SECOND_NS if state is TaskState.BACKOFF else 0
    item = rig.item(not_before_ns=later)
    rig.do(e.TasksSubmitted(1, [item]))
    task = rig.core.world.tasks[item.task_id]
    assert task.state is state
    rig.do(e.CancelRequested(2, [task.id, "unknown"], "no longer needed"))
    assert rig.only(c.AnswerCancel).tasks == [task]
    assert (task.state, task.reason) == (TaskState.CANCELLED, "no longer needed")
    rig.after(200.0)
    assert task.state is TaskState.CANCELLED


def test_a_cancel_is_committed_before_the_stop_leaves() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.decide(e.CancelRequested(2, [task.id], "stop it"))
    (send,) = [w for w in rig.waiting if isinstance(w, c.SendCommands)]
    assert send.needs_proof
    assert rig.store.tasks[task.id].state is TaskState.ASSIGNED
    rig.settle()
    assert rig.store.tasks[task.id].state is TaskState.CANCELLING
    (stop,) = rig.only(c.SendCommands).stops
    assert (stop.fence, stop.outcome, stop.reason) == (rig.fence(task), AttemptOutcome.CANCELLED, "stop it")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (AttemptOutcome.CANCELLED, TaskState.CANCELLED),
        (AttemptOutcome.SUCCEEDED, TaskState.SUCCEEDED),
        (AttemptOutcome.FAILED, TaskState.FAILED),
        (AttemptOutcome.LOST, TaskState.CANCELLED),
        (AttemptOutcome.NOT_STARTED, TaskState.CANCELLED),
    ],
)
def test_cancelling_and_a_result_is_the_real_outcome(outcome: AttemptOutcome, state: TaskState) -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(retry=RetryPolicy(5))).running_on(agent)
    rig.do(e.CancelRequested(2, [task.id]))
    agent.report(result(rig.fence(task), outcome, None))
    assert (task.state, task.attempt) == (state, 1)


def test_a_stop_ack_ends_a_cancel() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    rig.do(e.CancelRequested(2, [task.id]))
    agent.report(e.AttemptReport(rig.fence(task), e.ReportKind.STOPPED))
    assert task.state is TaskState.CANCELLED


def test_a_lost_worker_ends_a_cancel() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    rig.do(e.CancelRequested(2, [task.id]))
    rig.after(3.0)
    assert task.state is TaskState.CANCELLED


def test_an_unacknowledged_cancel_is_told_again_by_the_next_leader() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.CancelRequested(2, [task.id]))
    rig.depose()
    agent.hello()
    (stop,) = rig.only(c.SendCommands).stops
    assert stop.fence == rig.fence(task)


def test_retry_makes_a_new_task_of_a_finished_one() -> None:
    rig = Rig()
    task = rig.a_task().pending()
    rig.do(e.RetryRequested(1, task.id, "n" * 20))
    assert rig.only(c.AnswerError).reason == "FAILED_PRECONDITION"
    rig.do(e.CancelRequested(2, [task.id]))
    rig.clear()
    rig.do(e.RetryRequested(3, task.id, "n" * 20, "again"))
    rig.do(e.RetryRequested(4, task.id, "m" * 20, "again"))
    first, second = rig.taken(c.AnswerSubmit)
    assert first.results == [(c.SubmitKind.CREATED, rig.core.world.tasks["n" * 20])]
    assert second.results == [(c.SubmitKind.EXISTING, rig.core.world.tasks["n" * 20])]
    new = rig.core.world.tasks["n" * 20]
    assert (new.retry_of, new.spec, task.state) == (task.id, task.spec, TaskState.CANCELLED)
    rig.do(e.RetryRequested(5, "x" * 20, "o" * 20))
    assert rig.only(c.AnswerError).reason == "NOT_FOUND"


def test_waits_are_answered_once_per_task() -> None:
    rig = Rig()
    agent = rig.worker()
    one, two = rig.a_task().assigned(), rig.a_task().assigned()
    rig.do(e.WaitRequested(7, [one.id, two.id, "nobody"]), e.WaitRequested(8, [one.id]), e.WaitEnded(8))
    assert rig.only(c.TellFinished).unknown == [(7, "nobody")]
    agent.succeeds(one)
    assert rig.only(c.TellFinished).tasks == [(7, one)]
    agent.succeeds(two)
    assert rig.only(c.TellFinished).tasks == [(7, two)]
    rig.do(e.WaitRequested(9, [one.id]))
    assert rig.only(c.TellFinished).tasks == [(9, one)]
    assert not rig.core.world.waiting
    assert not rig.core.world.tickets


def test_a_drain_moves_what_is_left_at_the_deadline_uncounted() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task().running_on(first)
    second = rig.worker("w2")
    rig.do(e.DrainRequested(1, ["w1"], 5.0, "kernel update"))
    rig.clear()
    assert rig.submit()[0].worker is second.record
    rig.clear()
    rig.after(5.1)
    (stop,) = rig.only(c.SendCommands).stops
    assert (stop.outcome, stop.reason) == (AttemptOutcome.DRAINED, "kernel update")
    first.report(result(rig.fence(task), AttemptOutcome.DRAINED, None))
    assert task.worker is second.record
    assert (task.losses, task.failures) == (0, 0)


def test_a_drain_survives_the_leader_and_can_be_cancelled() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.do(e.DrainRequested(1, ["w1"], 500.0))
    rig.depose()
    agent.hello()
    assert agent.record.verdict is WorkerVerdict.DRAINING
    rig.clear()
    (task,) = rig.submit()
    assert task.state is TaskState.PENDING
    rig.do(e.DrainCancelled(1, ["w1"]))
    assert stands(task) is TaskState.ASSIGNED


def test_a_cordon_keeps_new_tasks_away() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.do(e.CordonRequested(1, ["w1"], reason="suspicious"))
    rig.clear()
    (task,) = rig.submit()
    assert task.state is TaskState.PENDING
    assert rig.core.explain(task).workers[0].reasons == ("it is cordoned: suspicious",)
    rig.do(e.CordonRequested(1, ["w1"], cordoned=False))
    assert task.worker is agent.record


def test_a_cancelled_exclusive_task_waits_for_its_term_as_well() -> None:
    rig = Rig()
    agent = rig.worker()
    spec = Spec(on_disconnect=OnDisconnect.STOP, demand=Demand(cpu_milli=1))
    task = rig.a_task(spec).running_on(agent)
    rig.expire(agent)
    rig.do(e.CancelRequested(1, [task.id]))
    assert task.state is TaskState.CANCELLING
    rig.after(12.1)
    assert (task.state, newest(task).outcome) == (TaskState.CANCELLED, AttemptOutcome.LOST)
