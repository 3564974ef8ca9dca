"""Is the task that takes its workers down found, and are those beside it left alone?"""

from __future__ import annotations

from tenure_core.resources import Capacity, Demand
from tenure_core.states import OnDisconnect, TaskState
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.model import SUSPECTED_FROM, Task
from tests.domain.scheduler.rig import Agent, Rig, Spec, newest, stands

SMALL = Demand(cpu_milli=10)


def suspected(rig: Rig, spec: Spec | None = None, count: int = 1) -> tuple[Agent, list[Task]]:
    """So many suspects, lost with the only worker again and again, and that worker, which is back."""
    agent = rig.worker("w1")
    tasks = rig.submit(spec or Spec(demand=SMALL), count)
    for _ in range(SUSPECTED_FROM):
        for task in tasks:
            agent.starts(task)
        crash(rig, agent)
    assert all(task.suspect for task in tasks)
    return agent, tasks


def crash(rig: Rig, agent: Agent) -> None:
    """The worker is lost and comes back with nothing."""
    rig.clear()
    rig.expire(agent)
    agent.held = []
    agent.hello()


def test_only_the_task_that_takes_workers_down_is_quarantined() -> None:
    rig = Rig()
    agents = {name: rig.worker(name) for name in ("w1", "w2")}
    rig.do(e.CordonRequested(1, ["w2"]))
    tasks = rig.submit(Spec(demand=SMALL), 4)
    rig.do(e.CordonRequested(1, ["w2"], cordoned=False))
    poison, *innocent = tasks
    for _ in range(3):
        for task in tasks:
            if task.worker is not None and not newest(task).started_ns:
                agents[task.worker.name].starts(task)
        assert poison.worker is not None
        crash(rig, agents[poison.worker.name])
    assert (poison.state, poison.losses) == (TaskState.QUARANTINED, 3)
    assert [task.losses for task in innocent] == [2, 2, 2]
    for _ in range(3):
        for task in innocent:
            if task.worker is not None:
                agents[task.worker.name].succeeds(task)
    assert [task.state for task in innocent] == [TaskState.SUCCEEDED] * 3


def test_a_worker_runs_one_suspect_at_a_time_and_the_next_when_it_ends() -> None:
    rig = Rig()
    agent, (first, second) = suspected(rig, count=2)
    assert (first.worker, second.worker) == (agent.record, None)
    told = rig.core.explain(second)
    assert told.workers[0].reasons == (f"it runs another task that was lost before: {first.id}",)
    agent.succeeds(first)
    assert second.worker is agent.record


def test_a_suspect_that_runs_for_long_keeps_nobody_waiting() -> None:
    rig = Rig()
    agent, (first, second) = suspected(rig, count=2)
    agent.starts(first)
    rig.after(rig.config.probation - 1.0)
    assert stands(second) is TaskState.PENDING
    rig.after(1.0)
    assert second.worker is agent.record
    agent.starts(second)
    crash(rig, agent)
    assert (first.losses, second.losses) == (2, 3), "only the one on probation is to blame"


def test_a_new_leader_puts_suspects_on_probation_again() -> None:
    rig = Rig()
    agent, (first, second) = suspected(rig, count=2)
    agent.starts(first)
    rig.depose()
    agent.hello()
    assert rig.task(second).worker is None
    rig.after(rig.config.probation)
    assert rig.task(second).worker is rig.core.world.workers["w1"]


def test_the_probation_of_a_suspect_whose_worker_is_away_goes_on() -> None:
    rig = Rig()
    agent, (first, second) = suspected(rig, count=2)
    agent.starts(first)
    agent.end()
    rig.after(rig.config.probation + 1.0)
    agent.hello()
    assert stands(second) is TaskState.PENDING
    rig.after(rig.config.probation)
    assert second.worker is agent.record


def test_a_new_worker_takes_a_waiting_suspect() -> None:
    rig = Rig()
    _, (_, second) = suspected(rig, count=2)
    assert stands(second) is TaskState.PENDING
    assert second.worker is None
    other = rig.worker("w2")
    assert second.worker is other.record


def test_a_waiting_suspect_holds_nobody_up() -> None:
    rig = Rig()
    agent, (_, second) = suspected(rig, count=2)
    later = rig.submit(Spec(demand=SMALL), 3)
    assert second.worker is None
    assert [task.worker for task in later] == [agent.record] * 3


