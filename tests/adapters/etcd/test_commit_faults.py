"""Commits without an answer are sent again until there is one, and are applied once all the same."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tenure_runtime.etcd.batch import Batch
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.commit import CommitChain, Committed, Deposed
from tenure_runtime.etcd.watch import Delta, PrefixWatch
from tests.adapters.etcd.proxies import Proxy
from tests.adapters.etcd.reaching import answers
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tenure_runtime.etcd.keys import Keys
    from tests.adapters.etcd.conftest import Lead
    from tests.support.etcd_server import EtcdServer


def counting(keys: Keys, number: int) -> Batch:
    batch = Batch()
    batch.put(keys.task("counter"), b"%d" % number)
    return batch


class Traffic:
    """Commits that count, one after the other, until stopped."""

    def __init__(self, chain: CommitChain, keys: Keys) -> None:
        self._chain = chain
        self._keys = keys
        self._stop = False
        self.acked: list[int] = []
        self.resent = 0
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        number = 0
        while not self._stop:
            outcome = await self._chain.commit(counting(self._keys, number))
            assert isinstance(outcome, Committed), outcome
            self.acked.append(number)
            self.resent += outcome.resent
            number += 1

    async def progress(self, commits: int = 20) -> None:
        """Wait for so many more commits."""
        target = len(self.acked) + commits
        await eventually(lambda: len(self.acked) >= target or self.task.done())

    async def finish(self) -> None:
        self._stop = True
        await self.task


async def history(client: EtcdClient, keys: Keys) -> list[int]:
    """Every value that the counter ever had."""
    last = await client.get(keys.task("counter"))
    assert last is not None
    values: list[int] = []
    async with contextlib.aclosing(PrefixWatch(client, keys.task("counter")).changes(2)) as changes:
        async for change in changes:
            assert isinstance(change, Delta)
            values += [int(event.value or b"-1") for event in change.events]
            if change.revision >= last.mod_revision:
                return values
    raise AssertionError("a watch never ends")


async def test_killed_etcd_applies_each_commit_once(
    own_server: EtcdServer, own_client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    traffic = Traffic(CommitChain(own_client, keys, await lead(own_client, ttl=60)), keys)
    for _ in range(4):
        await traffic.progress()
        own_server.kill()
        own_server.start()
    await traffic.progress()
    await traffic.finish()
    assert await history(own_client, keys) == traffic.acked
    assert traffic.resent > 0


async def test_paused_etcd_applies_each_commit_once(
    own_server: EtcdServer, own_client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    chain = CommitChain(own_client, keys, await lead(own_client, ttl=60), attempt_timeout=0.3)
    traffic = Traffic(chain, keys)
    await traffic.progress()
    own_server.pause()
    await eventually(lambda: chain.resent >= 2)
    own_server.resume()
    await traffic.progress()
    await traffic.finish()
    assert await history(own_client, keys) == traffic.acked
    assert traffic.resent >= 2


async def test_members_of_three_die_in_turn(three: list[EtcdServer], keys: Keys, lead: Lead) -> None:
    async with EtcdClient([member.endpoint for member in three]) as client:
        traffic = Traffic(CommitChain(client, keys, await lead(client, ttl=60)), keys)
        for member in three:
            await traffic.progress()
            member.kill()
            await traffic.progress()
            member.start()
            async with EtcdClient([member.endpoint]) as alone:
                await answers(alone)
        await traffic.finish()
        assert await history(client, keys) == traffic.acked


async def test_a_lost_answer_is_asked_for_again(
    etcd: EtcdServer, client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    async def applied() -> bool:
        kv = await direct.get(keys.task("counter"))
        return kv is not None and kv.value == b"1"

    direct = client
    async with Proxy(etcd.endpoint) as proxy, EtcdClient([proxy.endpoint]) as client:
        await answers(client)
        chain = CommitChain(client, keys, await lead(client))
        assert isinstance(await chain.commit(counting(keys, 0)), Committed)
        proxy.cut_answers(chain.position.following().encode(), applied)
        outcome = await chain.commit(counting(keys, 1))
        assert proxy.triggered == 1
        assert isinstance(outcome, Committed)
        assert outcome.resent > 0
        assert isinstance(await chain.commit(counting(keys, 2)), Committed)
        assert await history(client, keys) == [0, 1, 2]


async def test_a_request_that_arrives_after_its_copy_changes_nothing(
    etcd: EtcdServer, keys: Keys, lead: Lead
) -> None:
    async with Proxy(etcd.endpoint) as proxy, EtcdClient([proxy.endpoint]) as client:
        await answers(client)
        chain = CommitChain(client, keys, await lead(client))
        proxy.delay_request(chain.position.following().encode())
        for number in range(3):
            assert isinstance(await chain.commit(counting(keys, number)), Committed)
        assert proxy.triggered == 1
        proxy.release(chain.position.encode())
        await asyncio.wait_for(proxy.late.wait(), 10)
        assert isinstance(await chain.commit(counting(keys, 3)), Committed)
        assert await history(client, keys) == [0, 1, 2, 3]


async def test_without_an_answer_until_the_deadline_the_leadership_is_over(
    own_server: EtcdServer, own_client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    leadership = await lead(own_client, ttl=3)
    chain = CommitChain(own_client, keys, leadership, attempt_timeout=0.5)
    assert isinstance(await chain.commit(counting(keys, 0)), Committed)
    own_server.pause()
    outcome = await chain.commit(counting(keys, 1))
    assert isinstance(outcome, Deposed)
    assert "may have been applied" in outcome.reason
    assert leadership.lost.is_set()
