"""What does it cost the tasks that run when the whole control plane is away for a minute?

Every member of etcd and every scheduler gets SIGKILL and stays away; nodes and log relays remain. Half of the
tasks end meanwhile, with nobody to tell, the others when all are back. A reader follows each of them.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench.recovery.counters import Harm, running
from bench.recovery.figures import Figure, Progress
from tenure import Client
from tenure.errors import Unavailable
from tenure.local.fleet import Fleet
from tenure.local.plan import ETCD, SCHEDULER

if TYPE_CHECKING:
    from collections.abc import Iterable

AWAY = 60.0
"""Seconds; the leases of the workers, 10 s by default, end long before."""
TASKS = 50
AGENTS = 5
PATIENCE = 300.0
"""Of the readers: they must outlast the outage."""
CONTROL_PLANE = (SCHEDULER, ETCD)


async def away(
    rounds: int, progress: Progress, *, seconds: float = AWAY, tasks: int = TASKS
) -> dict[str, Figure]:
    """Three schedulers and three members of etcd, and so many tasks on five agents."""
    found: list[Harm] = []
    size = {"schedulers": 3, "members": 3, "agents": AGENTS, "relays": 1}
    async with Fleet(**size) as fleet, Client(fleet.address, patience=PATIENCE) as client:
        for number in range(1, rounds + 1):
            back, harm = await _outage(fleet, client, seconds, tasks)
            found.append(harm)
            progress(f"all ends told {back:.2f} s after it, {harm or 'no harm'} ({number} of {rounds})")
    return {
        "outage_lost": _count(seconds, "lost", (harm.lost for harm in found)),
        "outage_reallocated": _count(seconds, "reallocated", (harm.reallocated for harm in found)),
        "outage_wrong_ends": _count(seconds, "ended otherwise", (harm.wrong_ends for harm in found)),
        "outage_torn_logs": _count(seconds, "with incomplete logs", (harm.torn_logs for harm in found)),
    }


def _count(seconds: float, what: str, counts: Iterable[int]) -> Figure:
    name = f"control plane away for {seconds:g} s: tasks {what}"
    return Figure(what=name, bound=0, samples=tuple(counts), unit="")


async def _outage(fleet: Fleet, client: Client, seconds: float, count: int) -> tuple[float, Harm]:
    """Seconds from the end of the outage until all that happened in it is told, and what it cost."""
    parts = [part.name for kind in CONTROL_PLANE for part in fleet.plan.of_kind(kind)]
    async with running(client, count) as tasks:
        workers = {attempt.worker for attempt in tasks.starts}
        assert len(workers) > 1, f"all tasks run on {workers}"
        for name in parts:
            await fleet.kill_node(name)
        await asyncio.sleep(seconds / 2)
        tasks.let_half_go()
        await asyncio.sleep(seconds / 2)
        assert await _nobody_answers(fleet.address)
        began = time.perf_counter()
        for name in reversed(parts):
            await fleet.restart_node(name)
        await tasks.ended_half()
        back = time.perf_counter() - began
        await fleet.wait_ready()
        return back, await tasks.harm()


async def _nobody_answers(address: str) -> bool:
    async with Client(address, patience=0.0, connect_timeout=0.0) as client:
        try:
            await client.server_info()
        except Unavailable:
            return True
    return False
