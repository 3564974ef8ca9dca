"""Which process is the agent of a node, as soon as there is one?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tenure.local.fleet import Fleet


async def agent_pid(fleet: Fleet, name: str, *, other_than: int = 0) -> int:
    """Pid of the agent process of a node, once its warden has started it (another one than before)."""

    async def found() -> int:
        pid = await fleet.agent_pid(name)
        return pid if pid != other_than else 0

    return await eventually(found, what=f"the agent of {name} runs")
