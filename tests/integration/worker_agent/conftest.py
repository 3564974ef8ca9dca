"""A client for the fleet of a test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

import tenure
from tenure.local.fleet import Fleet

Fleets = Callable[..., AbstractAsyncContextManager[tuple[Fleet, tenure.Client]]]


@pytest.fixture
def a_fleet() -> Fleets:
    """Start a fleet for this test: `async with a_fleet(agents=2) as (fleet, client)`."""

    @asynccontextmanager
    async def started(**size: Any) -> AsyncIterator[tuple[Fleet, tenure.Client]]:
        async with Fleet(**size) as fleet, tenure.Client(fleet.address) as client:
            yield fleet, client

    return started
