"""How does a service call any one of several equal servers?

`Several` stands in for a channel in generated stubs. One server is asked until it cannot help; then the next
one is, from the next call on: whoever calls asks again anyway. Each server keeps a channel of its own, so
that with TLS each is known by its own name, which one channel with several addresses would not allow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import grpc

from tenure_runtime.rpc.transport import create_channel

if TYPE_CHECKING:
    from tenure_runtime.config_sections import TlsConfig


class Several:
    """Channels to servers of which any will do; opened with the first call."""

    def __init__(self, addresses: Sequence[str], tls: TlsConfig | None = None) -> None:
        self._addresses = addresses
        self._tls = tls
        self._channels: dict[str, Any] = {}
        self._current = 0

    @property
    def channel(self) -> grpc.aio.Channel:
        """Itself, by the type that generated stubs want."""
        return cast("grpc.aio.Channel", self)

    def unary_unary(self, method: str, **kinds: Any) -> Callable[..., Any]:
        """What a stub calls for one answer."""

        async def ask(request: Any, **options: Any) -> Any:
            at = self._current
            try:
                return await self._channel(at).unary_unary(method, **kinds)(request, **options)
            except grpc.aio.AioRpcError as error:
                self._failed(at, error)
                raise

        return ask

    def unary_stream(self, method: str, **kinds: Any) -> Callable[..., AsyncGenerator[Any, None]]:
        """What a stub calls for a stream of answers."""

        async def ask(request: Any, **options: Any) -> AsyncGenerator[Any, None]:
            at = self._current
            call = self._channel(at).unary_stream(method, **kinds)(request, **options)
            try:
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as error:
                self._failed(at, error)
                raise
            finally:
                call.cancel()

        return ask

    async def close(self) -> None:
        """End all calls and connections."""
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(channel.close(None) for channel in channels.values()))

    def _channel(self, at: int) -> Any:
        address = self._addresses[at]
        if address not in self._channels:
            self._channels[address] = create_channel(address, self._tls)
        return self._channels[address]

    def _failed(self, at: int, error: grpc.aio.AioRpcError) -> None:
        """Move on, unless another call has done so already."""
        unable = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        if unable and at == self._current:
            self._current = (at + 1) % len(self._addresses)