def test_a_loss_counts_for_the_suspect_only() -> None:
    rig = Rig()
    agent, (suspect,) = suspected(rig)
    beside = rig.a_task(Spec(demand=SMALL)).running_on(agent)
    agent.starts(suspect)
    crash(rig, agent)
    assert (suspect.losses, beside.losses) == (3, 0)
    ruling = beside.attempts[0].ruling
    assert ruling is not None
    assert ruling.excuse == "a task that was lost before ran on the same worker"


def test_a_reboot_counts_for_the_suspect_only() -> None:
    rig = Rig()
    agent, (suspect,) = suspected(rig)
    beside = rig.a_task(Spec(demand=SMALL)).running_on(agent)
    agent.starts(suspect)
    agent.boot, agent.held = "b2", []
    agent.hello()
    assert (suspect.losses, beside.losses) == (3, 0)


def test_an_exclusive_task_is_excused_when_it_is_given_up_later_than_the_suspect() -> None:
    rig = Rig()
    agent, (suspect,) = suspected(rig)
    spec = Spec(demand=SMALL, on_disconnect=OnDisconnect.STOP)
    exclusive = rig.a_task(spec).running_on(agent)
    agent.starts(suspect)
    rig.after(1.0)
    rig.expire(agent)
    assert (suspect.losses, exclusive.attempts[0].outcome) == (3, None)
    rig.depose()
    rig.after(rig.config.grace * 3)
    exclusive = rig.task(exclusive)
    assert exclusive.attempts[0].outcome is not None
    assert exclusive.losses == 0


def test_a_suspect_that_may_have_started_is_blamed() -> None:
    rig = Rig()
    agent, (suspect,) = suspected(rig)
    beside = rig.a_task(Spec(demand=SMALL)).running_on(agent)
    assert suspect.worker is agent.record
    assert not newest(suspect).started_ns
    crash(rig, agent)
    assert (suspect.losses, beside.losses) == (3, 0)


def test_a_suspect_of_which_the_worker_was_not_told_excuses_nobody() -> None:
    rig = Rig()
    agent, (suspect,) = suspected(rig)
    beside = rig.a_task(Spec(demand=SMALL)).running_on(agent)
    attempt = newest(suspect)
    attempt.start_number = agent.record.sent_number + 1
    crash(rig, agent)
    assert (suspect.losses, beside.losses) == (2, 1)


def test_losses_that_do_not_count_make_no_suspects() -> None:
    rig = Rig()
    agent, other = rig.worker("w1"), rig.worker("w2", capacity=Capacity(5))
    tasks = rig.submit(Spec(demand=SMALL), 3)
    for task in tasks:
        agent.starts(task)
    rig.do(e.DrainRequested(1, ["w1"], 500.0))
    rig.expire(agent)
    assert [task.suspect for task in tasks] == [False] * 3
    other.capacity = Capacity(4_000)
    other.hello()
    assert [task.worker for task in tasks] == [other.record] * 3


def test_a_release_makes_an_innocent_of_a_suspect() -> None:
    rig = Rig()
    agent, (task,) = suspected(rig)
    for _ in range(3):
        agent.starts(task)
        crash(rig, agent)
        agent.report()
        rig.after(70.0)
    assert (stands(task), task.suspect) == (TaskState.QUARANTINED, True)
    rig.do(e.ReleaseRequested(1, [task.id]))
    assert (stands(task), task.suspect) == (TaskState.ASSIGNED, False)
    rig.depose()
    assert not rig.task(task).suspect


def test_a_suspect_that_its_worker_still_holds_is_none_any_more() -> None:
    rig = Rig()
    agent = rig.worker("w1", capacity=Capacity(10))
    task = rig.a_task(Spec(demand=SMALL)).running_on(agent)
    crash(rig, agent)
    agent.starts(task)
    rig.expire(agent)
    assert (stands(task), task.suspect) == (TaskState.PENDING, True)
    agent.hello()
    assert (stands(task), task.suspect) == (TaskState.RUNNING, False)
    rig.do(e.DrainRequested(1, ["w1"], 500.0))
    agent.held = []
    agent.boot = "b2"
    agent.hello()
    assert (stands(task), task.suspect) == (TaskState.PENDING, False)
    rig.do(e.DrainCancelled(1, ["w1"]))
    assert stands(task) is TaskState.ASSIGNED


def test_after_one_loss_nobody_waits_for_anybody() -> None:
    rig = Rig()
    agent = rig.worker("w1")
    tasks = rig.submit(Spec(demand=SMALL), 20)
    for task in tasks:
        agent.starts(task)
    other = rig.worker("w2")
    rig.expire(agent)
    assert {task.worker for task in tasks} == {other.record}
