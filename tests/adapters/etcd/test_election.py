"""At most one leader can commit, and a lost one is replaced."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tenure_runtime.etcd.batch import Batch
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.commit import CommitChain, Committed, Deposed
from tenure_runtime.etcd.election import Election
from tenure_runtime.etcd.incarnation import Incarnation, lay_foundation
from tenure_runtime.etcd.leadership import boottime
from tenure_runtime.etcd.position import Position
from tests.adapters.etcd.proxies import Proxy
from tests.adapters.etcd.reaching import answers
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tenure_runtime.etcd.keys import Keys
    from tests.adapters.etcd.conftest import Lead
    from tests.support.etcd_server import EtcdServer


def marking(keys: Keys) -> Batch:
    batch = Batch()
    batch.put(keys.task("t"), b"1")
    return batch


async def test_the_first_leader_lays_the_foundation(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(client)
    meta, commit, leader = [await client.get(k) for k in (keys.incarnation, keys.commit, keys.leader)]
    assert meta is not None
    assert commit is not None
    assert leader is not None
    assert Incarnation.decode(meta.value).n > 1_700_000_000
    assert Position.decode(commit.value) == (1, 0, 1)
    assert leadership.term == (1, leader.mod_revision, meta.value, commit.value)
    assert leadership.revision == leader.mod_revision == commit.mod_revision
    assert leader.lease == leadership.lease.id
    assert leadership.is_current()


async def test_the_foundation_is_laid_once(client: EtcdClient, keys: Keys) -> None:
    laid = await asyncio.gather(*(lay_foundation(client, keys) for _ in range(8)))
    assert len(set(laid)) == 1


async def test_one_of_three_candidates_leads_at_a_time(client: EtcdClient, keys: Keys) -> None:
    candidates = [Election(client, keys, b"c%d" % n, ttl=5) for n in range(3)]
    waiting = {asyncio.create_task(candidate.lead()) for candidate in candidates}
    epochs = []
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (winner,) = done
        leadership = winner.result()
        epochs.append(leadership.epoch)
        assert isinstance(await CommitChain(client, keys, leadership).commit(marking(keys)), Committed)
        assert all(not task.done() for task in waiting)
        await leadership.resign()
        assert await candidates[0].current() is None or waiting
    assert epochs == [1, 2, 3]


async def test_only_a_vacant_or_the_named_leadership_can_be_taken(
    client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    first = await lead(client)
    other = Election(client, keys, b"other")
    assert await other.attempt() is None
    assert await other.attempt(usurp=first.revision - 1) is None
    second = await lead(client, usurp=first.revision)
    assert second.epoch == 2
    assert isinstance(await CommitChain(client, keys, first).commit(marking(keys)), Deposed)
    # The first one's lease no longer carries the leader key.
    await first.resign()
    current = await other.current()
    assert current is not None
    assert current.mod_revision == second.revision


async def test_two_usurpers_cannot_both_win(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    old = await lead(client)
    rivals = [Election(client, keys, b"r%d" % n).attempt(usurp=old.revision) for n in range(4)]
    won = [leadership for leadership in await asyncio.gather(*rivals) if leadership]
    assert len(won) == 1
    await won[0].resign()


async def test_a_lost_answer_to_the_candidacy_is_asked_for_again(
    etcd: EtcdServer, client: EtcdClient, keys: Keys
) -> None:
    async def applied() -> bool:
        return await client.get(keys.leader) is not None

    async with Proxy(etcd.endpoint) as proxy, EtcdClient([proxy.endpoint]) as candidate:
        await answers(candidate)
        proxy.cut_answers(b"the candidate", applied)
        leadership = await Election(candidate, keys, b"the candidate").attempt()
        assert proxy.triggered == 1
        assert leadership is not None
        assert leadership.epoch == 1
        assert isinstance(await CommitChain(candidate, keys, leadership).commit(marking(keys)), Committed)
        await leadership.resign()


async def test_renewals_extend_the_deadline(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(client, ttl=5)
    first = leadership.deadline
    assert first <= boottime() + leadership.lease.ttl - 0.5
    await eventually(lambda: leadership.deadline > first + 1)
    assert leadership.is_current()


async def test_a_leader_without_etcd_stops_before_its_lease_ends(
    own_server: EtcdServer, own_client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    leadership = await lead(own_client, ttl=2)
    own_server.pause()
    paused_at = boottime()
    await asyncio.wait_for(leadership.lost.wait(), 20)
    # The lease may have been renewed as late as the pause; whoever asks was told from the deadline on.
    assert leadership.deadline <= paused_at + leadership.lease.ttl - 0.5
    assert not leadership.is_current()
    own_server.resume()
    await answers(own_client)
    assert not leadership.is_current()
    assert "not renewed" in leadership.reason


async def test_a_revoked_lease_ends_the_leadership(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(client, ttl=3)
    await client.lease_revoke(leadership.lease.id)
    await asyncio.wait_for(leadership.lost.wait(), 20)
    assert "gone" in leadership.reason


async def test_the_deadline_follows_the_given_clock(client: EtcdClient, keys: Keys) -> None:
    now = [100.0]
    leadership = await Election(client, keys, b"x", ttl=10, clock=lambda: now[0]).attempt()
    assert leadership is not None
    assert leadership.deadline == 108.0
    assert leadership.remaining() == 8.0
    now[0] = 108.0
    assert not leadership.is_current()
    now[0] = 100.0
    assert not leadership.is_current()
    await leadership.resign()


async def test_a_standby_takes_over_after_expiry(own_client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(own_client, ttl=2)
    await leadership.close()
    standby = await asyncio.wait_for(Election(own_client, keys, b"standby").lead(), 15)
    assert standby.epoch == 2
    await standby.resign()


async def test_a_leader_that_renews_is_never_overdue(client: EtcdClient, keys: Keys, lead: Lead) -> None:
    leadership = await lead(client, ttl=2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Election(client, keys, b"standby", ttl=2).overdue(), 6)
    assert leadership.is_current()


async def test_a_silent_leader_is_overdue_when_it_has_stopped_and_before_its_lease_ends(
    client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    """Its process is frozen, say: etcd would keep its key for longer than it may act."""
    leadership = await lead(client, ttl=6)
    leadership._renewing.cancel()
    standby = Election(client, keys, b"standby", ttl=6)
    leader = await asyncio.wait_for(standby.overdue(), 20)
    assert not leadership.is_current()
    assert await client.get(keys.leader) is not None
    replacement = await standby.attempt(usurp=leader.mod_revision)
    assert replacement is not None
    assert replacement.epoch == leadership.epoch + 1
    await replacement.resign()
