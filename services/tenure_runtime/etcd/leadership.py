"""Until when may the leader act, and when has it stopped being the leader?

It counts its lease from before each renewal was sent, on the clock that runs while the machine sleeps, and
stops a margin earlier: it has stopped when etcd gives the leadership away. Once over it stays over, however
late a renewal is answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from tenure_runtime.etcd.errors import EtcdError

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.commit_request import Term
    from tenure_runtime.etcd.values import Lease

Clock: TypeAlias = Callable[[], float]

_RETRY: Final = 0.1
_LEAST_TIMEOUT: Final = 0.5
_REVOKE_TIMEOUT: Final = 2.0


def boottime() -> float:
    """Seconds since the machine started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def margin_of(ttl: float) -> float:
    """How many seconds before its lease's end a holder stops: max(0.5 s, TTL / 5)."""
    return max(0.5, ttl / 5)


class Leadership:
    """One leadership, from the transaction that began it until `lost`. Renews itself until then."""

    def __init__(
        self, client: EtcdClient, lease: Lease, term: Term, sent_at: float, *, margin: float, clock: Clock
    ) -> None:
        self._client = client
        self._clock = clock
        self._margin = margin
        self._deadline = sent_at + lease.ttl - margin
        self._term = term
        self.lease = lease
        self.lost = asyncio.Event()
        """Set once, when the leadership is over."""
        self.reason = ""
        """Why it is over."""
        self._renewing = asyncio.create_task(self._renew(), name="leader lease renewal")

    @property
    def term(self) -> Term:
        """What this leadership's own transaction wrote; `leader_revision` is LF."""
        return self._term

    @property
    def epoch(self) -> int:
        """The number of this leadership, greater than any before it in this incarnation."""
        return self._term.epoch

    @property
    def revision(self) -> int:
        """LF: the revision at which this leadership began, and the mod revision of the leader key."""
        return self._term.leader_revision

    @property
    def deadline(self) -> float:
        """The instant on the clock at which it must stop, as far as it is renewed now."""
        return self._deadline

    def remaining(self) -> float:
        """Seconds for which commits may still be issued; 0: it is over."""
        if self.lost.is_set():
            return 0.0
        if self._client.high_water.went_back.is_set():
            self.lose("the store went back to an earlier state")
            return 0.0
        left = self._deadline - self._clock()
        if left <= 0:
            self.lose("its lease was not renewed in time")
            return 0.0
        return left

    def is_current(self) -> bool:
        """May this leadership still issue commits?"""
        return self.remaining() > 0

    def lose(self, reason: str) -> None:
        """End it, because of what somebody else has seen (a Deposed commit, another leader); idempotent."""
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()

    async def resign(self) -> None:
        """End it and revoke its own lease, so that a standby need not wait for the lease to expire."""
        self.lose("it resigned")
        await self.close()
        try:
            await self._client.lease_revoke(self.lease.id, timeout=_REVOKE_TIMEOUT)
        except EtcdError:
            pass  # It expires by itself.

    async def close(self) -> None:
        """End it without a word to etcd: the lease expires by itself."""
        self.lose("it was closed")
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)

    async def _renew(self) -> None:
        interval = self.lease.ttl / 3
        while (left := self.remaining()) > 0:
            sent_at, pause = self._clock(), interval
            try:
                # Two attempts fit into an interval, so that a member that hangs costs one of several.
                timeout = min(max(interval / 2, _LEAST_TIMEOUT), left)
                ttl = await self._client.lease_keepalive(self.lease.id, timeout=timeout)
            except EtcdError:
                pause = _RETRY
            else:
                if ttl == 0:
                    return self.lose("its lease is gone")
                if self.remaining() > 0:
                    self._deadline = max(self._deadline, sent_at + ttl - self._margin)
            await asyncio.sleep(min(pause, self.remaining()))
        return None
