"""How do replicas and relays make themselves known?

By one key of their own on a lease of their own. It reappears after any outage of etcd by itself and vanishes
when the process closes it or dies.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Self

from tenure_runtime.etcd.errors import EtcdError, EtcdLeaseNotFound

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.values import Lease

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_REVOKE_TIMEOUT: Final = 2.0


class Registration:
    """One registered key; use as `async with`. `registered` is set while the key is believed to be there."""

    def __init__(self, client: EtcdClient, key: bytes, value: bytes, *, ttl: float = 10.0) -> None:
        self._client = client
        self._key = key
        self._value = value
        self._ttl = ttl
        self._lease: Lease | None = None
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.registered = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to register; returns at once, etcd may be away."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="registration")

    def update(self, value: bytes) -> None:
        """Write another value, as soon as etcd takes it."""
        self._value = value
        self._dirty.set()

    async def close(self) -> None:
        """Stop, and remove the key by revoking the lease."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.registered.clear()
        if self._lease is not None:
            with contextlib.suppress(EtcdError):
                await self._client.lease_revoke(self._lease.id, timeout=_REVOKE_TIMEOUT)
            self._lease = None

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._register()
                pause = _FIRST_PAUSE
                await self._keep()
            except EtcdLeaseNotFound:
                self._forget()
            except EtcdError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _register(self) -> None:
        if self._lease is None:
            self._lease = await self._client.lease_grant(self._ttl)
        self._dirty.clear()
        await self._client.put(self._key, self._value, lease=self._lease.id)
        self.registered.set()

    async def _keep(self) -> None:
        """Renew until the lease is dead or there is something to write."""
        assert self._lease is not None
        while not self._dirty.is_set():
            if await self._client.lease_keepalive(self._lease.id, timeout=self._ttl / 3) == 0:
                return self._forget()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lease.ttl / 3):
                    await self._dirty.wait()
        return None

    def _forget(self) -> None:
        self._lease = None
        self.registered.clear()
