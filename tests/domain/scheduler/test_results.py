"""Which results count, and what follows from them?"""

from __future__ import annotations

import pytest

from tenure_core.resources import Capacity, Demand
from tenure_core.retry import RetryPolicy
from tenure_core.states import AttemptOutcome, TaskState
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import Rig, Spec, failed, newest, result, stands

TWICE = Spec(retry=RetryPolicy(max_failures=1))


def test_a_result_may_arrive_in_assigned() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    agent.succeeds(task)
    assert (task.state, task.outcome) == (TaskState.SUCCEEDED, AttemptOutcome.SUCCEEDED)
    assert rig.only(c.SendCommands).accepted == [rig.fence(task)]
    assert task.id not in rig.store.owns


def test_a_noop_costs_five_operations() -> None:
    rig = Rig()
    agent = rig.worker()
    operations = 0

    def count() -> None:
        nonlocal operations
        dirty = rig.core.take_dirty()
        operations += len(dirty.tasks) + len(dirty.owns) + len(dirty.disowned) + len(dirty.workers)
        rig.store.commit(dirty)

    rig.do(e.CordonRequested(1, ["w1"]))
    rig.decide(e.TasksSubmitted(1, [rig.item(Spec(kind="noop"))]))
    count()
    rig.decide(e.CordonRequested(1, ["w1"], cordoned=False))
    count()
    (task,) = rig.core.world.tasks.values()
    rig.decide(e.ReportsReceived("w1", agent.stream, 9, [result(rig.fence(task))]))
    count()
    assert operations - 1 == 5
    rig.store.lives.clear()


def test_the_same_result_again_is_accepted_and_another_refused() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.succeeds(task)
    agent.succeeds(task)
    assert [s.accepted for s in rig.taken(c.SendCommands)] == [[rig.fence(task)]] * 2
    agent.report(failed(rig.fence(task)))
    (refused,) = rig.only(c.SendCommands).fenced
    assert refused.reason == "the attempt ended SUCCEEDED before this result came"
    assert task.state is TaskState.SUCCEEDED


def test_a_result_after_the_loss_replaces_it_and_gives_the_count_back() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.expire(agent)
    assert (task.state, task.losses) == (TaskState.PENDING, 1)
    agent.held = [result(rig.fence(task))]
    agent.hello()
    assert (task.state, task.losses, task.attempt) == (TaskState.SUCCEEDED, 0, 1)


def test_a_failure_after_the_loss_counts_as_the_failure_that_it_is() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(TWICE).running_on(agent)
    rig.expire(agent)
    agent.held = [failed(rig.fence(task))]
    agent.hello()
    assert (task.state, task.failures, task.losses) == (TaskState.BACKOFF, 1, 0)


def test_a_result_of_a_superseded_attempt_is_fenced() -> None:
    rig = Rig()
    first = rig.worker("w1")
    task = rig.a_task().running_on(first)
    rig.worker("w2")
    rig.expire(first)
    assert task.attempt == 2
    rig.clear()
    first.held = [result(rig.fence(task, 1))]
    first.hello()
    (fenced,) = rig.only(c.SendCommands).fenced
    assert (fenced.fence, fenced.current) == (rig.fence(task, 1), 2)
    assert task.state is TaskState.ASSIGNED


def test_a_result_of_an_unknown_task_is_fenced() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    agent.report(result(rig.fence(task)._replace(task="z" * 20)))
    (fenced,) = rig.only(c.SendCommands).fenced
    assert (fenced.current, fenced.reason) == (0, "the task is no longer known")


def test_a_failure_is_retried_after_its_backoff_and_then_final() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(TWICE).running_on(agent)
    agent.report(failed(rig.fence(task)))
    assert task.state is TaskState.BACKOFF
    rig.after(0.7)
    assert task.state is TaskState.BACKOFF
    rig.after(0.4)
    assert (task.state, task.attempt) == (TaskState.ASSIGNED, 2)
    agent.report(failed(rig.fence(task), 7))
    assert (task.state, newest(task).exit_code, task.failures) == (TaskState.FAILED, 7, 2)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (AttemptOutcome.SUCCEEDED, TaskState.SUCCEEDED),
        (AttemptOutcome.FAILED, TaskState.FAILED),
        (AttemptOutcome.TIMED_OUT, TaskState.FAILED),
        (AttemptOutcome.REJECTED, TaskState.FAILED),
        (AttemptOutcome.CANCELLED, TaskState.ASSIGNED),
        (AttemptOutcome.LOST, TaskState.ASSIGNED),
        (AttemptOutcome.NOT_STARTED, TaskState.ASSIGNED),
        (AttemptOutcome.PREEMPTED, TaskState.ASSIGNED),
        (AttemptOutcome.WORKER_SHUTDOWN, TaskState.ASSIGNED),
        (AttemptOutcome.DRAINED, TaskState.ASSIGNED),
        (AttemptOutcome.INTERNAL_ERROR, TaskState.ASSIGNED),
    ],
)
def test_what_follows_each_outcome_without_retries(outcome: AttemptOutcome, state: TaskState) -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.report(result(rig.fence(task), outcome, None))
    assert task.state is state
    assert task.attempt == (2 if state is TaskState.ASSIGNED else 1)


