"""Who gets which worker, in which order, and what does `explain` say to those who get none?"""

from __future__ import annotations

from tenure_core.labels import Constraint, Operator, Preference
from tenure_core.resources import Capacity, Demand
from tenure_core.states import TaskState
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.placement import NoFit, Placed, decide
from tests.domain.scheduler.rig import Rig, Spec, newest

ONE = Spec(demand=Demand(cpu_milli=1_000))
SMALL = Capacity(1_000)


def order_of_start(rig: Rig, count: int) -> list[str]:
    """Run everything through one worker with room for one task; the names in the order of their start."""
    agent = rig.worker(capacity=SMALL)
    names = []
    for _ in range(count):
        (task,) = agent.record.attempts.values()
        names.append(task.name)
        agent.succeeds(task)
    return names


def test_priority_goes_before_first_in_first_out() -> None:
    rig = Rig()
    for priority in (0, 5, 0, 5):
        rig.submit(Spec(demand=Demand(cpu_milli=1_000), priority=priority))
    assert order_of_start(rig, 4) == ["t2", "t4", "t1", "t3"]


def test_waiting_is_worth_priority() -> None:
    rig = Rig()
    rig.submit(ONE)
    rig.after(61.0)
    rig.submit(Spec(demand=Demand(cpu_milli=1_000), priority=1))
    rig.submit(Spec(demand=Demand(cpu_milli=1_000), priority=2))
    assert order_of_start(rig, 3) == ["t3", "t1", "t2"]


def test_order_holds_across_shapes() -> None:
    rig = Rig()
    rig.submit(ONE)
    rig.submit(Spec(demand=Demand(cpu_milli=900)))
    rig.submit(ONE)
    assert order_of_start(rig, 3) == ["t1", "t2", "t3"]


def test_a_task_that_comes_back_goes_to_its_old_place() -> None:
    rig = Rig()
    agent = rig.worker(capacity=SMALL)
    first, second = rig.submit(ONE, 2)
    agent.starts(first)
    rig.expire(agent)
    agent.held, agent.instance = [], "i2"
    agent.hello()
    assert (first.state, first.attempt, second.state) == (TaskState.ASSIGNED, 2, TaskState.PENDING)


def test_load_is_spread() -> None:
    rig = Rig()
    rig.worker("w1"), rig.worker("w2")
    tasks = rig.submit(ONE, 4)
    assert sorted(newest(task).worker for task in tasks) == ["w1", "w1", "w2", "w2"]


def test_preferences_attract_but_do_not_bind() -> None:
    rig = Rig()
    rig.worker("w1", capacity=SMALL)
    rig.worker("w2", capacity=SMALL, labels={"disk": "ssd"})
    ssd = Preference(Constraint("disk", Operator.IN, ("ssd",)), 1)
    tasks = rig.submit(Spec(demand=Demand(cpu_milli=1_000), preferences=(ssd,)), 2)
    assert [newest(task).worker for task in tasks] == ["w2", "w1"]


def test_workers_with_devices_are_kept_for_those_who_need_them() -> None:
    rig = Rig()
    rig.worker("w1", capacity=Capacity(4_000, indexed={"gpu": (0, 1)}))
    rig.worker("w2")
    assert newest(rig.submit(ONE)[0]).worker == "w2"
    (gpu,) = rig.submit(Spec(demand=Demand(indexed=(("gpu", 1),))))
    assert (newest(gpu).worker, newest(gpu).grant.indexes) == ("w1", (("gpu", (0,)),))


def test_at_most_500_attempts_per_worker() -> None:
    rig = Rig()
    rig.worker()
    tasks = rig.submit(Spec(kind="noop"), 501)
    assert [task.state for task in tasks].count(TaskState.ASSIGNED) == 500
    assert tasks[-1].state is TaskState.PENDING
    assert rig.core.explain(tasks[-1]).workers[0].reasons == ("it has 500 attempts, the most it may have",)


def test_what_does_not_fit_is_parked_and_waked_by_room() -> None:
    rig = Rig()
    agent = rig.worker(capacity=SMALL)
    first, *rest = rig.submit(ONE, 10)
    world = rig.core.world
    assert (len(world.queue.parked), len(world.queue.active)) == (1, 0)
    agent.succeeds(first)
    assert rest[0].state is TaskState.ASSIGNED


def test_decide_says_why_not() -> None:
    rig = Rig()
    rig.worker("w1", capacity=SMALL)
    rig.worker("w2", capacity=SMALL, task_types=frozenset({"noop"}))
    rig.worker("w3", labels={"zone": "b"})
    zone = Constraint("zone", Operator.IN, ("a",))
    (task,) = rig.submit(Spec(demand=Demand(cpu_milli=2_000), constraints=(zone,)))
    decision = decide(rig.core.world, task)
    assert isinstance(decision, NoFit)
    assert decision.reasons["w3"] == ("constraint not met: zone in a (label is b)",)
    assert decision.reasons["w2"][0] == "it does not run tasks of type 'process'"
    assert "too small: cpu: needs 2000m, free 1000m" in decision.reasons["w1"]
    agent = rig.worker("w4", labels={"zone": "a"})
    assert task.worker is agent.record
    rig.do(e.CordonRequested(1, ["w3"]))
    assert decide(rig.core.world, task) == Placed(agent.record)


def test_explain_counts_ranks_and_suggests() -> None:
    rig = Rig()
    agent = rig.worker("w1", capacity=SMALL)
    rig.worker("w2", labels={"zone": "b"}, capacity=SMALL)
    zone = Constraint("zone", Operator.NOT_IN, ("b",))
    spec = Spec(demand=Demand(cpu_milli=1_000), constraints=(zone,))
    _, second, third = rig.submit(spec, 3)
    found = rig.core.explain(third)
    assert found.ahead == 1
    assert [w.worker for w in found.workers] == ["w2", "w1"]
    assert found.counts == {"constraint not met": 1, "busy": 1}
    assert found.summary == "none of 2 workers takes it: 1 × busy, 1 × constraint not met"
    assert found.suggestions == ["wait until running tasks end, or add workers"]
    agent.end()
    assert rig.core.explain(second).suggestions == ["bring back worker w1: it is not connected"]


def test_explain_in_every_other_state() -> None:
    rig = Rig()
    (alone,) = rig.submit()
    assert rig.core.explain(alone).summary == "no worker has ever registered"
    assert rig.core.explain(alone).suggestions == ["start a worker agent that can reach this scheduler"]
    agent = rig.worker()
    agent.starts(alone)
    assert rig.core.explain(alone).summary == "attempt 1 is RUNNING on worker w1"
    rig.do(e.CancelRequested(1, [alone.id], "enough"))
    assert rig.core.explain(alone).summary == "it is being cancelled on worker w1: enough"
    agent.succeeds(alone)
    assert rig.core.explain(alone).summary == "attempt 1 ended well on worker w1"
    story = rig.core.explain(alone).story
    assert [line.split(" ", 1)[1] for line in story if " " in line][-1].startswith("SUCCEEDED")
    (unwanted,) = rig.submit(Spec(demand=Demand(cpu_milli=9_000)))
    rig.do(e.CancelRequested(1, [unwanted.id], "enough"))
    assert rig.core.explain(unwanted).summary == "it has ended before its first attempt: enough"
    (huge,) = rig.submit(Spec(demand=Demand(cpu_milli=9_000)))
    suggestions = rig.core.explain(huge).suggestions
    assert suggestions == [
        "start a worker with task type 'process'",
        "too small: cpu: needs 9000m, free 4000m",
    ]
