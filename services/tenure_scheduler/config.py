"""How is a scheduler configured?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from tenure_runtime.config_sections import EtcdConfig, LogConfig, StoreConfig, TelemetryConfig, TlsConfig
from tenure_runtime.config_values import (
    Address,
    AtLeast,
    AtMost,
    ClusterName,
    MaybeAddress,
    MaybeName,
    Seconds,
)

PROGRAM: Final = "tenure-scheduler"
PREFIX: Final = "TENURE_SCHEDULER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadershipConfig:
    """Who leads among the replicas."""

    ttl: Annotated[Seconds, AtLeast(2.0)] = 5.0
    """Lifetime of the leader's lease: a leader that falls silent is replaced this long after."""

    usurp_after: Annotated[Seconds, AtLeast(0.1)] = 0.5
    """How long connections to a leader must be refused, after a reset, before a standby takes over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersConfig:
    """When does a worker count as lost?"""

    ttl: Annotated[Seconds, AtLeast(3.0)] = 10.0
    """Lifetime of a worker's lease: the tasks of a worker that falls silent go elsewhere this long after."""

    reattach_grace: Annotated[Seconds, AtLeast(0.1)] = 2.0
    """How long a worker whose connection was reset may take to come back before it counts as lost."""

    start_ack_timeout: Annotated[Seconds, AtLeast(1.0)] = 15.0
    """How long a worker may leave a Start unprocessed before its session is closed."""

    max_attempts: Annotated[int, AtLeast(1), AtMost(500)] = 500
    """Open attempts per worker."""

    storm_share: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 0.25
    """Losing more than this share of the workers within 60 s is a storm: no more losses are declared."""

    storm_pause: Annotated[Seconds, AtLeast(0.0)] = 120.0
    """How long no loss is declared in a storm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksConfig:
    """How tasks are queued and kept."""

    ageing: Annotated[Seconds, AtLeast(0.1)] = 60.0
    """Waiting this long is worth one point of priority."""

    retention: Annotated[Seconds, AtLeast(1.0)] = 86_400.0
    """How long a finished task is kept."""

    retained: Annotated[int, AtLeast(1)] = 100_000
    """How many finished tasks are kept at most, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """The scheduler: one leads, the others stand by; any of them answers every request."""

    cluster: ClusterName = "default"
    """Name of the cluster: the keys in etcd lie below /tenure/<cluster>/."""

    listen: Address = "127.0.0.1:7420"
    """Address to serve on. Other than loopback needs TLS, or insecure."""

    advertise_address: MaybeAddress = ""
    """Address under which replicas, agents and relays reach this one; empty: where it listens."""

    replica: MaybeName = ""
    """Name of this replica, unique in the cluster; empty: host name and port."""

    insecure: bool = False
    """Serve without TLS on any address. Whoever reaches the port can then run commands on every worker."""

    shutdown_grace: Annotated[Seconds, AtLeast(0.0)] = 2.0
    """How long running calls may take to end after SIGTERM."""

    leadership: LeadershipConfig = field(default_factory=LeadershipConfig)
    workers: WorkersConfig = field(default_factory=WorkersConfig)
    tasks: TasksConfig = field(default_factory=TasksConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    etcd: EtcdConfig = field(default_factory=EtcdConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
