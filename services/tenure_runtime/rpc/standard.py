"""Which services does every server offer besides its own: health, reflection, channelz.

With them grpcurl works with no file at hand, and a load balancer knows when to send nobody any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grpc_channelz.v1 import _async as channelz_aio
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import _async as health_aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

if TYPE_CHECKING:
    from collections.abc import Collection

    import grpc

HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
CHANNELZ: Final = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name


class Standard:
    """The standard services of one server; health starts with NOT_SERVING."""

    def __init__(self) -> None:
        self._health: Any = health_aio.HealthServicer()
        self._names: tuple[str, ...] = ("",)

    async def register(self, server: grpc.aio.Server, names: tuple[str, ...]) -> None:
        """Add the standard services beside those named, before the server starts."""
        self._names = ("", *names)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        channelz_pb2_grpc.add_ChannelzServicer_to_server(channelz_aio.ChannelzServicer(), server)
        listed = (*names, HEALTH, CHANNELZ, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(listed, server)
        await self.set_serving(False)

    async def set_serving(
        self, serving: bool, *, only: Collection[str] = (), but: Collection[str] = ()
    ) -> None:
        """Say SERVING or NOT_SERVING of the whole server, whose name is "", and of each service."""
        status = health_pb2.HealthCheckResponse
        for name in only or (name for name in self._names if name not in but):
            await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    async def close(self) -> None:
        """Say NOT_SERVING for good: watchers of the health learn it before connections close."""
        await self._health.enter_graceful_shutdown()
