"""Does a standby that wins load one state, whatever goes on in the store meanwhile?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tenure_scheduler.adapters.projection import Projection
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer


async def test_what_a_new_leader_loads_does_not_change_while_it_loads(etcd: EtcdServer) -> None:
    """With many tasks that takes a second, in which a replica may well come or go."""
    keys = Keys("loading")
    async with EtcdClient([etcd.endpoint]) as client:
        projection = Projection(client, keys)
        projection.start()
        await client.put(keys.leader, b"")
        (leader,) = (await client.range(keys.leader)).kvs
        loaded = await projection.at_leadership(leader.mod_revision)
        known = list(loaded)
        await client.put(keys.replica("another"), b"")
        (replica,) = (await client.range(keys.replica("another"))).kvs
        await eventually(lambda: projection.revision >= replica.mod_revision, what="the projection goes on")
        assert list(loaded) == known
        await projection.stop()
