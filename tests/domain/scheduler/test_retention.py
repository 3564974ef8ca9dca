"""Finished tasks go earlier while the store is nearly full."""

from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import Rig


def finished(rig: Rig, count: int) -> None:
    agent = rig.worker()
    for _ in range(count):
        agent.succeeds(rig.a_task().running_on(agent))
    rig.clear()


def test_the_fuller_the_store_the_fewer_finished_tasks_are_kept() -> None:
    rig = Rig()
    finished(rig, 10)
    rig.do(e.StoreFilled(0.5))
    assert len(rig.core.world.finished) == 10, "they have just ended"
    rig.after(61)
    for pressure, kept in ((0.0, 10), (0.1, 9), (0.5, 5), (0.2, 5), (1.0, 0)):
        rig.do(e.StoreFilled(pressure))
        assert len(rig.core.world.finished) == kept
    assert not rig.store.tasks
    rig.do(e.StoreFilled(0.0))
    assert rig.core.world.keeps == rig.config.retained_tasks
