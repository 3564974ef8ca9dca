"""How is each process of a local fleet started, and where does it keep its things?

Below the data folder: `etcd/` (of several members `etcd-1/` and so on), one folder per agent and relay,
`config/` with the file that each service is given, `logs/` with what each process wrote about itself.
"""

from __future__ import annotations

import json
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tenure.local.plan import AGENT, ETCD, RELAY, SCHEDULER, Part, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DEFAULT_SCHEDULER_PORT: Final = 7420
DEFAULT_RELAY_PORT: Final = 7430
_MODULES: Final = {
    SCHEDULER: "tenure_scheduler",
    AGENT: "tenure_worker_agent",
    RELAY: "tenure_log_relay",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of each, and what differs from the services' defaults."""

    schedulers: int = 1
    agents: int = 1
    relays: int = 1
    members: int = 1
    """Of etcd."""
    default_ports: bool = False
    """Listen on 7420 and 7430 where those are free; else every port is a free one."""
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of every scheduler by their names in its configuration file, sections with dots."""
    agent_options: Mapping[str, Any] = field(default_factory=dict)
    relay_options: Mapping[str, Any] = field(default_factory=dict)


def plan(data_dir: Path, etcd: Path, size: Size) -> Plan:
    """The parts of a fleet; writes their configuration files and picks their ports."""
    (data_dir / "config").mkdir(parents=True, exist_ok=True)
    preferred = [DEFAULT_SCHEDULER_PORT] if size.default_ports else []
    preferred_relay = [DEFAULT_RELAY_PORT] if size.default_ports else []
    with ExitStack() as held:
        members = [f"127.0.0.1:{port}" for port in _ports(held, size.members, [])]
        peers = [f"127.0.0.1:{port}" for port in _ports(held, size.members, [])]
        schedulers = [f"127.0.0.1:{port}" for port in _ports(held, size.schedulers, preferred)]
        relays = [f"127.0.0.1:{port}" for port in _ports(held, size.relays, preferred_relay)]
    store = {"etcd.endpoints": members}
    parts = _etcd(data_dir, etcd, members, peers)
    for n, address in enumerate(schedulers, 1):
        options = {"listen": address, "replica": f"scheduler-{n}", **store, **size.scheduler_options}
        parts.append(service(data_dir, SCHEDULER, n, options, address))
    for n, address in enumerate(relays, 1):
        options = {"listen": address, "relay": f"relay-{n}", "schedulers": schedulers, **store}
        parts.append(service(data_dir, RELAY, n, {**options, **size.relay_options}, address))
    for n in range(1, size.agents + 1):
        options = {"name": f"worker-{n}", "schedulers": schedulers, **size.agent_options}
        parts.append(service(data_dir, AGENT, n, options, ""))
    return Plan(str(data_dir), tuple(parts))


def service(data_dir: Path, kind: str, number: int, options: dict[str, Any], address: str) -> Part:
    name = f"worker-{number}" if kind == AGENT else f"{kind}-{number}"
    state = data_dir / name
    if kind != SCHEDULER:
        state.mkdir(parents=True, exist_ok=True)
        options = {"data_dir": str(state), **options}
    config = data_dir / "config" / f"{name}.toml"
    config.write_text(_toml(options))
    argv = (sys.executable, "-m", _MODULES[kind], "--config", str(config))
    return Part(name, kind, argv, state_dir=str(state) if kind == AGENT else "", address=address)


def _etcd(data_dir: Path, program: Path, clients: Sequence[str], peers: Sequence[str]) -> list[Part]:
    """The members with their defaults: fsync is on, as in production."""
    alone = len(clients) == 1
    names = ["etcd"] if alone else [f"etcd-{n}" for n in range(1, len(clients) + 1)]
    cluster = ",".join(f"{name}=http://{peer}" for name, peer in zip(names, peers, strict=True))
    # Alone, etcd still waits out an election before it serves: with its defaults most of a fleet's start.
    hurry = ("--heartbeat-interval=20", "--election-timeout=200") if alone else ()
    return [
        Part(
            name,
            ETCD,
            (
                str(program),
                f"--name={name}",
                f"--data-dir={data_dir / name}",
                f"--listen-client-urls=http://{client}",
                f"--advertise-client-urls=http://{client}",
                f"--listen-peer-urls=http://{peer}",
                f"--initial-advertise-peer-urls=http://{peer}",
                f"--initial-cluster={cluster}",
                *hurry,
                "--logger=zap",
                "--log-level=warn",
            ),
            address=client,
        )
        for name, client, peer in zip(names, clients, peers, strict=True)
    ]


def _ports(held: ExitStack, count: int, preferred: list[int]) -> list[int]:
    """Free ports of the loopback interface; the sockets stay bound until all have been chosen."""
    found = []
    for wanted in [*preferred, *[0] * count][:count]:
        sock = held.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", wanted))
        except OSError:
            sock.bind(("127.0.0.1", 0))
        found.append(sock.getsockname()[1])
    return found


def _toml(options: Mapping[str, Any]) -> str:
    """The options as TOML with dotted keys; JSON's strings, numbers and arrays are TOML's as well."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
