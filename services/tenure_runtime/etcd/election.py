"""Which scheduler leads?

The one whose transaction found no leader (or, to usurp, exactly the leader that it saw die), the last
commit unchanged and the incarnation unchanged. It writes the leader key on its lease and the next epoch
into `commit`, which ends every earlier leadership whether or not that one has noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_runtime.etcd.commit_request import Term
from tenure_runtime.etcd.errors import (
    EtcdError,
    EtcdLeaseNotFound,
    EtcdNoSpace,
    EtcdUnavailable,
    EtcdUnknownOutcome,
)
from tenure_runtime.etcd.incarnation import Foundation, lay_foundation
from tenure_runtime.etcd.leadership import Clock, Leadership, boottime, margin_of
from tenure_runtime.etcd.ops import get, modified_at, put, value_is
from tenure_runtime.etcd.position import Position
from tenure_runtime.etcd.watch import PrefixWatch, Snapshot

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.keys import Keys
    from tenure_runtime.etcd.values import KeyValue, Lease

_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_ATTEMPT_TIMEOUT: Final = 1.5
_LEFT_PAUSE: Final = 0.1
_KNOWN_SECONDS: Final = 1.0
"""For how long who leads is not asked again while its lease is looked at often."""


class CurrentLeader(NamedTuple):
    """The leader as its key shows it; `mod_revision` is what a usurper names."""

    value: bytes
    mod_revision: int
    lease: int


class Election:
    """One candidate. `value` is what it writes into the leader key; `ttl` in seconds."""

    def __init__(
        self, client: EtcdClient, keys: Keys, value: bytes, *, ttl: float = 5.0, clock: Clock = boottime
    ) -> None:
        self._client = client
        self._keys = keys
        self._value = value
        self._ttl = ttl
        self._clock = clock

    async def current(self) -> CurrentLeader | None:
        """Who leads now, by a linearizable read?"""
        return _leader(await self._client.get(self._keys.leader))

    async def lead(self) -> Leadership:
        """Wait until nobody leads, and lead; through any outage of etcd."""
        pause = _PAUSE
        while True:
            try:
                if leadership := await self.attempt():
                    return leadership
                await self.vacancy()
                pause = _PAUSE
            except (EtcdUnavailable, EtcdUnknownOutcome, EtcdNoSpace):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def attempt(self, *, usurp: int = 0) -> Leadership | None:
        """Try once to lead; None: somebody else leads, or was faster.

        `usurp` names the mod revision of a leader key that is to be replaced. That is safe at any time, since
        every commit compares it; whether it is wise is the caller's judgement.
        """
        sent_at = self._clock()
        # Granted while the rest is read: nobody leads meanwhile. Who comes here mostly needs it.
        granting = asyncio.create_task(self._client.lease_grant(self._ttl), name="lease of a candidate")
        try:
            foundation = await lay_foundation(self._client, self._keys)
            leader = await self.current()
            replaces = leader.mod_revision if leader is not None else 0
            if replaces not in (0, usurp):
                await self._withdraw(granting)
                return None
            lease = await granting
        except BaseException:
            await self._withdraw(granting)
            raise
        margin = margin_of(lease.ttl)
        try:
            term = await self._take(foundation, lease, replaces, sent_at + lease.ttl - margin)
        except BaseException:
            await self._give_back(lease)
            raise
        if term is None:
            await self._give_back(lease)
            return None
        return Leadership(self._client, lease, term, sent_at, margin=margin, clock=self._clock)

    async def _take(
        self, foundation: Foundation, lease: Lease, replaces: int, deadline: float
    ) -> Term | None:
        """The transaction that begins a leadership, sent until its outcome is definite."""
        keys = self._keys
        epoch = Position.decode(foundation.commit).epoch + 1
        commit = Position.first(epoch).encode()
        compares = [
            modified_at(keys.leader, replaces),
            value_is(keys.commit, foundation.commit),
            value_is(keys.incarnation, foundation.incarnation),
        ]
        then = [put(keys.leader, self._value, lease.id), put(keys.commit, commit)]
        while (left := deadline - self._clock()) > 0:
            try:
                result = await self._client.txn(
                    compares, then, [get(keys.leader)], timeout=min(left, _ATTEMPT_TIMEOUT)
                )
            except EtcdLeaseNotFound:
                return None
            except (EtcdUnavailable, EtcdUnknownOutcome):
                await asyncio.sleep(_PAUSE)
                continue
            if result.succeeded:
                return Term(epoch, result.revision, foundation.incarnation, commit)
            found = result.ranges[0]
            # Two candidates may write the same epoch, but never on the same lease.
            if found and found[0].lease == lease.id:
                return Term(epoch, found[0].mod_revision, foundation.incarnation, commit)
            return None
        return None

    async def _give_back(self, lease: Lease) -> None:
        """Revoking also undoes a transaction of ours that is still on its way: its lease is dead then."""
        with contextlib.suppress(EtcdError):
            await self._client.lease_revoke(lease.id, timeout=1.0)

    async def _withdraw(self, granting: asyncio.Task[Lease]) -> None:
        """Give back a lease that may be on its way still."""
        with contextlib.suppress(EtcdError):
            await self._give_back(await granting)

    async def vacancy(self) -> None:
        """Return when nobody leads: a watch gives the hint, a linearizable read the truth."""
        watch = PrefixWatch(self._client, self._keys.leader, resync_interval=self._ttl)
        async with contextlib.aclosing(watch.changes()) as changes:
            async for change in changes:
                if isinstance(change, Snapshot):
                    vacant = not change.kvs
                else:
                    deleted = any(event.value is None for event in change.events)
                    vacant = deleted and await self.current() is None
                if vacant:
                    return

    async def overdue(self) -> CurrentLeader:
        """Return the leader once its lease is so near its end that it has stopped, if it runs at all.

        It counts from before its last renewal, and stops a margin before the end (`Leadership`). etcd removes
        the key up to a second later than that, and up to half a second after the lease's end.
        """
        leader: CurrentLeader | None = None
        suspect: CurrentLeader | None = None
        known_until = 0.0
        while True:
            left = -1
            with contextlib.suppress(EtcdError):
                if leader is None or suspect is not None or self._clock() >= known_until:
                    leader, known_until = await self.current(), self._clock() + _KNOWN_SECONDS
                left = await self._client.lease_time_to_live(leader.lease) if leader is not None else -1
            if leader is None or left != 0:
                leader, suspect = leader if left > 0 else None, None
                await asyncio.sleep(max(_LEFT_PAUSE, left - 1))
            elif leader == suspect:
                return leader
            else:
                # Less than a second is left: by now, and after this, less than the margin.
                suspect = leader
                await asyncio.sleep(max(_LEFT_PAUSE, 1 - margin_of(self._ttl)))


def _leader(kv: KeyValue | None) -> CurrentLeader | None:
    return None if kv is None else CurrentLeader(kv.value, kv.mod_revision, kv.lease)
