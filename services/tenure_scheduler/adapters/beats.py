"""Does a worker's session still hold?

Answered by any replica: the lease is renewed, then a linearizable read proves that `live` is there. Which
exclusive attempts may go on is read off what the replica knows of `own` keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tenure_core.errors import Unavailable
from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.leases import WorkerLeases


class Renewed(NamedTuple):
    """The session holds."""

    ttl_ms: int
    exclusive: list[str]


class Beats:
    """Beats of all workers at this replica."""

    def __init__(
        self, leases: WorkerLeases, keys: Keys, timeout: float, exclusive: Callable[[str], list[str]]
    ) -> None:
        self._leases = leases
        self._keys = keys
        self._timeout = timeout
        self._exclusive = exclusive
        """Fences of a worker's attempts that end with its lease."""

    async def beat(self, worker: str, lease: int, live_revision: int) -> Renewed | None:
        """Renew; None: the session is over. Unavailable when etcd cannot say."""
        live_key = self._keys.worker_live(worker)
        try:
            ttl = await self._leases.verify_alive(lease, live_key, live_revision, timeout=self._timeout)
        except EtcdError as error:
            raise Unavailable(f"the lease could not be renewed: {error}", retry_after=0.5) from None
        return None if ttl is None else Renewed(ttl * 1000, self._exclusive(worker))
