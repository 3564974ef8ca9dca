"""`tenure-log-relay`: configuration and wiring."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NoReturn

from tenure_log_relay.adapters.data_dir import DataDir
from tenure_log_relay.adapters.rules import validator
from tenure_log_relay.adapters.storage.log import StorageLimits
from tenure_log_relay.config import PREFIX, PROGRAM, LogRelayConfig, StorageConfig
from tenure_log_relay.shell import Relay
from tenure_runtime import telemetry
from tenure_runtime.allocator import keep_buffers
from tenure_runtime.config import from_command_line
from tenure_runtime.etcd.channel import Tls
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.registration import Registration
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.rpc.server import Server
from tenure_runtime.rpc.transport import create_channel, split_address
from tenure_runtime.supervise import Process, run
from tenure_state.v1.cluster_pb2 import Registration as RegistrationValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenure_runtime.config_sections import EtcdConfig

UNREGISTERED_SECONDS: Final = 3.0
_log = get_logger("relay")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a log relay until a signal."""
    keep_buffers()
    run(
        PROGRAM,
        serve,
        configure=lambda: from_command_line(LogRelayConfig, program=PROGRAM, prefix=PREFIX, argv=argv),
    )


async def serve(process: Process, config: LogRelayConfig) -> None:
    """Open the log, serve it, register."""
    data = DataDir(config.data_dir, config.relay)
    process.at_shutdown("release the data directory", data.close)
    traces = telemetry.start(config.telemetry, service=PROGRAM, instance=data.relay)
    process.at_shutdown("send traces and metrics", traces.close)
    scheduler = create_channel(target_of(config.schedulers), config.tls)
    process.at_shutdown("close the channel to the schedulers", lambda: scheduler.close(None))
    relay = Relay(data.segments, limits_of(config.storage), scheduler, data.relay)
    await asyncio.to_thread(relay.open)
    relay.start(process)
    server = Server(tls=config.tls, insecure=config.insecure, rules=validator(), observer=traces.observer)
    relay.serve_on(server)
    (port,) = await server.start([config.listen])
    process.at_shutdown("stop serving", lambda: server.stop(grace=config.shutdown_grace / 2))
    address = config.advertise_address or listening_address(config.listen, port)
    etcd = etcd_client(config.etcd)
    process.at_shutdown("close the connection to etcd", etcd.close)
    value = RegistrationValue(id=data.relay, address=address, version=version("tenure"))
    key = Keys(config.cluster).relay(data.relay)
    registration = Registration(etcd, key, value.SerializeToString(), ttl=config.ttl)
    process.at_shutdown("withdraw the registration", registration.close, timeout=0.5)
    registration.start()
    process.spawn("watch the registration", _warned(registration), may_end=True)
    await server.set_serving(True)
    await process.ready(f"serving on {address}", relay=data.relay, address=address, port=port)


async def _warned(registration: Registration) -> None:
    """Say once that nobody learns of this relay; it serves what it has all the same."""
    try:
        await asyncio.wait_for(registration.registered.wait(), UNREGISTERED_SECONDS)
    except TimeoutError:
        _log.warning(
            "etcd does not answer: this relay is not registered and gets no new attempts until it is"
        )
        await registration.registered.wait()
        _log.info("registered")


def limits_of(config: StorageConfig) -> StorageLimits:
    """The configured limits, as the log takes them."""
    return StorageLimits(
        segment_bytes=config.segment,
        hot_bytes=config.hot,
        pending_bytes=config.pending,
        retain_bytes=config.retain,
        retain_seconds=config.retain_for,
    )


def etcd_client(config: EtcdConfig) -> EtcdClient:
    """The configured way to etcd."""
    tls = None
    if config.tls.ca or config.tls.cert:
        tls = Tls.from_files(
            ca=str(config.tls.ca or ""),
            cert=str(config.tls.cert or ""),
            key=str(config.tls.key or ""),
            server_name=config.tls.server_name,
        )
    password = config.password_file.read_text().splitlines()[0] if config.password_file else None
    return EtcdClient(
        config.endpoints, tls=tls, user=config.user or None, password=password, timeout=config.timeout
    )


def target_of(addresses: Sequence[str]) -> str:
    """One gRPC target for several addresses: the next one is tried when one is gone."""
    if len(addresses) == 1:
        return addresses[0]
    return "ipv4:" + ",".join(_numeric(address) for address in addresses)


def _numeric(address: str) -> str:
    host, port = split_address(address)
    try:
        return f"{ipaddress.IPv4Address(host)}:{port}"
    except ValueError:
        found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)
        return f"{found[0][4][0]}:{port}"


def listening_address(listen: str, port: int) -> str:
    """Where others reach what listens on `listen`, with the port that was given for port 0."""
    if listen.startswith(("unix:", "unix-abstract:")):
        return listen
    host, _ = split_address(listen)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    main()
