"""The client reads everything, leaves members that fail and says what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tenure_runtime.etcd import ops
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import (
    EtcdCompacted,
    EtcdDuplicateKey,
    EtcdFutureRevision,
    EtcdLeaseNotFound,
    EtcdNoSpace,
    EtcdTooManyOps,
    EtcdUnavailable,
    EtcdUnknownOutcome,
)
from tenure_runtime.etcd.values import MemberStatus
from tests.adapters.etcd.reaching import answers
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tenure_runtime.etcd.keys import Keys
    from tests.support.etcd_server import EtcdServer, EtcdServers
    from tests.support.ports import Ports


async def fill(client: EtcdClient, keys: Keys, count: int, size: int) -> None:
    for start in range(0, count, 100):
        numbers = range(start, min(start + 100, count))
        await client.txn((), [ops.put(keys.task(f"{n:06d}"), b"x" * size) for n in numbers])


async def test_reading(client: EtcdClient, keys: Keys) -> None:
    assert await client.get(keys.task("a")) is None
    revision = await client.put(keys.task("a"), b"1")
    assert await client.get(keys.task("a")) == (keys.task("a"), b"1", revision, revision, 0)
    await client.put(keys.task("a"), b"2")
    old = await client.range(keys.task("a"), revision=revision)
    assert [kv.value for kv in old.kvs] == [b"1"]
    names = await client.range(keys.tasks, prefix=True, keys_only=True)
    assert [(kv.key, kv.value) for kv in names.kvs] == [(keys.task("a"), b"")]


async def test_a_large_prefix_comes_in_pages_of_one_revision(client: EtcdClient, keys: Keys) -> None:
    await fill(client, keys, 2_600, 3_000)
    pages = []
    async for page in client.pages(keys.tasks):
        pages.append(page)
        await client.put(keys.task("999999"), b"later")
    assert len(pages) > 2
    assert {page.revision for page in pages} == {pages[0].revision}
    assert all(sum(len(kv.value) for kv in page.kvs) < 6 << 20 for page in pages)
    found = [kv.key for page in pages for kv in page.kvs]
    assert found == [keys.task(f"{n:06d}") for n in range(2_600)]
    assert (await client.range(keys.tasks, prefix=True)).total == 2_601
    assert (await client.count(keys.tasks)).total == 2_601
    assert (await client.range(keys.tasks, prefix=True, limit=3)).more


async def test_a_transaction_answers_either_way(client: EtcdClient, keys: Keys) -> None:
    key = keys.task("a")
    created = await client.txn([ops.absent(key)], [ops.put(key, b"1"), ops.get(key)], [ops.get(key)])
    assert created.succeeded
    assert created.ranges[0] is None
    refused = await client.txn([ops.absent(key)], [ops.put(key, b"2")], [ops.get(key)])
    assert not refused.succeeded
    assert refused.ranges == [[(key, b"1", created.revision, created.revision, 0)]]
    await client.txn([ops.value_is(key, b"1"), ops.modified_at(key, created.revision)], [ops.delete(key)])
    assert await client.get(key) is None


async def test_refusals_are_told_apart(own_client: EtcdClient, keys: Keys) -> None:
    with pytest.raises(EtcdLeaseNotFound):
        await own_client.put(keys.own("a"), b"1", lease=77)
    with pytest.raises(EtcdDuplicateKey):
        await own_client.txn((), [ops.put(b"a", b"1"), ops.put(b"a", b"2")])
    with pytest.raises(EtcdTooManyOps):
        await own_client.txn((), [ops.put(b"%d" % n, b"") for n in range(129)])
    revision = await own_client.put(b"a", b"1")
    with pytest.raises(EtcdFutureRevision):
        await own_client.range(b"a", revision=revision + 5)
    await own_client.compact(revision)
    with pytest.raises(EtcdCompacted, match="no longer kept"):
        await own_client.range(b"a", revision=revision - 1)


async def test_a_member_that_is_down_is_passed_over(etcd: EtcdServer, keys: Keys, ports: Ports) -> None:
    endpoints = [f"127.0.0.1:{ports.take()}", etcd.endpoint, f"127.0.0.1:{ports.take()}"]
    for _ in range(4):
        async with EtcdClient(endpoints) as client:
            await client.put(keys.task("a"), b"1")
            assert client.endpoints.current.endpoint == etcd.endpoint


async def test_a_name_of_a_host_is_an_endpoint(etcd: EtcdServer, keys: Keys) -> None:
    async with EtcdClient(["http://" + etcd.endpoint.replace("127.0.0.1", "localhost")]) as client:
        await answers(client)
        assert await client.count(keys.prefix)


async def test_absent_etcd_is_a_sentence(ports: Ports) -> None:
    port = ports.take()
    async with EtcdClient([f"127.0.0.1:{port}"]) as client:
        with pytest.raises(EtcdUnavailable, match=f"etcd cannot be reached .*127.0.0.1:{port}"):
            await client.put(b"a", b"1")


async def test_a_write_without_an_answer_has_an_unknown_outcome(
    own_server: EtcdServer, own_client: EtcdClient
) -> None:
    own_server.pause()
    with pytest.raises(EtcdUnknownOutcome, match="may have been applied"):
        await own_client.put(b"a", b"1", timeout=0.3)
    with pytest.raises(EtcdUnavailable):
        await own_client.get(b"a", timeout=0.3)
    own_server.resume()
    await answers(own_client)


async def test_a_read_leaves_a_member_that_hangs(three: list[EtcdServer], keys: Keys) -> None:
    async with EtcdClient([member.endpoint for member in three]) as client:
        await client.put(keys.task("a"), b"1")
        victim = next(m for m in three if m.endpoint == client.endpoints.current.endpoint)
        victim.pause()

        async def found() -> bool:
            # The paused member may have led etcd; a new leader takes a moment.
            try:
                return await client.get(keys.task("a"), timeout=3) is not None
            except EtcdUnavailable:
                return False

        await eventually(found)
        assert client.endpoints.current.endpoint != victim.endpoint


async def test_out_of_space_names_the_remedy(etcd_servers: EtcdServers, keys: Keys) -> None:
    server = etcd_servers.launch(flags=[f"--quota-backend-bytes={1 << 20}"])[0]
    async with EtcdClient([server.endpoint]) as client:
        await answers(client)
        with pytest.raises(EtcdNoSpace, match="compact, defragment"):
            # etcd looks at its size now and then: more than fits is not refused at once.
            await fill(client, keys, 20_000, 5_000)


async def test_the_state_of_the_cluster_is_shown(three: list[EtcdServer]) -> None:
    endpoints = [member.endpoint for member in three]
    async with EtcdClient(endpoints) as client:
        await answers(client)
        three[2].kill()
        statuses = await client.statuses(timeout=20)
        assert list(statuses) == endpoints
        assert isinstance(statuses[endpoints[2]], EtcdUnavailable)
        status = statuses[endpoints[0]]
        assert isinstance(status, MemberStatus)
        assert status.version.startswith("3.")
        assert status.db_size >= status.db_size_in_use > 0
        assert {member.name for member in await client.members()} == {server.name for server in three}
        assert await client.alarms() == []


@pytest.mark.parametrize("endpoints", [[], ["ftp://x:1"]])
async def test_wrong_endpoints_are_refused(endpoints: list[str]) -> None:
    with pytest.raises(ValueError, match="etcd endpoint"):
        EtcdClient(endpoints)
