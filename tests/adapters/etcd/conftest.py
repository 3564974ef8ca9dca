"""etcd for these tests: one server that all share, and servers of a test's own that it may mistreat."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.election import Election
from tenure_runtime.etcd.keys import Keys
from tests.adapters.etcd.servers import EtcdServer, answers, cluster_of_three

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tenure_runtime.etcd.leadership import Leadership

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """A server that no test may disturb."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def client(shared_server: EtcdServer) -> AsyncIterator[EtcdClient]:
    async with EtcdClient([shared_server.endpoint]) as client:
        await answers(client)
        yield client


@pytest.fixture
def keys() -> Keys:
    """A cluster of this test's own."""
    return Keys(f"test-{next(_NUMBERS)}")


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., EtcdServer]]:
    """Start servers that the test may kill."""
    started: list[EtcdServer] = []

    def make(*options: str, scheme: str = "http") -> EtcdServer:
        server = EtcdServer(tmp_path / f"etcd{len(started)}", options=options, scheme=scheme)
        started.append(server)
        server.start()
        return server

    yield make
    for server in started:
        server.kill()


@pytest.fixture
def own_server(make_server: Callable[..., EtcdServer]) -> EtcdServer:
    """A server that the test may kill or pause."""
    return make_server()


@pytest.fixture
async def own_client(own_server: EtcdServer) -> AsyncIterator[EtcdClient]:
    async with EtcdClient([own_server.endpoint]) as client:
        await answers(client)
        yield client


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[list[EtcdServer]]:
    """A cluster of three members that the test may kill or pause."""
    members = cluster_of_three(tmp_path)
    for member in members:
        member.start()
    try:
        async with EtcdClient([member.endpoint for member in members]) as client:
            await answers(client)
        yield members
    finally:
        for member in members:
            member.kill()


@pytest.fixture
async def lead(keys: Keys) -> AsyncIterator[Callable[..., asyncio.Future[Leadership]]]:
    """Begin leaderships that end with the test."""
    begun: list[Leadership] = []

    async def begin(client: EtcdClient, *, usurp: int = 0, ttl: float = 10.0) -> Leadership:
        leadership = await Election(client, keys, b"here", ttl=ttl).attempt(usurp=usurp)
        assert leadership is not None
        begun.append(leadership)
        return leadership

    yield begin  # type: ignore[misc]
    for leadership in begun:
        leadership.lose("the test is over")
        await leadership.close()
