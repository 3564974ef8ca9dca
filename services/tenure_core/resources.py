"""Does a demand fit into what a worker has left, and which devices does it get?

Four kinds: `cpu_milli`, `memory` (bytes), named counts (licences, slots), and indexed ones (GPUs) of which
a task gets particular indexes. A demand without indexed resources gets the same grant object every time, so
the common case allocates nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Demand:
    """What one attempt needs for itself."""

    cpu_milli: int = 0
    memory: int = 0
    counts: tuple[tuple[str, int], ...] = ()
    """(name, how many) sorted by name."""
    indexed: tuple[tuple[str, int], ...] = ()
    """(name, how many devices) sorted by name."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one attempt was given: its demand, and which devices."""

    demand: Demand
    indexes: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a worker has in all."""

    cpu_milli: int = 0
    memory: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    indexed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Pool:
    """What a worker has left.

    Free amounts fall below zero only when a worker comes back with less capacity than its running attempts
    hold; then nothing fits until they end.
    """

    __slots__ = ("_plain", "capacity", "counts", "cpu_milli", "indexed", "memory")

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.cpu_milli = capacity.cpu_milli
        self.memory = capacity.memory
        self.counts = dict(capacity.counts)
        self.indexed = {name: sorted(indexes) for name, indexes in capacity.indexed.items()}
        self._plain: dict[Demand, Grant] = {}

    def fits(self, demand: Demand) -> bool:
        """Whether `take` would succeed."""
        if demand.cpu_milli > self.cpu_milli or demand.memory > self.memory:
            return False
        if not demand.counts and not demand.indexed:
            return True
        for name, wanted in demand.counts:
            if wanted > self.counts.get(name, 0):
                return False
        return all(wanted <= len(self.indexed.get(name, ())) for name, wanted in demand.indexed)

    def lacking(self, demand: Demand) -> list[str]:
        """What is missing for `demand`, one phrase per resource; empty when it fits."""
        missing = []
        if demand.cpu_milli > self.cpu_milli:
            missing.append(f"cpu: needs {demand.cpu_milli}m, free {self.cpu_milli}m")
        if demand.memory > self.memory:
            missing.append(f"memory: needs {demand.memory} bytes, free {self.memory}")
        for name, wanted in demand.counts:
            if wanted > self.counts.get(name, 0):
                missing.append(f"{name}: needs {wanted}, free {self.counts.get(name, 0)}")
        for name, wanted in demand.indexed:
            free = len(self.indexed.get(name, ()))
            if wanted > free:
                missing.append(f"{name}: needs {wanted} devices, free {free}")
        return missing

    def take(self, demand: Demand) -> Grant:
        """Give `demand` away; the caller has asked `fits` first. Devices go out lowest index first."""
        if not demand.indexed:
            grant = self._plain.get(demand)
            if grant is None:
                grant = self._plain[demand] = Grant(demand)
        else:
            indexes = tuple((name, tuple(self.indexed[name][:wanted])) for name, wanted in demand.indexed)
            grant = Grant(demand, indexes)
        self.take_back(grant)
        return grant

    def take_back(self, grant: Grant) -> None:
        """Book a grant that was made earlier, whether it fits or not: its attempt is running."""
        self._add(grant.demand, -1)
        for name, indexes in grant.indexes:
            free = self.indexed.get(name, [])
            self.indexed[name] = [index for index in free if index not in indexes]

    def give_back(self, grant: Grant) -> None:
        """Return a grant; devices that the worker no longer has are forgotten."""
        self._add(grant.demand, 1)
        for name, indexes in grant.indexes:
            owned = self.capacity.indexed.get(name, ())
            self.indexed[name] = sorted({*self.indexed.get(name, ()), *(i for i in indexes if i in owned)})

    def _add(self, demand: Demand, sign: int) -> None:
        self.cpu_milli += sign * demand.cpu_milli
        self.memory += sign * demand.memory
        for name, amount in demand.counts:
            self.counts[name] = self.counts.get(name, 0) + sign * amount

    def share(self, demand: Demand) -> float:
        """The largest share of any resource that would be in use with `demand` added; 0 when all is free."""
        capacity = self.capacity
        share = 0.0
        if capacity.cpu_milli:
            share = 1.0 - (self.cpu_milli - demand.cpu_milli) / capacity.cpu_milli
        if capacity.memory:
            share = max(share, 1.0 - (self.memory - demand.memory) / capacity.memory)
        return share

    def faults(self, granted: Iterable[Grant]) -> list[str]:
        """How the free amounts disagree with capacity minus `granted`; empty when the books balance."""
        expected = Pool(self.capacity)
        devices: list[tuple[str, int]] = []
        for grant in granted:
            expected.take_back(grant)
            devices += [(name, index) for name, indexes in grant.indexes for index in indexes]
        faults = [f"device {d} granted twice" for d in {d for d in devices if devices.count(d) > 1}]
        mine = (self.cpu_milli, self.memory, {k: v for k, v in self.counts.items() if v}, self.indexed)
        theirs = (
            expected.cpu_milli,
            expected.memory,
            {k: v for k, v in expected.counts.items() if v},
            expected.indexed,
        )
        if mine != theirs:
            faults.append(f"free is {mine}, capacity minus grants is {theirs}")
        return faults

    @property
    def overdrawn(self) -> bool:
        """Whether more is granted than the worker has."""
        return self.cpu_milli < 0 or self.memory < 0 or any(free < 0 for free in self.counts.values())


def fits_empty(capacity: Capacity, demand: Demand) -> bool:
    """Whether a worker with this capacity could ever run such an attempt."""
    return Pool(capacity).fits(demand)
