"""Does the death of an agent alone cost its tasks anything?

The agent of one node gets SIGKILL; its warden starts another, which adopts the tasks. Half of the tasks end
while there is no agent, the others once it is back. A reader follows each from its start to its end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.losses import SECONDS_TO_RESTART
from bench.recovery.counters import Harm, running
from bench.recovery.figures import Figure, Progress
from tenure import Client
from tenure.local.fleet import Fleet
from tests.support.agents import agent_pid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

NODES = 6
"""Taken in turn: a warden makes growing pauses before an agent that died within five seconds."""
TASKS = 2 * NODES
BACK_BOUND = 2.0
"""As long as `workers.reattach_grace`: a node whose agent needs longer is lost to the scheduler by design."""
MOST_RUNS = 3
"""Times as many as are wanted, for a machine that is too busy to start a program within two seconds."""
LOOK_AGAIN = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one death of an agent cost."""

    back: float
    """Seconds until the node's next agent is seen connected."""
    harm: Harm


async def killed(runs: int, progress: Progress, *, grace: float = BACK_BOUND) -> dict[str, Figure]:
    """The agent of one node after the other, until so many of them were back in time.

    `grace`: seconds that the scheduler gives an agent, in which it is in time.
    """
    costs: list[Cost] = []
    in_time: list[Harm] = []
    options = {"workers.reattach_grace": f"{grace}s"}
    async with (
        Fleet(schedulers=1, agents=NODES, relays=1, scheduler_options=options) as fleet,
        Client(fleet.address) as client,
    ):
        while len(in_time) < runs and len(costs) < MOST_RUNS * runs:
            victim = fleet.agents[len(costs) % NODES]
            cost = await cost_of(lambda name: _kill_agent(fleet, name), client, victim)
            costs.append(cost)
            if cost.back <= grace:
                in_time.append(cost.harm)
            progress(f"back after {cost.back:.2f} s, {cost.harm or 'no harm'} ({len(in_time)} of {runs})")
    back = tuple(cost.back for cost in costs)
    return {
        "agent_killed_back": Figure(
            what="agent killed: the next is connected", bound=BACK_BOUND, samples=back
        ),
        "agent_killed_reallocated": _count("reallocated", [harm.reallocated for harm in in_time]),
        "agent_killed_wrong_ends": _count(
            "ended otherwise", [harm.wrong_ends + harm.lost for harm in in_time]
        ),
        "agent_killed_torn_logs": _count("with incomplete logs", [harm.torn_logs for harm in in_time]),
    }


def _count(what: str, counts: Sequence[int]) -> Figure:
    return Figure(what=f"agent back in time: tasks {what}", bound=0, samples=tuple(counts), unit="")


async def cost_of(kill: Callable[[str], Awaitable[object]], client: Client, victim: str) -> Cost:
    """Start tasks on all nodes, kill something of the node `victim`, and see how the tasks end."""
    async with running(client, TASKS) as tasks:
        assert any(attempt.worker == victim for attempt in tasks.starts), tasks.starts
        began = time.perf_counter()
        await kill(victim)
        await _until_connected(client, victim, connected=False)
        tasks.let_half_go()
        await _until_connected(client, victim, connected=True)
        back = time.perf_counter() - began
        return Cost(back=back, harm=await tasks.harm())


async def _kill_agent(fleet: Fleet, name: str) -> None:
    os.kill(await agent_pid(fleet, name), signal.SIGKILL)


async def _until_connected(client: Client, name: str, *, connected: bool) -> None:
    async with asyncio.timeout(SECONDS_TO_RESTART):
        # Workers cannot be watched.
        while (await client.worker(name)).worker.connected is not connected:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN)
