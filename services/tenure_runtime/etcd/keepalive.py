"""How does a client renew thousands of leases over one stream?

etcd answers the requests of one stream in their order, so an answer belongs to the oldest request that waits.
The order is checked by the lease's id; a stream that breaks it, ends, or does not answer in time is dropped
with everything that waits on it, and the next renewal opens another one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import grpc.aio

from tenure_runtime.etcd.endpoints import EOF
from tenure_runtime.etcd.errors import EtcdError, EtcdTokenExpired, EtcdUnavailable
from tenure_runtime.etcd.stubs import Stubs, rpc

if TYPE_CHECKING:
    from tenure_runtime.etcd.endpoints import Endpoints, Stream

_CLOSE_TIMEOUT: Final = 1.0


def _method(stubs: Stubs) -> Any:
    return stubs.lease.LeaseKeepAlive


class _Session:
    """One open stream: what waits to be written, and who waits for an answer."""

    def __init__(self, endpoints: Endpoints, stream: Stream) -> None:
        self._endpoints = endpoints
        self._stream = stream
        self._unsent: deque[int] = deque()
        self._waiting: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._wake = asyncio.Event()
        self.broken: EtcdError | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = (
            asyncio.create_task(self._write(), name="etcd keepalive writer"),
            asyncio.create_task(self._read(), name="etcd keepalive reader"),
        )

    def renew(self, lease: int) -> asyncio.Future[int]:
        """Send a renewal; the future gives the TTL."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((lease, future))
        self._unsent.append(lease)
        self._wake.set()
        return future

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._unsent:
                    await self._stream.call.write(rpc.LeaseKeepAliveRequest(ID=self._unsent.popleft()))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # The reader gets the status of the stream and tells it.

    async def _read(self) -> None:
        try:
            # Not `async for`: the generator that grpc makes for it would keep the call alive.
            while (response := await self._stream.call.read()) is not EOF:
                lease, future = self._waiting[0]
                if lease != response.ID:
                    return self.drop(
                        EtcdUnavailable("etcd answered another lease than the one that was renewed")
                    )
                self._waiting.popleft()
                if not future.done():
                    future.set_result(response.TTL)
            self.drop(EtcdUnavailable("etcd ended the stream of lease renewals"))
        except grpc.aio.AioRpcError as error:
            self.drop(self._endpoints.stream_failed(self._stream, error))

    def drop(self, reason: EtcdError) -> None:
        """End the stream; everybody who waits gets the reason."""
        if self.broken is not None:
            return
        self.broken = reason
        self._stream.call.cancel()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(reason)

    def hung(self) -> None:
        """End the stream because it did not answer, and leave its member."""
        self._endpoints.leave(self._stream.link)
        self.drop(EtcdUnavailable(f"etcd at {self._stream.link.endpoint} does not answer lease renewals"))

    async def close(self) -> None:
        """End the stream and both tasks."""
        self.drop(EtcdUnavailable("the etcd client is closed"))
        if not self._tasks:
            return
        writer, reader = self._tasks
        writer.cancel()
        # The reader ends with its stream: cancelled, it would leave gRPC with a read that nobody awaits.
        await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT)
        reader.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = ()  # A cancelled task keeps its frames, which keep this, which keeps the connection.


class KeepAlives:
    """The renewals of one client, all over one stream at a time."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._session: _Session | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def renew(self, lease: int, timeout: float) -> int:
        """Renew once and return the TTL in seconds; 0: the lease is dead. Raises EtcdUnavailable."""
        try:
            async with asyncio.timeout(timeout):
                try:
                    return await (await self._open()).renew(lease)
                except EtcdTokenExpired:
                    return await (await self._open()).renew(lease)
        except TimeoutError:
            if self._session is not None:
                self._session.hung()
            raise EtcdUnavailable(f"etcd did not answer a lease renewal within {timeout:g} s") from None

    async def _open(self) -> _Session:
        async with self._opening:
            if self._closed:
                raise EtcdUnavailable("the etcd client is closed")
            if self._session is None or self._session.broken:
                if self._session is not None:
                    await self._session.close()
                self._session = _Session(self._endpoints, await self._endpoints.stream(_method))
            return self._session

    async def close(self) -> None:
        """End the stream; renewals that wait get EtcdUnavailable."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None
