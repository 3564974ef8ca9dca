"""Relays and the scheduler that they ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.log_relay.relays import RelayProcess
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.support.etcd_server import EtcdServer


@pytest.fixture
async def scheduler() -> AsyncIterator[SchedulerEndpoint]:
    """An endpoint that answers what the test sets."""
    endpoint = SchedulerEndpoint()
    await endpoint.start()
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def relay(
    tmp_path: Path, scheduler: SchedulerEndpoint, etcd: EtcdServer
) -> AsyncIterator[RelayProcess]:
    """A running relay with a data directory of its own."""
    process = RelayProcess(tmp_path, scheduler.address, etcd.endpoint)
    await process.start()
    yield process
    if process.process is not None:
        await process.kill()
