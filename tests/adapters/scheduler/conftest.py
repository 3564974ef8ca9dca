"""Schedulers of a test's own, on the etcd that all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.adapters.scheduler.processes import Api, SchedulerProcess, Schedulers

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer
    from tests.support.ports import Ports


@pytest.fixture
def schedulers(etcd: EtcdServer, ports: Ports, cluster_name: str) -> Iterator[Schedulers]:
    replicas = Schedulers(ports, etcd.endpoint, cluster_name)
    yield replicas
    replicas.remove()


@pytest.fixture
async def scheduler(schedulers: Schedulers) -> SchedulerProcess:
    """Start one leading scheduler that soon misses a worker whose connection was reset."""
    return await schedulers.launch(workers_ttl="6s", workers_reattach_grace="500ms")


@pytest.fixture
async def api(scheduler: SchedulerProcess) -> AsyncIterator[Api]:
    async with Api(scheduler.address) as api:
        yield api
