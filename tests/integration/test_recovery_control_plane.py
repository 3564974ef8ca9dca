"""Do the counts hold when the control plane is lost, replaced or restarted, and would they show it if not?

The measurements of bench/recovery in short. How long anything takes is asserted nowhere: this machine may be
busy.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bench.recovery import outage, rolling, takeover
from bench.recovery.counters import running
from bench.recovery.passers import Passers
from tenure import Client
from tenure.local.fleet import Fleet
from tenure.local.plan import SCHEDULER
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from bench.recovery.figures import Figure

FEW = 500


def counts(figures: dict[str, Figure]) -> dict[str, tuple[float, ...]]:
    """The samples of what is counted, not timed."""
    return {key: figure.samples for key, figure in figures.items() if not figure.unit}


@pytest.mark.timeout(120)
async def test_another_scheduler_leads_each_time() -> None:
    """Killed, silent, told to end: one round each, in which a submission is acknowledged by another one."""
    for lose in (takeover.killed, takeover.silent):
        (figure,) = (await lose(1, print, tasks=FEW)).values()
        assert len(figure.samples) == 1
    figures = await takeover.told_to_end(2, print, tasks=FEW)
    assert counts(figures) == {"handover_failed_calls": (0, 0)}
    assert len(figures["handover"].samples) == 2


@pytest.mark.timeout(120)
async def test_an_outage_longer_than_every_lease_costs_no_task() -> None:
    found = counts(await outage.away(1, print, seconds=15.0, tasks=12))
    assert len(found) == 4
    assert set(found.values()) == {(0,)}, found


@pytest.mark.faults
@pytest.mark.timeout(180)
async def test_nobody_notices_that_everything_is_restarted() -> None:
    found = counts(await rolling.restarted(1, print, per_second=30, agents=2))
    assert len(found) == 7
    assert set(found.values()) == {(0,)}, found


@pytest.mark.timeout(90)
async def test_what_is_noticed_is_counted() -> None:
    """A node that is killed with its tasks: they are executed again, and a reader sees it."""
    async with Fleet(agents=2) as fleet, Client(fleet.address) as client, running(client, 6) as tasks:
        addresses = [part.address for part in fleet.plan.of_kind(SCHEDULER)]
        async with Passers(addresses, per_second=50, watchers=2) as passers:
            await eventually(lambda: len(passers.told.ends) > 50, what="tasks come and go")
            await fleet.kill_node(fleet.agents[0], restart=True)
            await fleet.wait_ready()
            await passers.settled()
            harm = await tasks.harm()
            assert passers.not_run_once > 0
            assert (passers.lost, passers.wrong_ends, passers.unwatched) == (0, 0, 0)
            assert await passers.made_twice() == 0
        assert harm.reallocated > 0
        assert harm.torn_logs > 0


@pytest.mark.timeout(60)
async def test_calls_that_fail_are_counted() -> None:
    """Nobody is there any more, and these clients are not patient."""
    async with Fleet(agents=0, relays=0) as fleet, asyncio.timeout(50):
        async with Passers([fleet.address], per_second=20, watchers=1, patience=1.0) as passers:
            await eventually(lambda: passers.told.acknowledged, what="a task is submitted")
            await fleet.kill_node("scheduler-1")
            await eventually(lambda: passers.told.failures, what="a call fails")
