"""Which workers and processes live, as their leases and keys show it?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from tenure_runtime.etcd import ops
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdUnavailable
from tenure_runtime.etcd.leases import WorkerLeases
from tenure_runtime.etcd.registration import Registration
from tenure_runtime.etcd.stubs import rpc
from tests.adapters.etcd.reaching import answers
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tenure_runtime.etcd.keys import Keys
    from tests.support.etcd_server import EtcdServer


async def test_keepalive_says_when_a_lease_is_dead(client: EtcdClient) -> None:
    lease = await client.lease_grant(30)
    assert await client.lease_keepalive(lease.id) == 30
    assert await client.lease_revoke(lease.id)
    assert await client.lease_keepalive(lease.id) == 0
    assert not await client.lease_revoke(lease.id)
    assert await client.lease_time_to_live(lease.id) == -1


async def test_many_callers_share_one_stream(client: EtcdClient) -> None:
    leases = await asyncio.gather(*(client.lease_grant(30 + n) for n in range(50)))
    asked = [lease for lease in leases for _ in range(10)]
    ttls = await asyncio.gather(*(client.lease_keepalive(lease.id) for lease in asked))
    assert ttls == [lease.ttl for lease in asked]


async def test_an_impatient_caller_does_not_mix_up_the_answers(client: EtcdClient) -> None:
    short, long = await client.lease_grant(30), await client.lease_grant(60)
    impatient = asyncio.create_task(client.lease_keepalive(short.id))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await client.lease_keepalive(long.id) == 60
    assert await client.lease_keepalive(short.id) == 30


async def _answer_in_another_order(requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
    asked = [(await anext(requests)).ID for _ in range(2)]
    for lease in reversed(asked):
        yield rpc.LeaseKeepAliveResponse(ID=lease, TTL=30)


async def test_answers_in_another_order_are_no_answers() -> None:
    """Who waits is told so: cancelled, a leader would stop to renew its lease and never hear of it."""
    handler = grpc.stream_stream_rpc_method_handler(
        _answer_in_another_order,
        request_deserializer=rpc.LeaseKeepAliveRequest.FromString,
        response_serializer=rpc.LeaseKeepAliveResponse.SerializeToString,
    )
    server = grpc.aio.server()
    service = grpc.method_handlers_generic_handler("etcdserverpb.Lease", {"LeaseKeepAlive": handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with EtcdClient([f"127.0.0.1:{port}"]) as client:
            both = await asyncio.gather(*map(client.lease_keepalive, (1, 2)), return_exceptions=True)
    finally:
        await server.stop(0)
    assert [type(each) for each in both] == [EtcdUnavailable, EtcdUnavailable]


async def test_a_hung_stream_times_out_and_is_replaced(
    own_server: EtcdServer, own_client: EtcdClient
) -> None:
    lease = await own_client.lease_grant(60)
    assert await own_client.lease_keepalive(lease.id) == 60
    own_server.pause()
    with pytest.raises(EtcdUnavailable):
        await own_client.lease_keepalive(lease.id, timeout=0.3)
    own_server.resume()
    await answers(own_client)
    assert await own_client.lease_keepalive(lease.id) == 60


async def test_a_killed_server_breaks_the_stream_at_once(
    own_server: EtcdServer, own_client: EtcdClient
) -> None:
    lease = await own_client.lease_grant(60)
    assert await own_client.lease_keepalive(lease.id) == 60
    own_server.kill()
    with pytest.raises(EtcdUnavailable):
        await own_client.lease_keepalive(lease.id, timeout=30)
    own_server.start()
    await answers(own_client)
    assert await own_client.lease_keepalive(lease.id) == 60


async def test_an_expired_lease_takes_its_keys_along(client: EtcdClient, keys: Keys) -> None:
    lease = await client.lease_grant(2)
    await client.put(keys.own("t"), b"1", lease=lease.id)

    async def gone() -> bool:
        return await client.get(keys.own("t")) is None

    await eventually(gone)
    assert await client.lease_keepalive(lease.id) == 0


async def test_a_live_session_is_verified(client: EtcdClient, keys: Keys) -> None:
    leases = WorkerLeases(client)
    lease = await leases.grant(30)
    live = keys.worker_live("w1")
    created = await client.put(live, b"1", lease=lease.id)
    assert await leases.verify_alive(lease.id, live, created) == 30
    assert await leases.verify_alive(lease.id, live, created + 1) is None
    await client.txn((), [ops.delete(live)])
    assert await client.lease_keepalive(lease.id) == 30
    assert await leases.verify_alive(lease.id, live, created) is None
    await client.lease_revoke(lease.id)
    assert await leases.verify_alive(lease.id, live, created) is None
    await leases.close()


async def test_beats_that_arrive_together_share_reads(client: EtcdClient, keys: Keys) -> None:
    leases = WorkerLeases(client)
    sessions = []
    for number in range(300):
        lease = await leases.grant(30)
        live = keys.worker_live(f"w{number}")
        sessions.append((lease.id, live, await client.put(live, b"1", lease=lease.id)))
    await client.txn((), [ops.delete(sessions[7][1])])
    found = await asyncio.gather(*(leases.verify_alive(*session) for session in sessions))
    assert [number for number, ttl in enumerate(found) if ttl != 30] == [7]
    await leases.close()


async def test_a_cancelled_beat_does_not_disturb_the_others(client: EtcdClient, keys: Keys) -> None:
    leases = WorkerLeases(client)
    revision = await client.put(keys.worker_live("w1"), b"1")
    reads = [asyncio.create_task(leases.created_revision(keys.worker_live("w1"))) for _ in range(3)]
    await asyncio.sleep(0)
    reads[1].cancel()
    assert await reads[0] == await reads[2] == revision
    await leases.close()


async def test_a_registration_comes_back_and_is_removed(client: EtcdClient, keys: Keys) -> None:
    key = keys.replica("s1")

    async def value() -> bytes | None:
        kv = await client.get(key)
        return kv.value if kv else None

    async def is_updated() -> bool:
        return await value() == b"2"

    registration = Registration(client, key, b"1", ttl=2)
    async with registration:
        await asyncio.wait_for(registration.registered.wait(), 10)
        assert await value() == b"1"
        registration.update(b"2")
        await eventually(is_updated)
        kv = await client.get(key)
        assert kv is not None
        await client.lease_revoke(kv.lease)
        assert await value() is None
        await eventually(is_updated)
    assert await value() is None


async def test_a_registration_waits_for_etcd(own_server: EtcdServer, keys: Keys) -> None:
    own_server.kill()
    async with EtcdClient([own_server.endpoint]) as client:
        async with Registration(client, keys.relay("r1"), b"1") as registration:
            assert not registration.registered.is_set()
            own_server.start()
            await asyncio.wait_for(registration.registered.wait(), 20)
            assert (await client.count(keys.relays)).total == 1
