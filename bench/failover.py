"""How long are the tasks of a lost node without a node, once, beside the other figures of `make bench`?

The whole node is killed (agent, warden and every task process, at once) or stopped (SIGSTOP: it falls silent
and its connections stay open). `bench.recovery` does that many times.
"""

from __future__ import annotations

from bench.losses import seconds_until_elsewhere
from tenure import Client
from tenure.local.fleet import Fleet

TASKS = 10


async def killed_seconds() -> float:
    """A node whose processes all get SIGKILL, with default settings."""
    async with _fleet() as fleet, Client(fleet.address) as client:
        (seconds,) = await seconds_until_elsewhere(client, fleet.agents[:1], fleet.kill_node, tasks=TASKS)
        return seconds


async def silent_seconds(ttl: int) -> float:
    """A node that falls silent, with worker leases of `ttl` seconds."""
    async with _fleet({"workers.ttl": f"{ttl}s"}) as fleet, Client(fleet.address) as client:
        (seconds,) = await seconds_until_elsewhere(client, fleet.agents[:1], fleet.pause, tasks=TASKS)
        return seconds


def _fleet(options: dict[str, object] | None = None) -> Fleet:
    # Each node gets half of the tasks, and either has room for all.
    return Fleet(schedulers=1, agents=2, relays=1, scheduler_options=options)
