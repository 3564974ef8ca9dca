"""Which server is asked, and which is asked next when it does not answer?

One channel per address, opened when it is first used. Calls stick to one address, which keeps one connection
warm, and move on to the next when it fails; a server that comes back is not preferred, any replica answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import grpc

from tenure.reaching import context_of, obstacle

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from tenure.contexts import Tls

Request = TypeVar("Request", bound="Message")
Response = TypeVar("Response", bound="Message")

MAX_MESSAGE_BYTES: Final = 32 << 20

OPTIONS: Final = (
    # Both timeouts: the first alone has no effect in this grpcio, and a hung peer would block calls for ever.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 64 << 10),
)


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Request, Response]):
    """One method as the client calls it."""

    path: str
    request: type[Request]
    response: type[Response]
    streams: bool = False


class Server:
    """One address with its channel; the multi-callables of a method are made once."""

    def __init__(self, address: str, tls: Tls | None) -> None:
        self.address = address
        self._tls = tls
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Callable[..., Any]] = {}

    def method(self, rpc: Rpc[Request, Response]) -> Callable[..., Any]:
        """What calls `rpc` at this address; opens the channel at the first use."""
        found = self._methods.get(rpc.path)
        if found is None:
            if self._channel is None:
                self._channel = open_channel(self.address, self._tls)
            make = self._channel.unary_stream if rpc.streams else self._channel.unary_unary
            found = self._methods[rpc.path] = make(
                rpc.path,
                request_serializer=rpc.request.SerializeToString,
                response_deserializer=rpc.response.FromString,
            )
        return found

    async def obstacle(self) -> str:
        """Why no connection comes about, in a sentence; empty when nobody listens there."""
        return await obstacle(self.address, self._tls)

    async def close(self) -> None:
        """End the calls that still run and the connection."""
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            await channel.close(None)


class Servers:
    """Several addresses of equal servers, one of which is current."""

    def __init__(self, addresses: tuple[str, ...], tls: Tls | None) -> None:
        self._tls = tls
        self._servers = [Server(address, tls) for address in addresses]
        self._current = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(server.address for server in self._servers)

    @property
    def current(self) -> Server:
        """The server to ask now."""
        return self._servers[self._current]

    def failed(self, server: Server) -> None:
        """Move on, unless another call has moved on from this server already."""
        if server is self.current:
            self._current = (self._current + 1) % len(self._servers)

    def prefer(self, address: str) -> None:
        """Make an address current, a new one as well."""
        for index, server in enumerate(self._servers):
            if server.address == address:
                self._current = index
                return
        self._servers.append(Server(address, self._tls))
        self._current = len(self._servers) - 1

    async def close(self) -> None:
        """Close every channel."""
        for server in self._servers:
            await server.close()


def open_channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    """A channel to one address; BadConfiguration names a certificate file that cannot be used."""
    options: list[tuple[str, Any]] = list(OPTIONS)
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    context_of(tls)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca.read_bytes() if tls.ca else None,
        private_key=tls.key.read_bytes() if tls.key else None,
        certificate_chain=tls.cert.read_bytes() if tls.cert else None,
    )
    return grpc.aio.secure_channel(address, credentials, options=options)
