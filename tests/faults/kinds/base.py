"""What is a fault, and on what does it act?"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.keys import Keys
from tenure_state.v1.cluster_pb2 import Leader
from tests.faults.fleet import TTL, FaultFleet

BEYOND_TTL: Final = (TTL + 0.5, TTL + 3.0)
WITHIN_TTL: Final = (0.5, TTL / 2)
ANY: Final = (0.3, TTL + 3.0)
LONG: Final = (TTL + 2.0, TTL + 7.0)
"""Long enough for another worker to start the tasks while the old attempts run on."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What every fault may use."""

    fleet: FaultFleet
    store: EtcdClient
    """Beside the gates: what an operator would use."""
    keys: Keys
    rng: random.Random
    folder: Path
    """For copies of state directories and the like."""
    restored: Callable[[int], Awaitable[None]]
    """To be told of a restore of etcd, and to which revision, before anybody writes again."""
    recorded: Callable[[], int]
    """Up to which revision the history has every record of every task."""

    async def leader(self) -> str:
        """The scheduler that leads; empty when nobody knows."""
        try:
            found = await self.store.get(self.keys.leader, timeout=1.0)
        except EtcdError:
            return ""
        return self.fleet.scheduler_at(Leader.FromString(found.value).address) if found else ""


class Fault(ABC):
    """One fault: choose its targets, inject it, hold it for a while, heal it."""

    hold: tuple[float, float] = ANY
    """Shortest and longest time between `inject` and `heal`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.fleet = scene.fleet
        self.targets: tuple[str, ...] = ()

    @abstractmethod
    async def choose(self, free: Collection[str]) -> Sequence[str]:
        """The parts that it needs for itself, out of those that are free; empty: not now."""

    @abstractmethod
    async def inject(self) -> None:
        """Begin."""

    async def prove(self) -> None:  # noqa: B027  (most kinds cannot miss)
        """Raise AssertionError unless it has really done what its name says; asked just before `heal`."""

    async def heal(self) -> None:  # noqa: B027  (most kinds need none)
        """End it. A part that its supervisor starts again needs nothing."""

    def missing(self) -> str:
        """Why this kind cannot be had here; empty: it can."""
        return ""

    def one_of(self, names: Sequence[str], free: Collection[str]) -> list[str]:
        """One of these parts, if any is free."""
        left = [name for name in names if name in free]
        return [self.scene.rng.choice(left)] if left else []


Make: TypeAlias = Callable[[Scene], Fault]
KINDS: Final[dict[str, Make]] = {}
"""Every kind by its name; filled where the kinds are defined."""


def kind(name: str) -> Callable[[type[Fault]], type[Fault]]:
    """Give a fault its name."""

    def register(fault: type[Fault]) -> type[Fault]:
        KINDS[name] = fault
        return fault

    return register
