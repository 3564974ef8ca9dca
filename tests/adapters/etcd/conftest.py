"""Clients and leaderships for these tests, on the etcd that all share or on one of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.election import Election
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.leadership import Leadership

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer, EtcdServers

Lead: TypeAlias = Callable[..., Awaitable[Leadership]]


@pytest.fixture
async def client(etcd: EtcdServer) -> AsyncIterator[EtcdClient]:
    async with EtcdClient([etcd.endpoint]) as client:
        yield client


@pytest.fixture
def keys(cluster_name: str) -> Keys:
    """Return the keys of a cluster of this test's own."""
    return Keys(cluster_name)


@pytest.fixture
def own_server(etcd_servers: EtcdServers) -> EtcdServer:
    """Start a server that the test may kill or pause."""
    return etcd_servers.launch()[0]


@pytest.fixture
async def own_client(own_server: EtcdServer) -> AsyncIterator[EtcdClient]:
    async with EtcdClient([own_server.endpoint]) as client:
        yield client


@pytest.fixture
def three(etcd_servers: EtcdServers) -> list[EtcdServer]:
    """Start a cluster of three members that the test may kill or pause."""
    return etcd_servers.launch(members=3)


@pytest.fixture
async def lead(keys: Keys) -> AsyncIterator[Lead]:
    """Begin leaderships that end with the test."""
    begun: list[Leadership] = []

    async def begin(client: EtcdClient, *, usurp: int = 0, ttl: float = 10.0) -> Leadership:
        leadership = await Election(client, keys, b"here", ttl=ttl).attempt(usurp=usurp)
        assert leadership is not None
        begun.append(leadership)
        return leadership

    yield begin
    for leadership in begun:
        await leadership.close()
