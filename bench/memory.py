"""How much memory does each process hold, and how many etcd operations does a task cost?"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from tenure import process

if TYPE_CHECKING:
    from tenure import Client
    from tenure.local.fleet import Fleet

PENDING = 100_000
CHUNK = 5_000
_WRITES = re.compile(rb"^etcd(?:_debugging)?_mvcc_(put|delete)_total (\S+)$", re.MULTILINE)


def rss_mb(pid: int) -> float:
    """Resident megabytes (10^6) of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 / 1e6 if found else 0.0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def idle_rss(fleet: Fleet) -> dict[str, float]:
    """Resident memory of each kind of process. A worker's pid is its warden's, whose child is the agent."""
    pids = await fleet.pids()
    figures = {f"rss_mb_{name.rstrip('-0123456789')}_idle": rss_mb(pid) for name, pid in pids.items()}
    for name in fleet.agents:
        figures["rss_mb_warden_idle"] = figures.pop("rss_mb_worker_idle")
        figures["rss_mb_agent_idle"] = max(map(rss_mb, _children(pids[name])), default=0.0)
    return figures


async def scheduler_with_pending(client: Client, fleet: Fleet) -> float:
    """Resident megabytes of the leading scheduler with 100,000 tasks that no worker can take."""
    spec = process(["true"], name="pending", cpu=10_000)
    for _ in range(PENDING // CHUNK):
        await client.submit_many([spec] * CHUNK)
    info = await client.server_info()
    leader = next(part.name for part in fleet.plan.parts if part.address == info.leader_address)
    return rss_mb((await fleet.pids())[leader])


def _etcd_writes(fleet: Fleet) -> float:
    with urlopen(f"http://{fleet.etcd_address}/metrics") as response:
        counts = dict(_WRITES.findall(response.read()))
    return sum(map(float, counts.values()))


async def etcd_writes(fleet: Fleet) -> float:
    """Keys put and deleted in etcd since it started, by its own count."""
    return await asyncio.to_thread(_etcd_writes, fleet)
