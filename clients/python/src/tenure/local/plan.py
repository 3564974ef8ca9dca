"""What does a local fleet consist of, as its supervisor is told?

Plain data that travels as JSON from the program that wants a fleet to the supervisor that runs it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ETCD: Final = "etcd"
SCHEDULER: Final = "scheduler"
AGENT: Final = "agent"
RELAY: Final = "relay"
STOP_ORDER: Final = (AGENT, RELAY, SCHEDULER, ETCD)
"""Who stops first: whoever depends on the others, so that each can still say goodbye to what it uses."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the fleet."""

    name: str
    kind: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    """Added to the supervisor's environment."""
    state_dir: str = ""
    """Folder by which processes that left an agent's tree are recognised."""
    address: str = ""
    """Where it listens, host:port; empty for agents."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole fleet."""

    data_dir: str
    parts: tuple[Part, ...]
    stop_seconds: float = 3.0
    """Time that each kind of process has to stop by itself."""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        raw = json.loads(text)
        parts = tuple(Part(**{**part, "argv": tuple(part["argv"])}) for part in raw.pop("parts"))
        return cls(parts=parts, **raw)

    @property
    def logs(self) -> Path:
        """Folder with one log file per part."""
        return Path(self.data_dir) / "logs"

    def of_kind(self, kind: str) -> list[Part]:
        """The parts of one kind, in order."""
        return [part for part in self.parts if part.kind == kind]
