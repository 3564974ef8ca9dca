from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.client.small_servers import Running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    servers = Running()
    yield servers
    await servers.stop_all()
