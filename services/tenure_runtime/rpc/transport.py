"""How are connections opened and ports bound?

Every channel sets *both* `grpc.keepalive_timeout_ms` and `grpc.http2.ping_timeout_ms`: in this grpcio the
first alone has no effect, and a hung peer would block calls for ever. Our servers allow the pings that our
channels send. Reconnection starts after 100 ms and waits at most 1 s: a replica that comes back is used
again at once.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from tenure_runtime.logging_setup import get_logger
from tenure_runtime.rpc.tls import channel_credentials, server_credentials
from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from tenure_runtime.config_sections import TlsConfig

MIB: Final = 1 << 20
PUBLIC_MESSAGE_BYTES: Final = 4 * MIB
DISPATCH_MESSAGE_BYTES: Final = 32 * MIB
METADATA_BYTES: Final = 64 * 1024

_log = get_logger("transport")

Options = Sequence[tuple[str, int | str]]

CHANNEL_OPTIONS: Final[Options] = (
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES),
    ("grpc.enable_channelz", 1),
)
SERVER_OPTIONS: Final[Options] = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES),
    ("grpc.enable_channelz", 1),
)


def create_channel(
    address: str,
    tls: TlsConfig | None = None,
    *,
    max_message_bytes: int = PUBLIC_MESSAGE_BYTES,
    own_connection: bool = False,
    options: Options = (),
) -> grpc.aio.Channel:
    """A channel to `address` ("host:port", "unix:/path", "ipv4:a:1,b:2"); TLS when `tls` is on.

    `own_connection` keeps this channel off the connection that other channels to the same address share.
    """
    chosen = [*CHANNEL_OPTIONS, *message_limits(max_message_bytes), *options]
    if own_connection:
        chosen.append(("grpc.use_local_subchannel_pool", 1))
    if tls is None or not tls.on:
        return grpc.aio.insecure_channel(address, options=chosen)
    if tls.server_name:
        chosen.append(("grpc.ssl_target_name_override", tls.server_name))
    return grpc.aio.secure_channel(address, channel_credentials(tls), options=chosen)


def message_limits(size: int) -> Options:
    """The options that let messages of `size` bytes through in both directions."""
    return (("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size))


def bind(
    server: grpc.aio.Server, address: str, tls: TlsConfig | None = None, *, insecure: bool = False
) -> int:
    """Listen on `address`; returns the port (of port 0: the one that was given), 0 for a Unix socket.

    CannotStart, with a sentence for the operator: a malformed address, a port in use, a non-loopback address
    without TLS unless `insecure`.
    """
    check_address(address)
    secure = tls is not None and tls.serves
    if not secure and not insecure and not is_local(address):
        raise CannotStart(
            f"refusing to listen on {address} without TLS, since others could reach it: set tls.cert and "
            "tls.key, listen on 127.0.0.1, or say --insecure"
        )
    if not secure and not is_local(address):
        _log.warning("listening without TLS where others can reach it", address=address)
    if obstacle := _obstacle(address):
        raise CannotStart(f"cannot listen on {address}: {obstacle}")
    try:
        if tls is not None and secure:
            return server.add_secure_port(address, server_credentials(tls))
        return server.add_insecure_port(address)
    except RuntimeError:
        raise CannotStart(f"cannot listen on {address}: {_obstacle(address) or 'it was refused'}") from None


def check_address(address: str) -> None:
    """CannotStart unless `address` is "host:port", "[ipv6]:port" or "unix:/path"."""
    if address.startswith(("unix:", "unix-abstract:")):
        return
    host, port = split_address(address)
    if not host or not port.isdigit() or int(port) > 65_535:
        raise CannotStart(f"{address!r} is not an address: write host:port, [ipv6]:port or unix:/path")


def split_address(address: str) -> tuple[str, str]:
    """Host and port of "host:port", the host without the brackets of IPv6; empty where one is missing."""
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return ("" if ":" in host else host), port


def is_local(address: str) -> bool:
    """Whether only processes of this machine can reach the address: loopback or a Unix socket."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _obstacle(address: str) -> str:
    """Why the address cannot be bound, by a try of our own: gRPC hides the system's reason."""
    if address.startswith(("unix:", "unix-abstract:")):
        return "" if Path(address.removeprefix("unix:")).parent.is_dir() else "its folder does not exist"
    host, port = split_address(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "another process listens there already"
        return (error.strerror or str(error)).lower()
    return ""
