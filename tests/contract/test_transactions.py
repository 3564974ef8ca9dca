"""What does Tenure rely on in transactions, ranges and revisions?"""

from __future__ import annotations

import pytest

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.commit_request import OPS_PER_LEVEL, nested_share
from tenure_runtime.etcd.errors import (
    EtcdCompacted,
    EtcdDuplicateKey,
    EtcdFutureRevision,
    EtcdLeaseNotFound,
    EtcdTooLarge,
    EtcdTooManyOps,
)
from tenure_runtime.etcd.ops import (
    absent,
    created_at,
    delete,
    delete_prefix,
    get,
    modified_at,
    put,
    txn_request,
    value_is,
)
from tenure_runtime.etcd.stubs import rpc
from tests.contract.subjects import Subject


def test_a_transaction_is_one_revision_for_all_its_keys(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        before = (await client.count(prefix)).revision
        done = await client.txn((), [put(prefix + b"a", b"1"), put(prefix + b"b", b"2")])
        found = await client.range(prefix, prefix=True)
        assert done.revision > before
        assert {kv.mod_revision for kv in found.kvs} == {done.revision}
        assert {kv.create_revision for kv in found.kvs} == {done.revision}

    subject.run(scenario)


def test_what_changes_nothing_makes_no_revision(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        first = await client.put(prefix + b"a", b"1")
        assert (await client.txn((), [delete(prefix + b"missing")])).revision == first
        assert (await client.txn([absent(prefix + b"a")], [put(prefix + b"a", b"2")])).revision == first
        assert (await client.get(prefix + b"a")).value == b"1"  # type: ignore[union-attr]

    subject.run(scenario)


def test_compares_see_value_creation_modification_and_absence(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        key = prefix + b"a"
        made = await client.put(key, b"1")
        changed = await client.put(key, b"2")
        holds = [value_is(key, b"2"), created_at(key, made), modified_at(key, changed), absent(prefix + b"b")]
        fails = [value_is(key, b"1"), created_at(key, changed), modified_at(key, made), absent(key)]
        fails += [value_is(prefix + b"b", b""), modified_at(key, 0)]
        assert (await client.txn(holds, [])).succeeded
        for compare in fails:
            assert not (await client.txn([*holds, compare], [])).succeeded

    subject.run(scenario)


def test_the_else_branch_reads_what_was_compared(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        await client.put(prefix + b"a", b"1")
        keys = [prefix + b"a", prefix + b"b"]
        result = await client.txn([value_is(keys[0], b"x")], [put(keys[0], b"y")], [get(key) for key in keys])
        assert not result.succeeded
        first, second = result.ranges
        assert first is not None
        assert first[0].value == b"1"
        assert second == []

    subject.run(scenario)


def test_a_key_that_comes_back_is_created_anew(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        key = prefix + b"a"
        made = await client.put(key, b"1")
        await client.txn((), [delete(key)])
        again = await client.put(key, b"1")
        found = await client.get(key)
        assert found is not None
        assert found.create_revision == again > made

    subject.run(scenario)


def test_a_transaction_reads_its_own_writes(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        result = await client.txn((), [put(prefix + b"a", b"1"), get(prefix + b"a")])
        found = result.ranges[1]
        assert found is not None
        assert found[0].value == b"1"

    subject.run(scenario)


def test_nested_transactions_are_part_of_the_whole(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        nested = rpc.RequestOp(request_txn=txn_request((), [put(prefix + b"b", b"2")]))
        done = await client.txn((), [put(prefix + b"a", b"1"), nested])
        found = await client.range(prefix, prefix=True)
        assert [kv.mod_revision for kv in found.kvs] == [done.revision] * 2

    subject.run(scenario)


def test_the_limit_of_operations_holds_for_each_level(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        many = [put(prefix + b"%d" % n, b"") for n in range(OPS_PER_LEVEL + 1)]
        with pytest.raises(EtcdTooManyOps):
            await client.txn((), many)
        await client.txn((), many[:-1])
        share = nested_share(1000, 3)
        large = [put(prefix + b"n%d" % n, b"") for n in range(1000)]
        parts = [large[start : start + share] for start in range(0, len(large), share)]
        nested = [rpc.RequestOp(request_txn=txn_request((), part)) for part in parts]
        compares = [absent(prefix + b"x%d" % n) for n in range(3)]
        assert (await client.txn(compares, [put(prefix + b"commit", b""), *nested])).succeeded

    subject.run(scenario)


@pytest.mark.parametrize("second", ["put", "delete", "nested", "prefix"])
def test_one_key_is_written_once(subject: Subject, second: str) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        key = prefix + b"a"
        twice = {
            "put": put(key, b"2"),
            "delete": delete(key),
            "nested": rpc.RequestOp(request_txn=txn_request((), [put(key, b"2")])),
            "prefix": delete_prefix(prefix),
        }[second]
        with pytest.raises(EtcdDuplicateKey):
            await client.txn((), [put(key, b"1"), twice])
        assert await client.get(key) is None

    subject.run(scenario)


def test_a_request_that_is_too_large_changes_nothing(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        with pytest.raises(EtcdTooLarge):
            await client.put(prefix + b"a", bytes(1_600_000))
        assert await client.get(prefix + b"a") is None

    subject.run(scenario)


def test_a_put_on_a_dead_lease_refuses_all_of_a_transaction(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        with pytest.raises(EtcdLeaseNotFound):
            await client.txn((), [put(prefix + b"a", b""), put(prefix + b"b", b"", 4711)])
        nested = rpc.RequestOp(request_txn=txn_request((), [put(prefix + b"b", b"", 4711)]))
        with pytest.raises(EtcdLeaseNotFound):
            await client.txn((), [put(prefix + b"a", b""), nested])
        assert not (await client.range(prefix, prefix=True)).kvs

    subject.run(scenario)


def test_a_dead_lease_in_the_branch_that_does_not_run_does_no_harm(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        key = prefix + b"a"
        result = await client.txn([value_is(key, b"x")], [put(key, b"", 4711)], [get(key)])
        assert not result.succeeded

    subject.run(scenario)


def test_ranges_are_sorted_counted_limited_and_may_lie_in_the_past(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        for name in (b"c", b"a", b"b"):
            past = await client.put(prefix + name, name)
        await client.txn((), [delete(prefix + b"a"), put(prefix + b"b", b"new")])
        found = await client.range(prefix, prefix=True, limit=1)
        assert [kv.key for kv in found.kvs] == [prefix + b"b"]
        assert found.more
        assert found.total == 2
        old = await client.range(prefix, prefix=True, revision=past)
        assert [kv.value for kv in old.kvs] == [b"a", b"b", b"c"]
        assert (await client.count(prefix, revision=past)).total == 3
        keys = await client.range(prefix, prefix=True, keys_only=True)
        assert [kv.value for kv in keys.kvs] == [b"", b""]

    subject.run(scenario)


def test_what_is_compacted_or_still_to_come_cannot_be_read(subject: Subject) -> None:
    async def scenario(client: EtcdClient, prefix: bytes) -> None:
        past = await client.put(prefix + b"a", b"1")
        now = await client.put(prefix + b"a", b"2")
        await client.compact(now)
        with pytest.raises(EtcdCompacted):
            await client.range(prefix + b"a", revision=past)
        with pytest.raises(EtcdCompacted):
            await client.compact(now)
        with pytest.raises(EtcdFutureRevision):
            await client.range(prefix + b"a", revision=now + 1000)
        assert (await client.range(prefix + b"a", revision=now)).kvs[0].value == b"2"

    subject.run(scenario)
