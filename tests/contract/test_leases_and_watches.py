"""What does Tenure rely on in leases, watches and the alarm?"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdLeaseNotFound, EtcdNoSpace
from tenure_runtime.etcd.ops import delete, get, put, value_is
from tenure_runtime.etcd.watch import Change, Delta, PrefixWatch, Snapshot
from tests.contract.subjects import Subject
from tests.support.waiting import eventually

SHORT = 2.0
"""The shortest lease that etcd grants."""


async def gone(client: EtcdClient, key: bytes) -> None:
    """Wait until a key has vanished."""

    async def absent() -> bool:
        return await client.get(key) is None

    await eventually(absent, what=f"{key.decode()} vanishes")


def test_the_end_of_a_lease_deletes_its_keys_in_one_revision(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        lease = await client.lease_grant(SHORT)
        await client.txn((), [put(prefix + name, b"", lease.id) for name in (b"a", b"b", b"c")])
        watch = PrefixWatch(client, prefix)
        async with contextlib.aclosing(watch.changes()) as changes:
            assert isinstance(await anext(changes), Snapshot)
            delta = await anext(changes)
        assert isinstance(delta, Delta)
        assert [event.key for event in delta.events] == [prefix + name for name in (b"a", b"b", b"c")]
        assert all(event.value is None for event in delta.events)
        assert len({event.mod_revision for event in delta.events}) == 1

    subject.run(scenario)


def test_a_lease_does_not_end_before_its_time(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        clock = asyncio.get_running_loop().time
        lease = await client.lease_grant(3.0)
        granted = clock()
        await client.put(prefix + b"a", b"", lease=lease.id)
        await gone(client, prefix + b"a")
        assert clock() - granted >= lease.ttl - 0.5

    subject.run(scenario)


def test_a_renewed_lease_lives_on(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        lease = await client.lease_grant(SHORT)
        await client.put(prefix + b"a", b"", lease=lease.id)
        for _ in range(5):
            await asyncio.sleep(lease.ttl / 2)
            assert await client.lease_keepalive(lease.id) == lease.ttl
        assert await client.get(prefix + b"a") is not None

    subject.run(scenario)


def test_renewing_a_dead_lease_succeeds_with_nothing_left(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        lease = await client.lease_grant(SHORT)
        assert await client.lease_revoke(lease.id)
        assert await client.lease_keepalive(lease.id) == 0
        assert await client.lease_time_to_live(lease.id) == -1
        assert not await client.lease_revoke(lease.id)
        with pytest.raises(EtcdLeaseNotFound):
            await client.put(prefix + b"a", b"", lease=lease.id)

    subject.run(scenario)


def test_a_lease_outlives_the_key_that_stood_for_it(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        lease = await client.lease_grant(10.0)
        await client.put(prefix + b"live", b"", lease=lease.id)
        await client.txn((), [delete(prefix + b"live")])
        assert await client.lease_keepalive(lease.id) > 0, "a renewal alone proves no session"

    subject.run(scenario)


def test_a_key_rewritten_without_its_lease_is_detached(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        lease = await client.lease_grant(10.0)
        await client.put(prefix + b"kept", b"", lease=lease.id)
        await client.put(prefix + b"moved", b"", lease=lease.id)
        await client.put(prefix + b"kept", b"")
        await client.lease_revoke(lease.id)
        found = await client.range(prefix, prefix=True)
        assert [kv.key for kv in found.kvs] == [prefix + b"kept"]
        assert found.kvs[0].lease == 0

    subject.run(scenario)


def test_the_shortest_lease_has_two_seconds(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        assert (await client.lease_grant(1.0)).ttl == SHORT
        assert (await client.lease_grant(2.5)).ttl == 3

    subject.run(scenario)


async def take(client: EtcdClient, prefix: bytes, start: int, count: int) -> list[Change]:
    """Follow a prefix until so many events were delivered."""
    found: list[Change] = []
    events = 0
    async with contextlib.aclosing(PrefixWatch(client, prefix).changes(start)) as changes:
        async for change in changes:
            found.append(change)
            events += len(change.events) if isinstance(change, Delta) else len(change.kvs)
            if events >= count:
                break
    return found


def test_a_watch_delivers_everything_once_and_in_order(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        first = await client.put(prefix + b"0", b"")
        for number in range(1, 20):
            await client.put(prefix + b"%d" % number, b"")
        await client.txn((), [delete(prefix + b"3"), put(prefix + b"x", b"")])
        changes = await take(client, prefix, first, 22)
        events = [event for change in changes if isinstance(change, Delta) for event in change.events]
        revisions = [event.mod_revision for event in events]
        assert revisions == sorted(revisions)
        assert [event.key for event in events[:20]] == [prefix + b"%d" % number for number in range(20)]
        assert {event.key: event.value for event in events[20:]} == {prefix + b"3": None, prefix + b"x": b""}
        assert events[20].mod_revision == events[21].mod_revision

    subject.run(scenario)


def test_the_events_of_a_transaction_come_together(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        done = await client.txn((), [put(prefix + b"%d" % number, b"") for number in range(50)])
        await client.put(prefix + b"later", b"")
        changes = await take(client, prefix, done.revision, 51)
        for change in changes:
            assert isinstance(change, Delta)
            mine = [event for event in change.events if event.mod_revision == done.revision]
            assert len(mine) in (0, 50)

    subject.run(scenario)


def test_a_watch_from_a_compacted_revision_begins_anew(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        past = await client.put(prefix + b"a", b"1")
        now = await client.put(prefix + b"a", b"2")
        await client.compact(now)
        (change,) = await take(client, prefix, past, 1)
        assert isinstance(change, Snapshot)
        assert change.revision >= now
        assert [kv.value for kv in change.kvs] == [b"2"]

    subject.run(scenario)


def test_a_full_etcd_refuses_what_is_new_and_serves_the_rest(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        with pytest.raises(EtcdNoSpace):
            await client.put(prefix + b"a", b"1")
        with pytest.raises(EtcdNoSpace):
            await client.txn([value_is(prefix + b"a", b"x")], [], [put(prefix + b"a", b"1")])
        with pytest.raises(EtcdNoSpace):
            await client.lease_grant(10.0)
        await client.txn((), [delete(prefix + b"a"), get(prefix + b"a")])
        assert not (await client.range(prefix, prefix=True)).kvs
        assert [alarm.kind for alarm in await client.alarms()] == ["NOSPACE"]

    subject.full(scenario)


def test_a_disarmed_alarm_lets_writes_through(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        for page in [page async for page in client.pages(b"/filler/", keys_only=True)]:
            for kv in page.kvs:
                await client.txn((), [delete(kv.key)])
        await client.compact((await client.count(prefix)).revision)
        for link in client.endpoints.links:
            await client.defragment(link.endpoint)
        for alarm in await client.alarms():
            await client.disarm(alarm)

        async def stored() -> bool:
            with contextlib.suppress(EtcdNoSpace):
                return await client.put(prefix + b"a", b"1") > 0
            return False

        await eventually(stored, what="a write is taken")

    subject.full(scenario)
