"""How is a worker agent, with its warden, configured?"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from tenure_runtime.config_sections import LogConfig, TelemetryConfig, TlsConfig
from tenure_runtime.config_values import Address, AtLeast, AtMost, Bytes, MaybeName, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

PROGRAM: Final = "tenure-worker-agent"
PREFIX: Final = "TENURE_WORKER_AGENT_"
GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityConfig:
    """What this node offers; what is not set is detected."""

    cpu_milli: Annotated[int, AtLeast(0)] = 0
    """Thousandths of a CPU; 0: all that this process may use."""

    memory: Annotated[Bytes, AtLeast(0)] = 0
    """Memory for tasks; 0B: what the machine or the control group has."""

    counts: dict[str, int] = field(default_factory=dict)
    """Named counts, as {licence = 4}."""

    indexed: dict[str, int] = field(default_factory=dict)
    """Things that are handed out by number, as {gpu = 2} for gpu 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolConfig:
    """Where task output waits for the relay."""

    per_attempt: Annotated[Bytes, AtLeast(65_536)] = GIB
    """Bytes of one attempt that may wait unacknowledged."""

    per_node: Annotated[Bytes, AtLeast(65_536)] = 10 * GIB
    """Bytes of all attempts on this node."""

    when_full: Literal["drop_oldest", "block", "fail"] = "drop_oldest"
    """What happens when an attempt reaches its limit and its own log policy does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAgentConfig:
    """The worker agent: runs tasks on one node; its warden owns their processes."""

    name: MaybeName = ""
    """Name of this worker, unique in the cluster; empty: the host name. With TLS the certificate names it."""

    schedulers: tuple[Address, ...] = ("127.0.0.1:7420",)
    """Addresses of the schedulers; one that is up is enough."""

    data_dir: Path = Path("/var/lib/tenure/worker-agent")
    """Directory for journal, spool and the tasks' working directories; it belongs to one agent."""

    labels: dict[str, str] = field(default_factory=dict)
    """Labels that tasks may ask for, as {zone = "a"}."""

    kill_grace: Annotated[Seconds, AtLeast(0.0)] = 5.0
    """Time between SIGTERM and SIGKILL for a task that does not say its own."""

    boot_id_file: Path = Path("/proc/sys/kernel/random/boot_id")
    """File with the id of the node's current boot: another id says that no process from before can run."""

    hold: Annotated[Seconds, AtLeast(0.0), AtMost(60.0)] = 30.0
    """How long the tasks of an agent that was told to end wait for its return; 0s: as for any other. It
    counts for an agent that is stopped alone, as for an upgrade; the warden and the tasks run on."""

    capacity: CapacityConfig = field(default_factory=CapacityConfig)
    spool: SpoolConfig = field(default_factory=SpoolConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)

    def problems(self) -> Iterable[tuple[str, str]]:
        """Nobody to serve, limits that contradict each other."""
        if not self.schedulers:
            yield "schedulers", "names no scheduler"
        if self.spool.per_attempt > self.spool.per_node:
            yield "spool.per_attempt", "is more than spool.per_node"


def worker_name(config: WorkerAgentConfig) -> str:
    """The configured name, else that of the host."""
    return config.name or socket.gethostname()
