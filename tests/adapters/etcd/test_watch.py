"""A watch shows every change once and in order, whatever happens to the members of etcd."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

import pytest

from tenure_runtime.etcd import ops
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.watch import Delta, PrefixWatch, Snapshot
from tests.adapters.etcd.reaching import answers
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tenure_runtime.etcd.keys import Keys
    from tests.support.etcd_server import EtcdServer, EtcdServers


class Follower:
    """Applies a watch to a dictionary and keeps what it saw."""

    def __init__(self, watch: PrefixWatch, start_revision: int = 0) -> None:
        self.watch = watch
        self.state: dict[bytes, bytes] = {}
        self.values: list[bytes] = []
        self.revisions: list[int] = []
        self.snapshots = 0
        self._task = asyncio.create_task(self._run(start_revision))

    async def _run(self, start_revision: int) -> None:
        async with contextlib.aclosing(self.watch.changes(start_revision)) as changes:
            async for change in changes:
                if isinstance(change, Snapshot):
                    self.snapshots += 1
                    self.state = {kv.key: kv.value for kv in change.kvs}
                    continue
                self._apply(change)

    def _apply(self, change: Delta) -> None:
        for event in change.events:
            self.revisions.append(event.mod_revision)
            if event.value is None:
                self.state.pop(event.key, None)
            else:
                self.state[event.key] = event.value
                self.values.append(event.value)

    async def __aenter__(self) -> Self:
        await eventually(lambda: self.snapshots or self._task.done())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def sees(self, key: bytes, value: bytes | None) -> None:
        await eventually(lambda: self.state.get(key) == value or self._task.done(), within=30)
        assert not self._task.done()


async def put_until_taken(client: EtcdClient, key: bytes, value: bytes) -> None:
    while True:
        try:
            await client.put(key, value, timeout=1.0)
            return
        except EtcdError:
            await asyncio.sleep(0.02)


async def test_snapshot_then_deltas(client: EtcdClient, keys: Keys) -> None:
    await client.put(keys.task("a"), b"1")
    async with Follower(PrefixWatch(client, keys.prefix)) as follower:
        assert follower.state == {keys.task("a"): b"1"}
        await client.put(keys.task("b"), b"2")
        await client.txn((), [ops.put(keys.task("c"), b"3"), ops.delete(keys.task("a"))])
        await follower.sees(keys.task("a"), None)
        assert follower.state == {keys.task("b"): b"2", keys.task("c"): b"3"}
        assert follower.revisions[-1] == follower.revisions[-2]


async def test_events_say_all_about_a_key(client: EtcdClient, keys: Keys) -> None:
    lease = await client.lease_grant(60)
    created = await client.put(keys.own("t"), b"1", lease=lease.id)
    async with contextlib.aclosing(PrefixWatch(client, keys.prefix).changes(created)) as changes:
        change = await anext(changes)
        assert isinstance(change, Delta)
        assert change.events == [(keys.own("t"), b"1", created, created, lease.id)]
        await client.lease_revoke(lease.id)
        change = await anext(changes)
        assert isinstance(change, Delta)
        assert (change.events[0].key, change.events[0].value) == (keys.own("t"), None)


async def test_large_revisions_arrive_whole(client: EtcdClient, keys: Keys) -> None:
    """More than etcd puts into one message: it is sent in fragments and put together again."""
    start = (await client.count(keys.prefix)).revision + 1
    for batch in range(4):
        await client.txn((), [ops.put(keys.task(f"{batch}.{n}"), b"x" * 100_000) for n in range(12)])
    async with contextlib.aclosing(PrefixWatch(client, keys.prefix).changes(start)) as changes:
        seen: list[int] = []
        while len(seen) < 48:
            change = await anext(changes)
            assert isinstance(change, Delta)
            seen += [event.mod_revision for event in change.events]
            assert seen.count(change.revision) == 12
    assert seen == sorted(seen)


async def test_member_kills_lose_nothing(three: list[EtcdServer], keys: Keys) -> None:
    endpoints = [member.endpoint for member in three]
    async with EtcdClient(endpoints) as writer, EtcdClient(endpoints) as reader:
        async with Follower(PrefixWatch(reader, keys.prefix)) as follower:
            written = 0
            for _ in range(3):
                victim = next(m for m in three if m.endpoint == reader.endpoints.current.endpoint)
                for step in range(60):
                    if step == 20:
                        victim.kill()
                    await put_until_taken(writer, keys.task("n"), b"%d" % written)
                    written += 1
                await follower.sees(keys.task("n"), b"%d" % (written - 1))
                victim.start()
                async with EtcdClient([victim.endpoint]) as alone:
                    await answers(alone)
            assert follower.snapshots == 1
            assert follower.watch.reconnects >= 3
        # A put that was repeated for want of an answer may stand there twice, one after the other.
        assert list(dict.fromkeys(follower.values)) == [b"%d" % n for n in range(written)]
        assert follower.revisions == sorted(set(follower.revisions))


async def test_a_paused_member_is_left(three: list[EtcdServer], keys: Keys) -> None:
    endpoints = [member.endpoint for member in three]
    async with EtcdClient(endpoints) as reader, EtcdClient(endpoints) as writer:
        async with Follower(PrefixWatch(reader, keys.prefix)) as follower:
            victim = next(m for m in three if m.endpoint == reader.endpoints.current.endpoint)
            victim.pause()
            await put_until_taken(writer, keys.task("n"), b"1")
            await follower.sees(keys.task("n"), b"1")
            assert follower.snapshots == 1


async def test_a_member_without_quorum_is_noticed(three: list[EtcdServer], keys: Keys) -> None:
    endpoints = [member.endpoint for member in three]
    async with EtcdClient(endpoints) as reader, EtcdClient(endpoints) as writer:
        async with Follower(PrefixWatch(reader, keys.prefix)) as follower:
            others = [m for m in three if m.endpoint != reader.endpoints.current.endpoint]
            for member in others:
                member.pause()
            await eventually(lambda: follower.watch.reconnects, within=30)
            for member in others:
                member.resume()
            await put_until_taken(writer, keys.task("n"), b"1")
            await follower.sees(keys.task("n"), b"1")
            assert follower.snapshots == 1


async def test_compaction_under_a_watch_gives_a_new_snapshot(
    own_server: EtcdServer, own_client: EtcdClient, keys: Keys
) -> None:
    async with EtcdClient([own_server.endpoint]) as reader:
        for number in range(10):
            revision = await own_client.put(keys.task(f"{number}"), b"1")
        await own_client.compact(revision)
        async with Follower(PrefixWatch(reader, keys.prefix), start_revision=2) as follower:
            await follower.sees(keys.task("9"), b"1")
            assert follower.snapshots == 1
            assert follower.values == []


async def test_a_store_that_went_back_gives_a_new_snapshot(own_server: EtcdServer, keys: Keys) -> None:
    async with EtcdClient([own_server.endpoint]) as client:
        await answers(client)
        for number in range(20):
            await client.put(keys.task(f"{number}"), b"old")
        async with Follower(PrefixWatch(client, keys.prefix)) as follower:
            own_server.kill()
            own_server.data_dir = own_server.data_dir.with_name("another")
            own_server.start()
            await put_until_taken(client, keys.task("new"), b"new")
            await follower.sees(keys.task("new"), b"new")
            await follower.sees(keys.task("1"), None)
            assert follower.snapshots >= 2


async def test_resync_at_an_interval(client: EtcdClient, keys: Keys) -> None:
    async with Follower(PrefixWatch(client, keys.prefix, resync_interval=0.1)) as follower:
        await eventually(lambda: follower.snapshots >= 3)
        await client.put(keys.task("a"), b"1")
        await follower.sees(keys.task("a"), b"1")


@pytest.fixture
async def progress_client(etcd_servers: EtcdServers) -> AsyncIterator[EtcdClient]:
    server = etcd_servers.launch(flags=["--experimental-watch-progress-notify-interval=100ms"])[0]
    async with EtcdClient([server.endpoint]) as client:
        await answers(client)
        yield client


async def test_progress_is_told_without_events(progress_client: EtcdClient, keys: Keys) -> None:
    async with contextlib.aclosing(PrefixWatch(progress_client, keys.prefix).changes()) as changes:
        assert isinstance(await anext(changes), Snapshot)
        revision = await progress_client.put(b"/elsewhere", b"1")
        change = await anext(changes)
        assert change == Delta([], revision)
