"""A leader's batches are applied at most once, in order, and only while it leads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tenure_runtime.etcd import ops
from tenure_runtime.etcd.batch import Batch, DuplicateKey, WorkerLease
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.commit import CommitChain, Committed, Deposed, Refused
from tenure_runtime.etcd.commit_request import OPS_PER_LEVEL, nested_share
from tenure_runtime.etcd.errors import EtcdNoSpace, EtcdTooLarge
from tests.adapters.etcd.reaching import answers

if TYPE_CHECKING:
    from tenure_runtime.etcd.keys import Keys
    from tests.adapters.etcd.conftest import Lead
    from tests.support.etcd_server import EtcdServers


def puts(keys: Keys, count: int, value: bytes = b"v") -> Batch:
    batch = Batch()
    for number in range(count):
        batch.put(keys.task(f"t{number:05d}"), value)
    return batch


async def session(client: EtcdClient, keys: Keys, worker: str, ttl: float = 60) -> WorkerLease:
    lease = await client.lease_grant(ttl)
    revision = await client.put(keys.worker_live(worker), b"1", lease=lease.id)
    return WorkerLease(worker, lease.id, keys.worker_live(worker), revision)


async def test_batches_chain(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    chain = CommitChain(client, keys, await lead(client))
    batch = puts(keys, 2)
    batch.delete(keys.task("gone"))
    first = await chain.commit(batch)
    second = await chain.commit(puts(keys, 3, b"w"))
    assert isinstance(first, Committed)
    assert isinstance(second, Committed)
    assert second.revision > first.revision
    assert (second.position.epoch, second.position.sequence) == (1, 2)
    assert (await client.get(keys.commit)) is not None
    found = await client.range(keys.tasks, prefix=True)
    assert [kv.value for kv in found.kvs] == [b"w"] * 3
    assert {kv.mod_revision for kv in found.kvs} == {second.revision}


@pytest.mark.parametrize("count", [0, 126, 127, 128, 500, 999, 1000])
async def test_a_batch_of_any_size_is_one_revision(
    client: EtcdClient, keys: Keys, lead: Lead, count: int
) -> None:
    outcome = await CommitChain(client, keys, await lead(client)).commit(puts(keys, count))
    assert isinstance(outcome, Committed)
    found = await client.range(keys.tasks, prefix=True)
    assert len(found.kvs) == count
    assert {kv.mod_revision for kv in found.kvs} <= {outcome.revision}


async def test_a_full_batch_with_many_sessions_is_taken(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    chain = CommitChain(client, keys, await lead(client))
    batch = Batch()
    for number in range(100):
        worker = await session(client, keys, f"w{number}")
        for task in range(10):
            batch.put_leased(worker, keys.own(f"t{number}x{task}"), b"1")
    outcome = await chain.commit(batch)
    assert isinstance(outcome, Committed)
    assert (await client.count(keys.owns)).total == 1000


def test_every_batch_within_the_limits_can_be_nested() -> None:
    for compares in range(3, 104):
        for changes in (128, 129, 500, 999, 1000):
            share = nested_share(changes, compares)
            nested = -(-changes // share)
            assert max(compares, 1 + nested) + share <= OPS_PER_LEVEL


def test_a_key_may_be_changed_once(keys: Keys) -> None:
    batch = puts(keys, 1)
    with pytest.raises(DuplicateKey):
        batch.delete(keys.task("t00000"))
    with pytest.raises(DuplicateKey):
        batch.put_leased(WorkerLease("w", 7, b"live", 3), keys.task("t00000"), b"")
    assert len(batch) == 1


async def test_one_commit_in_flight(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    chain = CommitChain(client, keys, await lead(client))
    first = asyncio.create_task(chain.commit(puts(keys, 1)))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="in flight"):
        await chain.commit(puts(keys, 1))
    assert isinstance(await first, Committed)


async def test_an_ended_session_takes_only_its_own_keys_along(
    client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    chain = CommitChain(client, keys, await lead(client))
    ended, living = await session(client, keys, "w1"), await session(client, keys, "w2")
    await client.txn((), [ops.delete(ended.live_key)])
    batch = puts(keys, 3)
    batch.put_leased(ended, keys.own("t1"), b"1")
    batch.put_leased(living, keys.own("t2"), b"1")
    outcome = await chain.commit(batch)
    assert isinstance(outcome, Committed)
    assert outcome.leases_gone == ("w1",)
    assert outcome.position.attempt == 2
    assert [kv.key for kv in (await client.range(keys.owns, prefix=True)).kvs] == [keys.own("t2")]
    assert (await client.count(keys.tasks)).total == 3
    assert isinstance(await chain.commit(puts(keys, 1)), Committed)


async def test_a_dead_lease_under_a_living_key_is_found(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    chain = CommitChain(client, keys, await lead(client))
    revision = await client.put(keys.worker_live("w1"), b"detached")
    dead = WorkerLease("w1", 12345, keys.worker_live("w1"), revision)
    living = await session(client, keys, "w2")
    batch = puts(keys, 300)
    batch.put_leased(dead, keys.own("t1"), b"1")
    batch.put_leased(living, keys.own("t2"), b"1")
    outcome = await chain.commit(batch)
    assert isinstance(outcome, Committed)
    assert outcome.leases_gone == ("w1",)
    assert (await client.count(keys.owns)).total == 1


async def test_a_registration_needs_the_absence_of_live(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    chain = CommitChain(client, keys, await lead(client))
    lease = await client.lease_grant(60)
    new = WorkerLease("w1", lease.id, keys.worker_live("w1"), 0)
    batch = Batch()
    batch.put_leased(new, new.live_key, b"session 1")
    outcome = await chain.commit(batch)
    assert isinstance(outcome, Committed)
    live = await client.get(new.live_key)
    assert live is not None
    assert (live.create_revision, live.lease) == (outcome.revision, lease.id)
    again = Batch()
    again.put_leased(new, new.live_key, b"session 2")
    outcome = await chain.commit(again)
    assert isinstance(outcome, Committed)
    assert outcome.leases_gone == ("w1",)


@pytest.mark.parametrize("what", ["leader", "commit", "incarnation"])
async def test_whatever_another_leader_changes_deposes(
    client: EtcdClient, keys: Keys, lead: Lead, what: str
) -> None:
    chain = CommitChain(client, keys, await lead(client))
    assert isinstance(await chain.commit(puts(keys, 1)), Committed)
    await client.put({"leader": keys.leader, "commit": keys.commit}.get(what, keys.incarnation), b"another")
    outcome = await chain.commit(puts(keys, 1, b"late"))
    assert isinstance(outcome, Deposed)
    assert "another" in outcome.reason
    kept = await client.get(keys.task("t00000"))
    assert kept is not None
    assert kept.value == b"v"
    assert await chain.commit(puts(keys, 1)) == outcome


async def test_a_usurped_leader_is_refused(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    old = await lead(client)
    chain = CommitChain(client, keys, old)
    assert isinstance(await chain.commit(puts(keys, 1)), Committed)
    new = await lead(client, usurp=old.revision)
    assert new.epoch == old.epoch + 1
    assert isinstance(await chain.commit(puts(keys, 1)), Deposed)
    assert isinstance(await CommitChain(client, keys, new).commit(puts(keys, 1)), Committed)


async def test_nothing_is_issued_after_the_deadline(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(client)
    chain = CommitChain(client, keys, leadership)
    leadership.lose("the test says so")
    assert isinstance(await chain.commit(puts(keys, 1)), Deposed)
    assert (await client.count(keys.tasks)).total == 0


async def test_an_interrupted_commit_ends_the_chain(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    chain = CommitChain(client, keys, await lead(client))
    task = asyncio.create_task(chain.commit(puts(keys, 1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await chain.commit(puts(keys, 1)), Deposed)


async def test_a_request_that_etcd_finds_too_large_leaves_the_chain_intact(
    client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    chain = CommitChain(client, keys, await lead(client))
    outcome = await chain.commit(puts(keys, 1, b"x" * (2 << 20)))
    assert isinstance(outcome, Refused)
    assert isinstance(outcome.error, EtcdTooLarge)
    assert isinstance(await chain.commit(puts(keys, 1)), Committed)


async def test_out_of_space_is_told_and_overcome(etcd_servers: EtcdServers, keys: Keys, lead: Lead) -> None:
    server = etcd_servers.launch(flags=[f"--quota-backend-bytes={2 << 20}"])[0]
    async with EtcdClient([server.endpoint]) as client:
        await answers(client)
        chain = CommitChain(client, keys, await lead(client))
        outcome = await chain.commit(puts(keys, 10, b"x" * 60_000))
        while isinstance(outcome, Committed):
            outcome = await chain.commit(puts(keys, 10, b"x" * 60_000))
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, EtcdNoSpace)
        assert "out of space" in str(outcome.error)
        await client.compact((await client.count(keys.prefix)).revision, physical=True)
        await client.defragment(server.endpoint)
        for alarm in await client.alarms():
            assert alarm.kind == "NOSPACE"
            await client.disarm(alarm)
        assert isinstance(await chain.commit(puts(keys, 1)), Committed)
