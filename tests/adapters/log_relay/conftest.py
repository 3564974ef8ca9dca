"""Relays and the scheduler that they ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.log_relay.relays import RelayProcess
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint


@pytest.fixture
async def scheduler() -> AsyncIterator[SchedulerEndpoint]:
    """An endpoint that answers what the test sets."""
    endpoint = SchedulerEndpoint()
    await endpoint.start()
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def relay(tmp_path: Path, scheduler: SchedulerEndpoint) -> AsyncIterator[RelayProcess]:
    """A running relay with a data directory of its own; the etcd it registers in is away."""
    process = RelayProcess(tmp_path, scheduler.address)
    await process.start()
    yield process
    if process.process is not None:
        await process.kill()