def test_rejected_is_never_retried() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(retry=RetryPolicy(max_failures=9))).running_on(agent)
    agent.report(result(rig.fence(task), AttemptOutcome.REJECTED, None))
    assert task.state is TaskState.FAILED


def test_a_worker_that_never_starts_anything_does_not_make_us_spin() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    begin = rig.boot
    while task.attempt < 8:
        agent.report(e.AttemptReport(rig.fence(task), e.ReportKind.NOT_STARTED, reason="disk full"))
        while task.state is TaskState.BACKOFF:
            rig.after(0.5)
    assert rig.boot - begin > 30.0
    assert task.losses == task.failures == 0


def test_running_is_written_only_if_it_lasts() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    assert (task.state, rig.store.tasks[task.id].state) == (TaskState.RUNNING, TaskState.ASSIGNED)
    rig.after(0.2)
    assert rig.store.tasks[task.id].state is TaskState.RUNNING


def test_looking_at_a_running_task_writes_it() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    assert rig.core.dirty_marked == rig.core.dirty_taken
    rig.core.get(task.id)
    assert rig.core.dirty_marked > rig.core.dirty_taken


def test_room_comes_back_with_the_exit() -> None:
    rig = Rig()
    agent = rig.worker(capacity=Capacity(1_000))
    first, second = rig.submit(Spec(demand=Demand(cpu_milli=1_000)), 2)
    assert second.state is TaskState.PENDING
    agent.succeeds(first)
    assert stands(second) is TaskState.ASSIGNED


def test_what_an_ended_stream_still_delivers_is_ignored() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.end()
    agent.succeeds(task)
    assert task.state is TaskState.RUNNING


def test_history_keeps_the_newest_20_attempts() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(
        Spec(retry=RetryPolicy(max_failures=30, initial_backoff=0.1, max_backoff=0.1))
    ).pending()
    for _ in range(25):
        agent.report(failed(rig.fence(task)))
        rig.after(1.0)
    assert (len(task.attempts), task.dropped_attempts, task.attempt) == (20, 6, 26)
    assert rig.core.explain(task).story[1] == "(6 earlier attempts are no longer recorded)"


def test_a_result_of_an_earlier_attempt_on_the_same_worker_is_fenced() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    agent.report(e.AttemptReport(rig.fence(task), e.ReportKind.NOT_STARTED))
    assert task.attempt == 2
    rig.clear()
    agent.report(result(rig.fence(task, 1)))
    (fenced,) = rig.only(c.SendCommands).fenced
    assert (fenced.fence, fenced.current) == (rig.fence(task, 1), 2)
    assert task.state is TaskState.ASSIGNED


def test_a_failure_that_waits_for_its_retry_stands() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(TWICE).running_on(agent)
    agent.report(failed(rig.fence(task), 1))
    rig.clear()
    agent.succeeds(task)
    (fenced,) = rig.only(c.SendCommands).fenced
    assert fenced.reason == "the attempt ended FAILED before this result came"
    agent.report(failed(rig.fence(task), 1))
    assert rig.only(c.SendCommands).accepted == [rig.fence(task)]
    assert (task.state, task.failures) == (TaskState.BACKOFF, 1)


def test_an_attempt_that_runs_after_all_goes_on() -> None:
    """A level report that crossed with the Start made us give it up; nobody else has it yet."""
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    rig.do(e.CordonRequested(1, ["w1"]))
    rig.do(e.LevelReported("w1", agent.stream, 1, []))
    assert newest(task).outcome is AttemptOutcome.NOT_STARTED
    agent.starts(task)
    assert (stands(task), task.attempt, newest(task).outcome) == (TaskState.RUNNING, 1, None)


def test_writing_a_task_again_does_not_write_its_ownership_again() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.core.get(task.id)
    dirty = rig.core.take_dirty()
    assert (dirty.tasks, dirty.owns, dirty.disowned) == ([task], [], [])
    rig.store.commit(dirty)


def test_a_leader_whose_clock_is_behind_makes_no_pause_longer() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(retry=RetryPolicy(max_failures=1))).running_on(agent)
    agent.report(failed(rig.fence(task)))
    assert stands(task) is TaskState.BACKOFF
    rig.wall_step = -3600.0
    rig.depose()
    rig.after(5.0)
    assert rig.task(task).state is not TaskState.BACKOFF
