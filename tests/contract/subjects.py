"""On which etcds does a contract test run?

On Debian's etcd 3.4, on a current one where it was built (`make etcd`), and on the model of the simulation. A
test is written once, against `EtcdClient`, and says in one sentence what Tenure relies on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdNoSpace
from tests.simulation.etcd_cluster import Cluster
from tests.simulation.network import Network
from tests.simulation.world import Host, Process, World
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.etcd_server import EtcdServer, EtcdServers

Scenario: TypeAlias = Callable[[EtcdClient, bytes], Coroutine[Any, Any, None]]
LONGEST = 60.0
QUOTA = 16 << 20
CURRENT = Path(__file__).parents[2] / ".tools" / "etcd"


def current_etcd() -> str:
    """The program of a current etcd: built by `make etcd`, or named by TENURE_CURRENT_ETCD; empty: none."""
    named = os.environ.get("TENURE_CURRENT_ETCD", "")
    return named or (str(CURRENT) if CURRENT.exists() and shutil.which(str(CURRENT)) else "")


class Subject(Protocol):
    """One etcd."""

    def run(self, scenario: Scenario) -> None:
        """Run a scenario with a client and a prefix of its own."""

    def full(self, scenario: Scenario) -> None:
        """Run a scenario on an etcd that has run out of space."""


class Real:
    """A server of this test session, and one of the test's own where it is to be spoilt."""

    def __init__(self, shared: EtcdServer, servers: EtcdServers) -> None:
        self._shared = shared
        self._servers = servers

    def run(self, scenario: Scenario) -> None:
        asyncio.run(self._run(self._shared.endpoint, scenario))

    def full(self, scenario: Scenario) -> None:
        program = self._shared.program
        (server,) = self._servers.launch(flags=[f"--quota-backend-bytes={QUOTA}"], program=program)
        asyncio.run(self._run(server.endpoint, scenario, fill))

    async def _run(
        self, endpoint: str, scenario: Scenario, before: Callable[[EtcdClient], Awaitable[None]] | None = None
    ) -> None:
        async with asyncio.timeout(LONGEST), EtcdClient([endpoint]) as client:
            if before is not None:
                await before(client)
            await scenario(client, f"/contract/{uuid.uuid4()}/".encode())


async def fill(client: EtcdClient) -> None:
    """Write until the alarm is raised."""
    for number in range(4 * QUOTA >> 20):
        try:
            await client.put(b"/filler/%d" % number, bytes(1 << 20))
        except EtcdNoSpace:
            break

    async def raised() -> bool:
        return any(alarm.kind == "NOSPACE" for alarm in await client.alarms())

    await eventually(raised, what="the alarm NOSPACE is raised")


class Model:
    """The model, on virtual time."""

    def run(self, scenario: Scenario) -> None:
        self._run(scenario, full=False)

    def full(self, scenario: Scenario) -> None:
        self._run(scenario, full=True)

    def _run(self, scenario: Scenario, *, full: bool) -> None:
        with World(1) as world:
            cluster = Cluster(Network(world), members=3)
            cluster.store.no_space = full
            process = Process(world, "test", Host(world, "test"))

            async def whole() -> None:
                async with asyncio.timeout(LONGEST), _client(cluster, process) as client:
                    await scenario(client, b"/contract/")

            with process.entered():
                task = process.loop.create_task(whole())
            assert world.run(task.done, 2 * LONGEST), "the scenario does not end"
            task.result()


@asynccontextmanager
async def _client(cluster: Cluster, process: Process) -> AsyncIterator[EtcdClient]:
    client = cluster.client(process)
    try:
        yield client
    finally:
        await client.close()
