"""A restored store is led again as another incarnation, and making it one may be interrupted anywhere."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tenure_core.errors import FailedPrecondition, NotFound
from tenure_runtime.etcd.batch import Batch, WorkerLease
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.commit import CommitChain, Committed, Deposed
from tenure_runtime.etcd.incarnation import History, Incarnation
from tenure_runtime.etcd.new_incarnation import begin_new_incarnation
from tenure_runtime.etcd.ops import delete

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tenure_runtime.etcd.keys import Keys
    from tests.adapters.etcd.conftest import Lead

NOW = 2_000_000_000


async def fleet(client: EtcdClient, keys: Keys, workers: int, owns: int) -> None:
    """What a leader leaves behind: registrations, sessions, evidence of ownership."""
    lease = await client.lease_grant(60)
    for worker in range(workers):
        await client.put(keys.worker_reg(f"w{worker}"), b"reg")
        await client.put(keys.worker_live(f"w{worker}"), b"live", lease=lease.id)
    for task in range(owns):
        await client.put(keys.own(f"t{task:05}"), b"own", lease=lease.id)


async def left(client: EtcdClient, keys: Keys) -> tuple[int, int]:
    """How many registrations and how many keys of sessions there are."""
    workers = await client.range(keys.workers, prefix=True)
    owns = await client.count(keys.owns)
    registrations = sum(1 for kv in workers.kvs if kv.key.endswith(b"/reg"))
    return registrations, len(workers.kvs) - registrations + owns.total


async def test_everything_of_before_ends(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(client)
    before = await client.get(keys.incarnation)
    assert before is not None
    await fleet(client, keys, workers=130, owns=1_200)
    await leadership.resign()
    await client.put(keys.rolled_back, b"seen")
    done = await begin_new_incarnation(client, keys, now=NOW)
    assert (done.lives, done.owns) == (130, 1_200)
    assert await left(client, keys) == (130, 0)
    assert done.after.n == NOW > done.before.n
    assert done.after.id != done.before.id
    assert await client.get(keys.rolled_back) is None
    known = await client.get(keys.incarnations)
    assert known is not None
    assert History.decode(known.value).earlier == ((done.before.n, before.mod_revision),)
    assert (await lead(client)).term.incarnation == done.after.encode()


async def test_n_grows_when_the_clock_does_not(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    await (await lead(client)).resign()
    numbers = [(await begin_new_incarnation(client, keys, now=5)).after.n for _ in range(3)]
    assert numbers == sorted(set(numbers))
    known = await client.get(keys.incarnations)
    assert known is not None
    assert [n for n, _ in History.decode(known.value).earlier][1:] == numbers[:-1]


async def test_a_leader_that_lives_refuses_it(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(client, ttl=3)
    before = await client.get(keys.incarnation)
    with pytest.raises(FailedPrecondition, match="stop all schedulers"):
        await begin_new_incarnation(client, keys, now=NOW)
    assert leadership.is_current()
    assert await client.get(keys.incarnation) == before


async def test_a_leader_key_that_nobody_renews_is_waited_for(
    client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    await (await lead(client)).resign()
    lease = await client.lease_grant(2)
    await client.put(keys.leader, b"restored", lease=lease.id)
    said: list[str] = []
    done = await begin_new_incarnation(client, keys, now=NOW, say=said.append)
    assert done.after.n == NOW
    assert "the lease of the last leader" in said[0]


async def test_a_leader_of_before_can_commit_nothing(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    old = await lead(client)
    chain = CommitChain(client, keys, old)
    session = WorkerLease("w", old.lease.id, keys.worker_live("w"), 0)
    batch = Batch()
    batch.put_leased(session, keys.worker_live("w"), b"live")
    assert isinstance(await chain.commit(batch), Committed)
    await client.txn((), [delete(keys.leader)])  # it does not notice
    await begin_new_incarnation(client, keys, now=NOW)
    late = Batch()
    late.put(keys.task("t"), b"late")
    assert isinstance(await chain.commit(late), Deposed)
    assert await client.get(keys.task("t")) is None


@contextlib.contextmanager
def dying_after(client: EtcdClient, transactions: int) -> Iterator[None]:
    """End whoever sends more than so many transactions, before the next one leaves."""
    real, sent = client.txn, 0

    async def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent > transactions:
            raise asyncio.CancelledError
        return await real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "txn", dying)
        yield


async def test_it_can_be_killed_anywhere_and_called_again(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    await (await lead(client)).resign()
    await fleet(client, keys, workers=230, owns=600)
    first = await client.get(keys.incarnation)
    assert first is not None
    for transactions in (0, 1, 1, 1):
        with dying_after(client, transactions), pytest.raises(asyncio.CancelledError):
            await begin_new_incarnation(client, keys, now=NOW)
        assert await client.get(keys.incarnation) == first, "it changes last"
    assert (await begin_new_incarnation(client, keys, now=NOW)).after.n == NOW
    assert await left(client, keys) == (230, 0)


async def test_a_leader_that_begins_meanwhile_stops_it(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    await (await lead(client)).resign()
    await fleet(client, keys, workers=1, owns=3)
    real = client.txn

    async def led_first(*args: Any, **kwargs: Any) -> Any:
        patch.undo()
        await lead(client)
        return await real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "txn", led_first)
        with pytest.raises(FailedPrecondition, match="began to lead meanwhile"):
            await begin_new_incarnation(client, keys, now=NOW)
    assert await left(client, keys) == (1, 4)


async def test_an_etcd_without_the_cluster_is_left_alone(client: EtcdClient, keys: Keys) -> None:
    with pytest.raises(NotFound, match="there is no cluster"):
        await begin_new_incarnation(client, keys, now=NOW)
    assert await client.get(keys.incarnation) is None


def test_a_history_is_read_as_it_was_written() -> None:
    history = History().followed_by(5, 2).followed_by(17, 900)
    assert History.decode(history.encode()) == history
    assert History.decode(b"") == History()
    assert Incarnation.decode(b"17 x").n == 17
    with pytest.raises(ValueError, match="not a history"):
        History.decode(b"17")
