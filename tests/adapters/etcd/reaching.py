"""When does an etcd server answer through a client?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure_runtime.etcd.errors import EtcdError
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient


async def answers(client: EtcdClient) -> None:
    """Wait until a linearizable read succeeds."""

    async def answered() -> bool:
        try:
            await client.get(b"ready", timeout=1.0)
        except EtcdError:
            return False
        return True

    await eventually(answered, within=20, what="etcd answers")
