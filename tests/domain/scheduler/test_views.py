"""Do lists, pages, logs and retention show and keep what they should?"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tenure_core.retry import RetryPolicy
from tenure_core.states import AttemptOutcome, LogState, TaskState
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.assign import choose_relay
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.logs import knows
from tenure_scheduler.domain.model import LogFinals, Relay
from tenure_scheduler.domain.views import TaskFilter
from tests.domain.scheduler.rig import Rig, Spec, failed, newest, result

LOUD = Spec(has_output=True)
RELAYS = (Relay("r1", "one:1"), Relay("r2", "two:2"))


def names(rig: Rig, wanted: TaskFilter) -> list[str]:
    return [task.name for task in rig.core.page(wanted, 100).tasks]


def test_pages_go_from_new_to_old_without_repeats() -> None:
    rig = Rig()
    rig.submit(count=25)
    seen, before = [], None
    while True:
        page = rig.core.page(TaskFilter(), 10, before)
        seen += [task.sequence for task in page.tasks]
        before = page.next
        if before is None:
            break
    assert seen == list(range(25, 0, -1))


def test_filters_narrow_each_other() -> None:
    rig = Rig()
    agent = rig.worker()
    one, two, three = rig.submit(count=3)
    agent.succeeds(two)
    rig.do(e.TasksSubmitted(1, [rig.item(Spec(namespace="other"))]))
    assert names(rig, TaskFilter(states=frozenset({TaskState.SUCCEEDED}))) == ["t2"]
    assert names(rig, TaskFilter(namespaces=frozenset({"other"}))) == ["t4"]
    assert names(rig, TaskFilter(names=("t1", "*3"))) == ["t3", "t1"]
    assert names(rig, TaskFilter(names=("*",), workers=frozenset({"w9"}))) == []
    assert names(rig, TaskFilter(ids=(one.id, three.id))) == ["t3", "t1"]
    assert names(rig, TaskFilter(ids=(one.id[:-1],), queues=frozenset({"default"}))) == [
        "t4",
        "t3",
        "t2",
        "t1",
    ]
    assert names(rig, TaskFilter(labels=(("a", "b"),))) == []
    assert TaskFilter().empty
    assert rig.core.counts()[TaskState.SUCCEEDED] == 1


def test_globs() -> None:
    rig = Rig()
    item = rig.item()
    item.name = "nightly build of a.b"
    rig.do(e.TasksSubmitted(1, [item]))
    for pattern, matches in {
        "nightly*": True,
        "*a.b": True,
        "n*build*b": True,
        "*build*build*": False,
        "nightly": False,
        "nightly build of a.b*b": False,
        "n**b": True,
    }.items():
        assert bool(names(rig, TaskFilter(names=(pattern,)))) == matches, pattern


def test_find_tells_none_one_and_several_apart() -> None:
    rig = Rig()
    one, _two = rig.submit(count=2)
    assert rig.core.find(one.id) == [one]
    assert len(rig.core.find("000")) == 2
    assert rig.core.find("zzz") == []
    assert rig.core.get("zzz") is None


def test_a_page_of_ids_goes_on() -> None:
    rig = Rig()
    tasks = rig.submit(count=5)
    wanted = TaskFilter(ids=tuple(task.id for task in tasks))
    first = rig.core.page(wanted, 3)
    second = rig.core.page(wanted, 3, first.next)
    assert [t.sequence for t in (*first.tasks, *second.tasks)] == [5, 4, 3, 2, 1]
    assert second.next is None


def test_the_result_and_the_relay_decide_the_state_of_the_log() -> None:
    rig = Rig()
    rig.do(e.RelaysChanged(RELAYS))
    agent = rig.worker()
    silent, loud, gaps = (rig.a_task(LOUD).running_on(agent) for _ in range(3))
    assert newest(silent).relay in {"r1", "r2"}
    agent.succeeds(silent)
    assert silent.log_state is LogState.COMPLETE
    for task in (loud, gaps):
        report = result(rig.fence(task))
        report.log = LogFinals(3, 100)
        agent.report(report)
        assert task.log_state is LogState.OPEN
    rig.do(e.LogStateReported(rig.fence(loud), LogState.COMPLETE))
    rig.do(e.LogStateReported(rig.fence(gaps), LogState.INCOMPLETE, 40))
    rig.do(e.LogStateReported(rig.fence(gaps), LogState.COMPLETE))
    assert (loud.log_state, gaps.log_state, gaps.log_missing) == (LogState.COMPLETE, LogState.INCOMPLETE, 40)
    assert rig.store.tasks[gaps.id].log_state is LogState.INCOMPLETE
    assert knows(rig.core.world, e.LogStateReported(rig.fence(loud), LogState.COMPLETE))


def test_the_log_of_a_lost_attempt_is_unknown_after_30_seconds() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(LOUD).running_on(agent)
    rig.do(e.CancelRequested(1, [task.id]))
    rig.expire(agent)
    assert (task.state, task.log_state) == (TaskState.CANCELLED, LogState.OPEN)
    rig.after(31.0)
    assert task.log_state is LogState.UNKNOWN


def test_nobody_knows_the_log_of_an_attempt_whose_warden_died() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(LOUD).running_on(agent)
    rig.do(e.CancelRequested(1, [task.id]))
    agent.report(result(rig.fence(task), AttemptOutcome.LOST, None))
    assert (task.state, task.log_state) == (TaskState.CANCELLED, LogState.OPEN)
    rig.after(31.0)
    assert task.log_state is LogState.UNKNOWN


def test_the_open_log_of_a_finished_task_is_unknown_after_its_worker_is_lost() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(LOUD).running_on(agent)
    report = result(rig.fence(task))
    report.log = LogFinals(1, 10)
    agent.report(report)
    rig.expire(agent)
    rig.depose()
    rig.after(31.0)
    assert rig.task(task).log_state is LogState.UNKNOWN


@pytest.mark.parametrize("count", [3, 5])
def test_each_relay_gets_its_share_and_few_tasks_move_to_a_new_one(count: int) -> None:
    """With names as operators give them: they differ in one character."""
    relays = tuple(Relay(f"relay-{n}", f"host-{n}:1") for n in range(1, count + 2))
    chance = random.Random(count)
    ids = ["".join(chance.choices("0123456789abcdefghjkmnpqrstvwxyz", k=20)) for _ in range(20_000)]
    before = [choose_relay(one, relays[:count]).id for one in ids]
    after = [choose_relay(one, relays).id for one in ids]
    for chosen, of in ((before, count), (after, count + 1)):
        shares = Counter(chosen)
        assert len(shares) == of
        assert all(abs(share * of / len(ids) - 1) < 0.1 for share in shares.values()), shares
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {relays[count].id}
    assert abs(len(moved) * (count + 1) / len(ids) - 1) < 0.1


def test_all_attempts_of_a_task_have_one_relay() -> None:
    """So that who reads the task finds all its output in one place."""
    rig = Rig()
    rig.do(e.RelaysChanged(tuple(Relay(f"r{n}", f"host:{n}") for n in range(8))))
    agent = rig.worker()
    again = RetryPolicy(max_failures=5, initial_backoff=0.1, max_backoff=0.1)
    task = rig.a_task(Spec(has_output=True, retry=again)).running_on(agent)
    while task.state is not TaskState.FAILED:
        agent.report(failed(rig.fence(task)))
        rig.after(1.0)
    assert len(task.attempts) == 6
    assert len({attempt.relay for attempt in task.attempts}) == 1


def test_attempts_move_when_their_relay_dies() -> None:
    rig = Rig()
    rig.do(e.RelaysChanged(RELAYS))
    agent = rig.worker()
    tasks = [rig.a_task(LOUD).running_on(agent) for _ in range(8)]
    moved = [rig.fence(task) for task in tasks if newest(task).relay == "r1"]
    assert 0 < len(moved) < 8
    rig.clear()
    rig.do(e.RelaysChanged(RELAYS[1:]))
    assert {newest(task).relay for task in tasks} == {"r2"}
    assert [fence for fence, _ in rig.only(c.SendCommands).placements] == moved


def test_readers_are_sent_to_the_relay_that_has_the_whole_log() -> None:
    """The relay of a finished attempt lost its registration before it could say that it has everything."""
    rig = Rig()
    rig.do(e.RelaysChanged(RELAYS[:1]))
    agent = rig.worker()
    task = rig.a_task(LOUD).running_on(agent)
    report = result(rig.fence(task))
    report.log = LogFinals(1, 10)
    agent.report(report)
    rig.do(e.RelaysChanged(RELAYS[1:]))
    assert newest(task).relay == "r2"
    rig.do(e.LogStateReported(rig.fence(task), LogState.COMPLETE, relay="r1"))
    assert (task.log_state, newest(task).relay) == (LogState.COMPLETE, "r1")
    assert newest(rig.store.tasks[task.id]).relay == "r1"


def test_finished_tasks_go_after_24_hours_and_raise_the_watch_floor() -> None:
    rig = Rig()
    agent = rig.worker()
    tasks = rig.submit(Spec(kind="noop"), 2)
    for task in tasks:
        agent.succeeds(task)
    last = tasks[-1].revision
    assert last == rig.store.tasks[tasks[-1].id].revision
    rig.boot += 86_400.0
    rig.after(31.0)
    assert rig.core.world.tasks == rig.store.tasks == {}
    assert (rig.store.floor, rig.store.next_sequence) == (last, 3)
    rig.depose()
    assert rig.submit()[0].sequence == 3


def test_only_the_newest_finished_tasks_are_kept() -> None:
    rig = Rig(CoreConfig(retained_tasks=5, retention_batch=2))
    agent = rig.worker()
    for _ in range(20):
        agent.succeeds(rig.submit(Spec(kind="noop"))[0])
    rig.after(40.0)
    assert [task.sequence for task in rig.core.world.tasks.values()] == [16, 17, 18, 19, 20]
    assert names(rig, TaskFilter()) == ["t20", "t19", "t18", "t17", "t16"]


def test_batches_respect_their_limits_and_keep_task_and_own_together() -> None:
    rig = Rig()
    rig.worker()
    rig.decide(e.TasksSubmitted(1, [rig.item(Spec(kind="noop")) for _ in range(30)]))
    mark, through = rig.core.dirty_marked, 0
    while through < mark:
        dirty = rig.core.take_dirty(max_ops=10)
        assert 0 < len(dirty.tasks) + len(dirty.owns) <= 10
        assert [own.task for own in dirty.owns] == dirty.tasks
        through = dirty.through
        rig.store.commit(dirty)
    assert through == mark


def test_large_specs_do_not_share_a_batch() -> None:
    rig = Rig()
    items = [rig.item() for _ in range(4)]
    for item in items:
        item.spec = bytes(60_000)
    rig.decide(e.TasksSubmitted(1, items))
    sizes = []
    while rig.core.dirty_marked > rig.core.dirty_taken:
        dirty = rig.core.take_dirty(max_bytes=130_000, size_of=lambda _: 60_000)
        sizes.append(len(dirty.tasks))
        rig.store.commit(dirty)
    assert sizes == [2, 2]


def test_the_next_leader_knows_everything_that_was_committed() -> None:
    rig = Rig()
    agent = rig.worker()
    done, lost, waits = rig.submit(count=3)
    agent.report(result(rig.fence(done), AttemptOutcome.FAILED, 9))
    agent.starts(lost)
    rig.do(e.CancelRequested(1, [waits.id]))
    before = {t.id: (t.state, t.attempt, t.outcome, t.reason, t.updated_ns) for t in rig.store.tasks.values()}
    rig.depose()
    world = rig.core.world
    assert {
        t.id: (t.state, t.attempt, t.outcome, t.reason, t.updated_ns) for t in world.tasks.values()
    } == before
    assert [task.id for task in world.finished] == [done.id]
    assert world.tasks[lost.id].own == rig.core.world.tasks[lost.id].attempt | 1 << 32
