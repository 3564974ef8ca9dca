"""Does a fence hold exactly as long as its attempt is the newest and has not ended?"""

from __future__ import annotations

from tenure_core.fence import Fence
from tenure_core.retry import RetryPolicy
from tenure_core.states import TaskState
from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import Rig, Spec, failed, running, stands


def test_a_fence_holds_from_the_assignment_to_the_end() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().assigned()
    fence = rig.fence(task)
    assert rig.core.verify(fence) == (True, fence, "")
    agent.starts(task)
    assert rig.core.verify(fence).valid
    agent.succeeds(task)
    assert rig.core.verify(fence) == (False, fence, "the task is SUCCEEDED")


def test_a_lost_attempt_does_not_hold_whether_or_not_another_one_has_begun() -> None:
    rig = Rig()
    first, second = rig.worker("w1"), rig.worker("w2")
    first_cordon = e.CordonRequested(1, ["w2"])
    rig.do(first_cordon)
    task = rig.a_task().running_on(first)
    fence = rig.fence(task)
    rig.expire(first)
    assert stands(task) is TaskState.PENDING
    assert rig.core.verify(fence) == (
        False,
        fence,
        "the attempt ended LOST, and another one will take its place",
    )
    rig.do(e.CordonRequested(1, ["w2"], cordoned=False))
    assert task.worker is second.record
    assert rig.core.verify(fence) == (False, rig.fence(task, 2), "attempt 2 has taken its place")
    assert rig.core.verify(rig.fence(task, 2)).valid


def test_an_attempt_that_is_adopted_again_holds_again() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.expire(agent)
    assert not rig.core.verify(rig.fence(task, 1)).valid
    agent.held = [running(rig.fence(task, 1))]
    agent.hello()
    assert stands(task) is TaskState.RUNNING
    assert rig.core.verify(rig.fence(task, 1)).valid


def test_an_attempt_that_is_being_cancelled_holds_until_it_has_ended() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.CancelRequested(1, [task.id]))
    assert stands(task) is TaskState.CANCELLING
    assert rig.core.verify(rig.fence(task)).valid
    agent.report(failed(rig.fence(task)))
    assert rig.core.verify(rig.fence(task)).reason == "the task is FAILED"


def test_a_failed_attempt_whose_task_is_tried_again_does_not_hold() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec(retry=RetryPolicy(max_failures=3))).running_on(agent)
    agent.report(failed(rig.fence(task)))
    assert stands(task) is TaskState.BACKOFF
    assert "ended FAILED" in rig.core.verify(rig.fence(task, 1)).reason


def test_what_was_never_assigned_does_not_hold() -> None:
    rig = Rig()
    task = rig.submit()[0]
    assert rig.core.verify(Fence(1, task.id, 1)) == (
        False,
        None,
        "attempt 1 was never assigned: the newest is 0",
    )
    rig.worker()
    assert rig.core.verify(Fence(1, task.id, 1)).valid
    assert not rig.core.verify(Fence(1, task.id, 2)).valid
    unknown = rig.core.verify(Fence(1, "0" * 20, 1))
    assert (unknown.valid, unknown.current) == (False, None)


def test_another_incarnation_does_not_hold_neither_an_earlier_nor_a_later_one() -> None:
    rig = Rig()
    rig.worker()
    task = rig.a_task().assigned()
    for n in (2, 7):
        verdict = rig.core.verify(Fence(n, task.id, 1))
        assert (verdict.valid, verdict.current) == (False, rig.fence(task, 1))
        assert verdict.reason == f"it belongs to incarnation {n} of the cluster, and this is 1"
