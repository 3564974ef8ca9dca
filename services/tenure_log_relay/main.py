"""`tenure-log-relay`: configuration and wiring."""

from __future__ import annotations

import asyncio
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
from tenure_runtime.etcd.configured import open_client
from tenure_runtime.etcd.fitness import check
from tenure_runtime.etcd.high_water import guard
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.registration import Registration
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.rpc.server import Server
from tenure_runtime.rpc.several import Several
from tenure_runtime.rpc.transport import split_address
from tenure_runtime.supervise import Process, run
from tenure_state.v1.cluster_pb2 import Registration as RegistrationValue

if TYPE_CHECKING:
    from collections.abc import Sequence

UNREGISTERED_SECONDS: Final = 3.0
INGEST: Final = ("tenure.dispatch.v1.LogIngestService",)
"""Not healthy while the disk refuses writes; readers are served all the same."""
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
    etcd = open_client(config.etcd)
    process.at_shutdown("close the connection to etcd", etcd.close)
    await check(etcd, config.etcd, warn=False)  # the schedulers warn of one that is not for production
    traces = telemetry.start(config.telemetry, service=PROGRAM, instance=data.relay)
    process.at_shutdown("send traces and metrics", traces.close)
    schedulers = Several(config.schedulers, config.tls)
    process.at_shutdown("close the channels to the schedulers", schedulers.close)
    relay = Relay(data.segments, limits_of(config.storage), schedulers.channel, data.relay, traces)
    await asyncio.to_thread(relay.open)
    relay.start(process)
    server = Server(tls=config.tls, insecure=config.insecure, rules=validator(), observer=traces.observer)
    relay.serve_on(server)
    (port,) = await server.start([config.listen])
    process.at_shutdown("stop serving", lambda: server.stop(grace=config.shutdown_grace / 2))
    address = config.advertise_address or listening_address(config.listen, port)
    value = RegistrationValue(id=data.relay, address=address, version=version("tenure"))
    key = Keys(config.cluster).relay(data.relay)
    registration = Registration(etcd, key, value.SerializeToString(), ttl=config.ttl)
    process.at_shutdown("withdraw the registration", registration.close, timeout=0.5)
    registration.start()
    process.spawn("high-water mark", guard(etcd, Keys(config.cluster), f"log relay {data.relay}"))
    process.spawn("watch the registration", _warned(registration), may_end=True)
    await server.set_serving(True)
    relay.on_takes_output = lambda takes: process.spawn(
        "health", server.set_serving(takes, only=INGEST), may_end=True
    )
    if not relay.takes_output:
        await server.set_serving(False, only=INGEST)
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


def listening_address(listen: str, port: int) -> str:
    """Where others reach what listens on `listen`, with the port that was given for port 0."""
    if listen.startswith(("unix:", "unix-abstract:")):
        return listen
    host, _ = split_address(listen)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    main()
