"""How is a log relay configured?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from tenure_runtime.config_sections import EtcdConfig, LogConfig, TelemetryConfig, TlsConfig
from tenure_runtime.config_values import (
    Address,
    AtLeast,
    Bytes,
    ClusterName,
    MaybeAddress,
    MaybeName,
    Seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

PROGRAM: Final = "tenure-log-relay"
PREFIX: Final = "TENURE_LOG_RELAY_"
MIB: Final = 1 << 20
GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """How much is kept, and how it is written."""

    segment: Annotated[Bytes, AtLeast(MIB)] = 64 * MIB
    """A segment of this size is sealed and a new one begun."""

    hot: Annotated[Bytes, AtLeast(MIB)] = 48 * MIB
    """Memory for what came last, from which live readers are served."""

    pending: Annotated[Bytes, AtLeast(MIB)] = 24 * MIB
    """Bytes that may wait for the disk before agents have to wait."""

    retain: Annotated[Bytes, AtLeast(MIB)] = 20 * GIB
    """Total size above which the oldest segments are deleted."""

    retain_for: Annotated[Seconds, AtLeast(60.0)] = 604_800.0
    """Age at which a segment is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRelayConfig:
    """The log relay: stores the output of tasks and serves it, live and afterwards."""

    cluster: ClusterName = "default"
    """Name of the cluster: the keys in etcd lie below /tenure/<cluster>/."""

    listen: Address = "127.0.0.1:7430"
    """Address to serve on. Other than loopback needs TLS, or insecure."""

    advertise_address: MaybeAddress = ""
    """Address under which agents, clients and other relays reach this one; empty: where it listens."""

    relay: MaybeName = ""
    """Name of this relay, unique in the cluster; empty: made once and kept in the data directory."""

    schedulers: tuple[Address, ...] = ("127.0.0.1:7420",)
    """Addresses of the schedulers, which say how tasks ended."""

    data_dir: Path = Path("/var/lib/tenure/log-relay")
    """Directory for the segments; it belongs to one relay."""

    insecure: bool = False
    """Serve without TLS on any address. Whoever reaches the port can then read every log."""

    ttl: Annotated[Seconds, AtLeast(2.0)] = 5.0
    """Lifetime of this relay's registration: a silent relay gets no new attempts this long after."""

    shutdown_grace: Annotated[Seconds, AtLeast(0.0)] = 2.0
    """How long running calls may take to end after SIGTERM."""

    storage: StorageConfig = field(default_factory=StorageConfig)
    etcd: EtcdConfig = field(default_factory=EtcdConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)

    def problems(self) -> Iterable[tuple[str, str]]:
        """What cannot be a part of a key, nobody to ask."""
        if not self.cluster or "/" in self.cluster:
            yield "cluster", f"is {self.cluster!r}, not a name without slashes"
        if not self.schedulers:
            yield "schedulers", "names no scheduler"
