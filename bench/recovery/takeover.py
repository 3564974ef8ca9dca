"""How soon does another scheduler lead when the leader is killed, falls silent or is told to end?

Three schedulers with default settings, and 100,000 tasks in their memory that find no worker. A takeover has
happened when a submission was committed and acknowledged through one of the other two: both are asked all
the time, each question with the same request id, so that one round leaves one task behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from bench.recovery.figures import Figure, Progress
from tenure import Client, noop
from tenure.errors import TenureError
from tenure.local.fleet import Fleet
from tenure.local.plan import SCHEDULER
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

TASKS: Final = 100_000
CHUNK: Final = 2_000
LEADER_TTL: Final = 5.0
"""Default of `leadership.ttl`."""
KILLED_BOUND: Final = 2.0
SILENT_SLACK: Final = 0.5
HANDOVER_BOUND: Final = 0.3
ASK_EVERY: Final = 0.01
"""Seconds between two questions: how exact the figures are."""
WARM_SECONDS: Final = 6.0
"""A replica that has just started reads the store before it is a hot standby."""


class Cluster:
    """Three schedulers, and a client for each."""

    def __init__(self, fleet: Fleet, clients: dict[str, Client]) -> None:
        self.fleet = fleet
        self.clients = clients

    async def leader(self) -> str:
        """Name of the replica that leads, once all of them serve and know who it is."""
        await self.fleet.wait_ready()
        await asyncio.sleep(WARM_SECONDS)
        return await eventually(self._leader, what="all replicas name the same leader")

    async def _leader(self) -> str:
        try:
            named = {(await client.server_info()).leader for client in self.clients.values()}
        except TenureError:
            return ""  # one of them is still on its way
        return named.pop() if len(named) == 1 else ""

    async def another_leads(self, than: str) -> None:
        """Return when a replica other than `than`, which still answers for a moment, says that it leads."""
        others = [client for name, client in self.clients.items() if name != than]

        async def leads() -> bool:
            return any([(await client.server_info()).leading for client in others])

        await eventually(leads, what="another replica leads")

    async def seconds_until_led(self, but: str, since: float) -> float:
        """Seconds from `since` (perf_counter) until a replica other than `but` acknowledges a submission."""
        request = str(uuid.uuid4())
        others = [client for name, client in self.clients.items() if name != but]
        asked: set[asyncio.Task[float]] = set()
        try:
            async with asyncio.timeout(60):
                while True:
                    asked |= {asyncio.create_task(_answered_at(client, request)) for client in others}
                    done, asked = await asyncio.wait(asked, timeout=ASK_EVERY)
                    if answers := [at for at in (task.result() for task in done) if at]:
                        return min(answers) - since
                    await asyncio.sleep(ASK_EVERY)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


async def _answered_at(client: Client, request: str) -> float:
    """When a submission was acknowledged (perf_counter); 0: it was not."""
    try:
        await client.submit(noop(name="probe"), request_id=request)
    except TenureError:
        return 0.0
    return time.perf_counter()


async def killed(rounds: int, progress: Progress, *, tasks: int = TASKS) -> dict[str, Figure]:
    """SIGKILL; its supervisor starts it again at once, as it would in production."""

    async def kill(cluster: Cluster, leader: str) -> None:
        await cluster.fleet.kill(leader)

    samples = [took async for took in _takeovers(rounds, progress, kill, tasks)]
    what = f"leading scheduler killed, {tasks:,} tasks: another one leads"
    return {"takeover_killed": Figure(what=what, bound=KILLED_BOUND, samples=tuple(samples))}


async def silent(rounds: int, progress: Progress, *, tasks: int = TASKS) -> dict[str, Figure]:
    """SIGSTOP; it wakes up when another one leads."""

    async def pause(cluster: Cluster, leader: str) -> None:
        await cluster.fleet.pause(leader)

    samples = [took async for took in _takeovers(rounds, progress, pause, tasks)]
    what = f"leading scheduler silent, TTL 5 s, {tasks:,} tasks: another one leads"
    bound = LEADER_TTL + SILENT_SLACK
    return {"takeover_silent": Figure(what=what, bound=bound, samples=tuple(samples))}


async def told_to_end(rounds: int, progress: Progress, *, tasks: int = TASKS) -> dict[str, Figure]:
    """SIGTERM, while users call all the time: through every replica, and through each of them alone."""
    failures: list[float] = []

    async def end(cluster: Cluster, leader: str) -> None:
        os.kill((await cluster.fleet.pids())[leader], signal.SIGTERM)

    samples = []
    async for took, failed in _hand_overs(rounds, progress, end, tasks):
        samples.append(took)
        failures.append(failed)
    what = f"leading scheduler told to end, {tasks:,} tasks: another one leads"
    return {
        "handover": Figure(what=what, bound=HANDOVER_BOUND, samples=tuple(samples)),
        "handover_failed_calls": Figure(
            what="… and client calls that failed", bound=0, samples=tuple(failures), unit=""
        ),
    }


async def _takeovers(
    rounds: int, progress: Progress, lose: Callable[[Cluster, str], Awaitable[None]], tasks: int
) -> AsyncIterator[float]:
    async with AsyncExitStack() as stack:
        cluster = await _cluster(stack, progress, tasks)
        for number in range(1, rounds + 1):
            leader = await cluster.leader()
            began = time.perf_counter()
            await lose(cluster, leader)
            took = await cluster.seconds_until_led(leader, began)
            await cluster.fleet.resume(leader)
            progress(f"{took:.2f} s ({number} of {rounds})")
            yield took


async def _hand_overs(
    rounds: int, progress: Progress, end: Callable[[Cluster, str], Awaitable[None]], tasks: int
) -> AsyncIterator[tuple[float, int]]:
    async with AsyncExitStack() as stack:
        cluster = await _cluster(stack, progress, tasks)
        for number in range(1, rounds + 1):
            leader = await cluster.leader()
            others = [part.address for part in cluster.fleet.plan.of_kind(SCHEDULER) if part.name != leader]
            async with _Users([cluster.fleet.address, *others]) as users:
                began = time.perf_counter()
                await end(cluster, leader)
                await cluster.another_leads(leader)
                took = await cluster.seconds_until_led(leader, began)
            progress(
                f"{leader} {took:.3f} s, {users.calls} calls, {users.failed} failed ({number} of {rounds})"
            )
            yield took, users.failed


class _Users:
    """Callers that never stop, one at each of these addresses, with the patience of any client."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._calling: list[asyncio.Task[None]] = []
        self._enough = asyncio.Event()
        self.calls = self.failed = 0

    async def __aenter__(self) -> _Users:
        self._calling = [asyncio.create_task(self._call(address)) for address in self._addresses]
        await asyncio.sleep(0.2)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.5)
        self._enough.set()
        await asyncio.gather(*self._calling)

    async def _call(self, address: str) -> None:
        async with Client(address) as client:
            while not self._enough.is_set():
                self.calls += 1
                try:
                    await client.submit(noop(name="user"))
                except TenureError:
                    self.failed += 1
                await asyncio.sleep(ASK_EVERY)


async def _cluster(stack: AsyncExitStack, progress: Progress, tasks: int) -> Cluster:
    """Three schedulers with their memory full; no worker, so that all tasks stay."""
    fleet = await stack.enter_async_context(Fleet(schedulers=3, agents=0, relays=0))
    clients = {}
    for part in fleet.plan.of_kind(SCHEDULER):
        client = Client(part.address, patience=0.0, connect_timeout=0.0)
        clients[part.name] = await stack.enter_async_context(client)
    progress(f"submitting {tasks:,} tasks")
    async with Client(fleet.address) as client:
        for at in range(0, tasks, CHUNK):
            await client.submit_many([noop(name="waits")] * min(CHUNK, tasks - at))
    return Cluster(fleet, clients)
