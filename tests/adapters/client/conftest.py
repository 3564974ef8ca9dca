from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.adapters.client.small_servers import Running


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    servers = Running()
    yield servers
    await servers.stop_all()
