"""When is a local fleet ready, as its users see it?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tenure.client import Client
from tenure.errors import TenureError
from tenure.local.plan import AGENT, RELAY, SCHEDULER, Plan
from tenure.v1.worker_admin_service_pb2 import (
    WORKER_PHASE_BOOTING,
    WORKER_PHASE_STOPPING,
    WORKER_VERDICT_ACTIVE,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PAUSE: Final = 0.02
_NOT_YET: Final = (WORKER_PHASE_BOOTING, WORKER_PHASE_STOPPING)


async def missing_until_ready(plan: Plan) -> AsyncIterator[str]:
    """Yield what is still missing, as a sentence, until nothing is."""
    schedulers = [part.address for part in plan.of_kind(SCHEDULER)]
    # Not through a channel: one that could not connect waits longer each time before it tries again.
    while not any([await _listens(address) for address in schedulers]):
        yield "no scheduler listens"
        await asyncio.sleep(_PAUSE)
    async with Client(",".join(schedulers), patience=0.0, connect_timeout=0.0) as client:
        while missing := await _missing(client, plan):
            yield missing
            await asyncio.sleep(_PAUSE)


async def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


async def _missing(client: Client, plan: Plan) -> str:
    try:
        info = await client.server_info()
        if not info.leader:
            return "no scheduler leads"
        if len(info.schedulers) < len(plan.of_kind(SCHEDULER)):
            return "a scheduler is not registered"
        if len(info.log_relays) < len(plan.of_kind(RELAY)):
            return "a log relay is not registered"
        ready = {
            worker.name
            for worker in await client.workers()
            if worker.connected and worker.verdict == WORKER_VERDICT_ACTIVE and worker.phase not in _NOT_YET
        }
    except TenureError as error:
        return error.message
    waiting = [part.name for part in plan.of_kind(AGENT) if part.name not in ready]
    return f"not connected: {', '.join(waiting)}" if waiting else ""
