"""Is the leader's process dead?

A lease says so only after its TTL. A killed process says so at once: its connections are reset, and new
ones are refused. A connection is held to the leader's port; when it breaks, and every new one is refused
for a while, nobody can be listening there. If its supervisor starts it again sooner than that, the new
process registers under the same name. Silence proves nothing: a frozen leader is left to its lease.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from tenure_runtime.rpc.transport import split_address
from tenure_scheduler.adapters.directory import Directory, LeaderSeen

_PAUSE: Final = 0.05
_CONNECT_TIMEOUT: Final = 1.0
_UNKNOWN_PAUSE: Final = 0.2


class LeaderProbe:
    """Watches the process of whoever leads."""

    def __init__(self, directory: Directory, refused_for: float, *, own_address: str) -> None:
        self._directory = directory
        self._refused_for = refused_for
        self._own_address = own_address

    async def dead(self) -> LeaderSeen:
        """Return the leader once its process is dead although its key still stands."""
        ways = [
            asyncio.create_task(self._gone(), name="leader gone"),
            asyncio.create_task(self._replaced(), name="leader started again"),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _replaced(self) -> LeaderSeen:
        """Return the leader once another process has its name, which may be this one."""
        while True:
            leader = self._directory.leader
            if leader is not None and self._directory.replaced(leader):
                return leader
            await self._directory.change()

    async def _gone(self) -> LeaderSeen:
        """Return the leader once nobody listens where it did."""
        reached: LeaderSeen | None = None
        while True:
            leader = self._directory.leader
            if leader is None or leader.address == self._own_address:
                await asyncio.sleep(_UNKNOWN_PAUSE)
                continue
            if await self._broken(leader):
                reached = leader
            # Also later, when something disturbed the first look after the connection broke.
            if leader == reached and await self._refused(leader):
                return leader

    async def _broken(self, leader: LeaderSeen) -> bool:
        """Hold a connection until it breaks; False: none could be made, or another one leads by now."""
        connection = await _connect(leader.address)
        if connection is None:
            await asyncio.sleep(_UNKNOWN_PAUSE)
            return False
        reader, writer = connection
        try:
            while await reader.read(4096):
                pass
        except OSError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return self._directory.leader == leader

    async def _refused(self, leader: LeaderSeen) -> bool:
        """Whether every connection is refused for the whole time; anything else is not proof."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._refused_for
        while loop.time() < end:
            if self._directory.leader != leader or not await _is_refused(leader.address):
                return False
            await asyncio.sleep(_PAUSE)
        return self._directory.leader == leader


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            return await _open(address)
    except (OSError, TimeoutError, ValueError):
        return None


async def _is_refused(address: str) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, writer = await _open(address)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return False


async def _open(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, port = split_address(address)
    return await asyncio.open_connection(host, int(port))
