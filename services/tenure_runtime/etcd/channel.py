"""How is one etcd endpoint reached?

One channel per endpoint rather than one channel with round robin over all: the client then leaves a member
that hangs at the first deadline, instead of meeting it again in every third call, and any host name will
do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    # etcd closes a connection that pings more often than every 5 s, or that pings with no call open.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    # The first has no effect in current grpcio unless the second is set as well.
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.ping_timeout_ms", 4_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A reply that the client refuses as too large would leave the outcome of a write unknown for ever.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM bytes for talking TLS to etcd."""

    ca: bytes | None = None
    """Certificate authorities to trust; None: those of the system."""
    cert: bytes | None = None
    """Our own certificate chain, when etcd asks for one."""
    key: bytes | None = None
    """The private key of `cert`."""
    server_name: str = ""
    """The name expected in etcd's certificate, when it is not the host of the endpoint."""

    @classmethod
    def from_files(cls, *, ca: str = "", cert: str = "", key: str = "", server_name: str = "") -> Tls:
        """Read the named PEM files; an empty name means none."""
        read = [Path(name).read_bytes() if name else None for name in (ca, cert, key)]
        return cls(ca=read[0], cert=read[1], key=read[2], server_name=server_name)

    def credentials(self) -> grpc.ChannelCredentials:
        """These certificates as gRPC takes them."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.cert)


def open_channel(endpoint: str, tls: Tls | None) -> grpc.aio.Channel:
    """A channel to `host:port`, `[v6]:port`, `http(s)://host:port` or `unix:path`; nothing connects yet."""
    scheme, separator, rest = endpoint.partition("://")
    if separator and scheme not in ("http", "https", "unix"):
        raise ValueError(f"etcd endpoint {endpoint}: the scheme is neither http, https nor unix")
    target = rest.rstrip("/") if scheme in ("http", "https") and separator else endpoint
    if tls is None and scheme == "https":
        tls = Tls()
    if tls is not None and scheme == "http":
        raise ValueError(f"etcd endpoint {endpoint} says http, but TLS is configured: write https")
    if tls is None:
        return grpc.aio.insecure_channel(target, options=OPTIONS)
    options = OPTIONS
    if tls.server_name:
        options = (*OPTIONS, ("grpc.ssl_target_name_override", tls.server_name))
    return grpc.aio.secure_channel(target, tls.credentials(), options=options)
