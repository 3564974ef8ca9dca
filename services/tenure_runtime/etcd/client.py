"""What can be asked of etcd?

A thin typed layer: keys and values are bytes, reads are linearizable unless said otherwise, every call has a
deadline, and errors are those of `tenure_runtime.etcd.errors`. Nothing that may have been applied is repeated
here; `CommitChain` and `Election` do that where it is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Self

from tenure_runtime.etcd import values
from tenure_runtime.etcd.endpoints import Endpoints, Link
from tenure_runtime.etcd.errors import EtcdLeaseNotFound, EtcdUnavailable
from tenure_runtime.etcd.high_water import HighWater
from tenure_runtime.etcd.keepalive import KeepAlives
from tenure_runtime.etcd.ops import Compare, Op, prefix_end, txn_request
from tenure_runtime.etcd.ops import put as put_op
from tenure_runtime.etcd.stubs import rpc
from tenure_runtime.etcd.values import Alarm, KeyValue, Lease, Member, MemberStatus, RangeResult, TxnResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from tenure_runtime.etcd.channel import Tls

DEFAULT_TIMEOUT: Final = 5.0
_FIRST_PAGE: Final = 500
_LARGEST_PAGE: Final = 10_000
_PAGE_BYTES: Final = 4 << 20


class EtcdClient:
    """A connection to one etcd cluster, shared by everything in the process.

    `endpoints` are `host:port` or URLs; calls go to one of them until it fails, then to the next. `timeout`
    is the deadline in seconds of a call that names none.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        user: str | None = None,
        password: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self.endpoints = Endpoints(endpoints, tls, user, password)
        self._keepalives = KeepAlives(self.endpoints)
        self._timeout = timeout
        self.high_water = HighWater()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every stream and connection. Leases are left to expire."""
        await self._keepalives.close()
        await self.endpoints.close()

    # Reading

    async def get(self, key: bytes, *, timeout: float | None = None) -> KeyValue | None:
        """One key as it is now, or None."""
        found = await self.range(key, timeout=timeout)
        return found.kvs[0] if found.kvs else None

    async def range(
        self,
        key: bytes,
        *,
        prefix: bool = False,
        range_end: bytes = b"",
        limit: int = 0,
        revision: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
        serializable: bool = False,
        timeout: float | None = None,
    ) -> RangeResult:
        """The key, or every key with this prefix, in key order, all of one revision.

        A prefix without `limit` is read in pages of some megabytes, each with the deadline `timeout`.
        `revision` 0 is now; an older one may raise EtcdCompacted. `serializable` asks one member, which may
        be behind the others.
        """
        end = prefix_end(key) if prefix else range_end
        if end and not limit and not count_only:
            return await self._all_pages(key, end, revision, keys_only, serializable, timeout)
        request = rpc.RangeRequest(
            key=key,
            range_end=end,
            limit=limit,
            revision=revision,
            keys_only=keys_only,
            count_only=count_only,
            serializable=serializable,
        )
        return values.range_result(await self._read(request, timeout))

    async def count(self, prefix: bytes, *, revision: int = 0, timeout: float | None = None) -> RangeResult:
        """How many keys have this prefix: a result without keys, whose `total` says it."""
        return await self.range(prefix, prefix=True, revision=revision, count_only=True, timeout=timeout)

    async def pages(
        self,
        prefix: bytes,
        *,
        revision: int = 0,
        keys_only: bool = False,
        serializable: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[RangeResult]:
        """The keys with this prefix in pages, all of the revision of the first one; at least one page."""
        async for page in self._pages(prefix, prefix_end(prefix), revision, keys_only, serializable, timeout):
            yield page

    async def _pages(
        self,
        start: bytes,
        end: bytes,
        revision: int,
        keys_only: bool,
        serializable: bool,
        timeout: float | None,
    ) -> AsyncIterator[RangeResult]:
        limit, more = _FIRST_PAGE, True
        while more:
            request = rpc.RangeRequest(
                key=start,
                range_end=end,
                limit=limit,
                revision=revision,
                keys_only=keys_only,
                serializable=serializable,
            )
            response = await self._read(request, timeout)
            page = values.range_result(response)
            revision = revision or page.revision
            more = page.more
            if more:
                start = page.kvs[-1].key + b"\x00"
                limit = _next_limit(len(page.kvs), response.ByteSize())
            yield page._replace(revision=revision)

    async def _all_pages(self, start: bytes, end: bytes, *args: Any) -> RangeResult:
        kvs: list[KeyValue] = []
        revision = 0
        async for page in self._pages(start, end, *args):
            kvs += page.kvs
            revision = page.revision
        return RangeResult(kvs, revision, len(kvs), False)

    async def _read(self, request: Any, timeout: float | None) -> Any:
        asked = self.high_water.asked()
        response = await self.endpoints.call(
            lambda stubs: stubs.kv.Range, request, timeout=timeout or self._timeout, write=False
        )
        if not request.serializable:
            self.high_water.answered(asked, response.header.revision)
        return response

    # Writing

    async def txn(
        self,
        compares: Iterable[Compare],
        then: Iterable[Op],
        otherwise: Iterable[Op] = (),
        *,
        timeout: float | None = None,
        write: bool = True,
    ) -> TxnResult:
        """One atomic transaction; see `tenure_runtime.etcd.ops`.

        Raises EtcdUnknownOutcome when it may have been applied. `write=False` promises that it only reads.
        """
        asked = self.high_water.asked()
        response = await self.endpoints.call(
            lambda stubs: stubs.kv.Txn,
            txn_request(compares, then, otherwise),
            timeout=timeout or self._timeout,
            write=write,
        )
        self.high_water.answered(asked, response.header.revision)
        return values.txn_result(response)

    async def txn_bytes(self, request: bytes, *, timeout: float) -> Any:
        """Send a serialized transaction and return etcd's own response message; errors as of `txn`."""
        asked = self.high_water.asked()
        response = await self.endpoints.call(
            lambda stubs: stubs.txn_bytes, request, timeout=timeout, write=True
        )
        self.high_water.answered(asked, response.header.revision)
        return response

    async def put(self, key: bytes, value: bytes, *, lease: int = 0, timeout: float | None = None) -> int:
        """Write one key without any guard; returns the revision."""
        return (await self.txn((), (put_op(key, value, lease),), timeout=timeout)).revision

    # Leases

    async def lease_grant(self, ttl: float, *, timeout: float | None = None) -> Lease:
        """A new lease of at least `ttl` seconds, rounded up; etcd makes 1 a 2."""
        response = await self.endpoints.call(
            lambda stubs: stubs.lease.LeaseGrant,
            rpc.LeaseGrantRequest(TTL=-int(-ttl // 1)),
            timeout=timeout or self._timeout,
            write=True,
        )
        return Lease(response.ID, response.TTL)

    async def lease_revoke(self, lease: int, *, timeout: float | None = None) -> bool:
        """End a lease and delete its keys; False: it was dead already. Carries no compare: only one's own."""
        request = rpc.LeaseRevokeRequest(ID=lease)
        try:
            await self.endpoints.call(
                lambda stubs: stubs.lease.LeaseRevoke, request, timeout=timeout or self._timeout, write=True
            )
        except EtcdLeaseNotFound:
            return False
        return True

    async def lease_keepalive(self, lease: int, *, timeout: float | None = None) -> int:
        """Renew a lease; returns the seconds that it lives from now on, 0: it is dead.

        All callers share one stream. An answer > 0 does not say that the keys on the lease still exist.
        """
        return await self._keepalives.renew(lease, timeout or self._timeout)

    async def lease_time_to_live(self, lease: int, *, timeout: float | None = None) -> int:
        """Seconds that a lease has left, without renewing it; -1: it is dead."""
        request = rpc.LeaseTimeToLiveRequest(ID=lease)
        try:
            response = await self.endpoints.call(
                lambda stubs: stubs.lease.LeaseTimeToLive,
                request,
                timeout=timeout or self._timeout,
                write=False,
            )
        except EtcdLeaseNotFound:
            return -1
        return int(response.TTL)

    # The cluster itself

    async def status(self, endpoint: str | None = None, *, timeout: float | None = None) -> MemberStatus:
        """How the current member, or the one at `endpoint`, is doing."""
        link = self._link(endpoint)
        response = await self.endpoints.call(
            lambda stubs: stubs.maintenance.Status,
            rpc.StatusRequest(),
            timeout=timeout or self._timeout,
            write=False,
            link=link if endpoint else None,
        )
        return _status(link.endpoint, response)

    async def statuses(self, *, timeout: float | None = None) -> dict[str, MemberStatus | EtcdUnavailable]:
        """The status of every configured endpoint, or why it has none."""
        names = [link.endpoint for link in self.endpoints.links]

        async def ask(name: str) -> MemberStatus | EtcdUnavailable:
            try:
                return await self.status(name, timeout=timeout)
            except EtcdUnavailable as error:
                return error

        return dict(zip(names, await asyncio.gather(*map(ask, names)), strict=True))

    async def members(self, *, timeout: float | None = None) -> list[Member]:
        """The members of the cluster as they know themselves."""
        response = await self.endpoints.call(
            lambda stubs: stubs.cluster.MemberList,
            rpc.MemberListRequest(),
            timeout=timeout or self._timeout,
            write=False,
        )
        return [Member(m.ID, m.name, tuple(m.clientURLs), m.isLearner) for m in response.members]

    async def snapshot(self) -> AsyncIterator[tuple[bytes, int]]:
        """The current member's database in pieces, each with the bytes that follow it; then its SHA-256.

        What the member has applied when it is asked; behind the others if it lags.
        """
        responses = self.endpoints.responses(lambda stubs: stubs.maintenance.Snapshot, rpc.SnapshotRequest())
        async with contextlib.aclosing(responses):
            async for response in responses:
                yield response.blob, response.remaining_bytes

    async def alarms(self, *, timeout: float | None = None) -> list[Alarm]:
        """The alarms raised now; NOSPACE means that writes are refused."""
        return await self._alarm(rpc.AlarmRequest(action=rpc.AlarmRequest.GET), timeout, write=False)

    async def disarm(self, alarm: Alarm, *, timeout: float | None = None) -> None:
        """Take back an alarm after its cause is gone; an operator's act."""
        request = rpc.AlarmRequest(
            action=rpc.AlarmRequest.DEACTIVATE,
            memberID=alarm.member_id,
            alarm=rpc.AlarmType.Value(alarm.kind),
        )
        await self._alarm(request, timeout, write=True)

    async def _alarm(self, request: Any, timeout: float | None, *, write: bool) -> list[Alarm]:
        response = await self.endpoints.call(
            lambda stubs: stubs.maintenance.Alarm, request, timeout=timeout or self._timeout, write=write
        )
        return [Alarm(a.memberID, rpc.AlarmType.Name(a.alarm)) for a in response.alarms]

    async def compact(self, revision: int, *, physical: bool = False, timeout: float | None = None) -> None:
        """Forget everything older than `revision`; watches behind it resync. Raises EtcdCompacted if done."""
        await self.endpoints.call(
            lambda stubs: stubs.kv.Compact,
            rpc.CompactionRequest(revision=revision, physical=physical),
            timeout=timeout or self._timeout,
            write=True,
        )

    async def defragment(self, endpoint: str, *, timeout: float = 60.0) -> None:
        """Give the free space of one member's file back; that member answers nothing meanwhile."""
        await self.endpoints.call(
            lambda stubs: stubs.maintenance.Defragment,
            rpc.DefragmentRequest(),
            timeout=timeout,
            write=True,
            link=self._link(endpoint),
        )

    def _link(self, endpoint: str | None) -> Link:
        if endpoint is None:
            return self.endpoints.current
        for link in self.endpoints.links:
            if link.endpoint == endpoint:
                return link
        raise ValueError(f"{endpoint} is not one of the configured etcd endpoints")


def _next_limit(keys: int, size: int) -> int:
    """How many keys of the size just seen make a page."""
    return max(1, min(_LARGEST_PAGE, _PAGE_BYTES * keys // max(size, 1)))


def _status(endpoint: str, response: Any) -> MemberStatus:
    return MemberStatus(
        endpoint=endpoint,
        version=response.version,
        member_id=response.header.member_id,
        leader_id=response.leader,
        db_size=response.dbSize,
        db_size_in_use=response.dbSizeInUse,
        raft_term=response.raftTerm,
        revision=response.header.revision,
        errors=tuple(response.errors),
    )
