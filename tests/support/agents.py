"""Which process is the agent of a node?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tenure.local.fleet import Fleet


async def agent_pid(fleet: Fleet, name: str, *, other_than: int = 0) -> int:
    """Pid of the agent of a node, below its warden, once there is one."""

    async def found() -> int:
        warden = (await fleet.pids())[name]
        pid = _agent_of(warden) if warden else 0
        return pid if pid != other_than else 0

    return await eventually(found, what=f"the agent of {name} runs")


def _agent_of(warden: int) -> int:
    try:
        return next((child.pid for child in psutil.Process(warden).children() if is_agent(child)), 0)
    except psutil.NoSuchProcess:
        return 0


def is_agent(process: psutil.Process) -> bool:
    """Whether this child of a warden is its agent."""
    try:
        return "--warden-fd" in process.cmdline()
    except psutil.NoSuchProcess:  # it ended between the two looks, or waits to be reaped
        return False
