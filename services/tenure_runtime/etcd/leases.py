"""Does this worker's session still live?

A worker's beat may arrive at any replica. The renewal alone proves nothing: it succeeds on a lease whose
`live` key the leader has deleted. So a linearizable read follows it, one for all the beats that wait at
that moment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.ops import get

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.values import Lease

_READS_PER_TXN: Final = 128


class Look(NamedTuple):
    """A key by a linearizable read."""

    created: int
    """Its create revision; 0: it is absent."""
    revision: int
    """Of the store."""


class WorkerLeases:
    """The leases of worker sessions: one per session, never revoked."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._waiting: list[tuple[bytes, asyncio.Future[Look]]] = []
        self._reader: asyncio.Task[None] | None = None

    async def grant(self, ttl: float) -> Lease:
        """A lease for a new session; the key `live` goes on it by a commit."""
        return await self._client.lease_grant(ttl)

    async def verify_alive(
        self, lease: int, live_key: bytes, create_revision: int, *, timeout: float | None = None
    ) -> int | None:
        """Renew the lease and check `live`; the TTL in seconds from the call on, None: the session is over.

        Raises EtcdUnavailable when etcd cannot say.
        """
        ttl = await self._client.lease_keepalive(lease, timeout=timeout)
        if ttl == 0 or await self.created_revision(live_key) != create_revision:
            return None
        return ttl

    async def created_revision(self, key: bytes) -> int:
        """The key's create revision by a linearizable read that begins after this call; 0: it is absent."""
        return (await self.look(key)).created

    async def look(self, key: bytes) -> Look:
        """The same, and at which revision of the store that was so."""
        future: asyncio.Future[Look] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_waiting(), name="live key reads")
        return await future

    async def _read_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_READS_PER_TXN], self._waiting[_READS_PER_TXN:]
            try:
                result = await self._client.txn(
                    (), [get(key, keys_only=True) for key, _ in batch], write=False
                )
            except EtcdError as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), found in zip(batch, result.ranges, strict=True):
                if not future.done():
                    future.set_result(Look(found[0].create_revision if found else 0, result.revision))

    async def close(self) -> None:
        """Give up the reads in flight; their callers are cancelled."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        for _, future in self._waiting:
            future.cancel()
