"""How soon do the tasks of a node that is killed, or falls silent, run elsewhere?

Eight nodes with ten tasks each. Three of them are lost per fleet, first one and then two at once: a fourth
within a minute would be a storm to the scheduler, which then waits, as it should. So the next losses are
those of a new fleet, and nothing differs from the default settings but, for silence, the lifetime of leases.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.losses import seconds_until_elsewhere
from bench.recovery.figures import Figure, Progress
from tenure import Client
from tenure.local.fleet import Fleet

NODES = 8
TASKS_PER_NODE = 10
KILLED_BOUND = 3.0
SILENT_SLACK = 1.0
SILENT_TTLS = (3, 10)


async def killed(losses: int, progress: Progress) -> dict[str, Figure]:
    """Agent, warden and tasks of a node get SIGKILL at once; default settings."""
    samples = await _losses(losses, progress, silent=False)
    what = "node killed: all its tasks run elsewhere"
    return {"node_killed": Figure(what=what, bound=KILLED_BOUND, samples=tuple(samples))}


async def silent(losses: int, progress: Progress) -> dict[str, Figure]:
    """Agent, warden and tasks of a node get SIGSTOP: its connections stay open. Half with each TTL."""
    found = {}
    for ttl in SILENT_TTLS:
        samples = await _losses(-(-losses // len(SILENT_TTLS)), progress, silent=True, ttl=ttl)
        what = f"node silent, TTL {ttl} s: all its tasks run elsewhere"
        found[f"node_silent_ttl{ttl}"] = Figure(what=what, bound=ttl + SILENT_SLACK, samples=tuple(samples))
    return found


async def _losses(losses: int, progress: Progress, *, silent: bool, ttl: int = 0) -> list[float]:
    found: list[float] = []
    options = {"workers.ttl": f"{ttl}s"} if ttl else {}
    while len(found) < losses:
        async with (
            Fleet(schedulers=1, agents=NODES, relays=1, scheduler_options=options) as fleet,
            Client(fleet.address) as client,
        ):
            lose = fleet.pause if silent else fleet.kill_node
            for victims in _victims(fleet.agents, losses - len(found)):
                tasks = TASKS_PER_NODE * (NODES - fleet.agents.index(victims[0]))
                took = await seconds_until_elsewhere(client, victims, lose, tasks=tasks)
                found += took
                progress(f"{', '.join(f'{one:.2f}' for one in took)} s ({len(found)} of {losses})")
                for victim in victims:
                    # One that was stopped would come back, and the end of a fleet wait for it.
                    await fleet.kill_node(victim)
    return found


def _victims(nodes: list[str], wanted: int) -> Iterator[list[str]]:
    """First one node, then two at once; as many as are still wanted."""
    for group in (nodes[:1], nodes[1 : 1 + min(2, wanted - 1)]):
        if group:
            yield group
