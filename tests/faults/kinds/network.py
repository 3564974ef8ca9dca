"""Faults of the network: cuts of one or both ways between every pair of kinds, and slow links."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.faults.fleet import ME
from tests.faults.kinds.base import ANY, KINDS, LONG, Fault, Scene

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tests.faults.gates import Way

AGENTS_FROM_SCHEDULERS: Final = ("agent", "scheduler")
PAIRS: Final = (
    AGENTS_FROM_SCHEDULERS,
    ("agent", "relay"),
    ("scheduler", "etcd"),
    ("scheduler", "scheduler"),
    ("etcd", "etcd"),
    ("relay", "etcd"),
    ("relay", "scheduler"),
    ("user", "scheduler"),
    ("user", "relay"),
)
BOTH, THERE, BACK = "", "-there", "-back"
SLOWEST: Final = 0.3
WHOLE_SHARE: Final = 0.6


class Network(Fault):
    """Acts on the ways between one part of a kind and one or all others of another kind."""

    hold = ANY

    def __init__(self, scene: Scene, pair: tuple[str, str]) -> None:
        super().__init__(scene)
        self.pair = pair
        self.whole = scene.rng.random() < WHOLE_SHARE
        """Act on the ways to all others, not to one of them."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of(self._names(self.pair[0]), free)

    def _names(self, of: str) -> list[str]:
        fleet = self.fleet
        return {
            "agent": fleet.agents,
            "scheduler": fleet.schedulers,
            "relay": fleet.relays,
            "etcd": fleet.members,
            "user": [ME],
        }[of]

    def ways(self, *, there: bool, back: bool) -> list[Way]:
        """From the target to all others, or to one of them, and the other way round."""
        (target,) = self.targets
        others = [name for name in self._names(self.pair[1]) if name != target]
        far = others if self.whole else [self.scene.rng.choice(others)]
        ways = [(target, name) for name in far] if there else []
        return ways + ([(name, target) for name in far] if back else [])


class Cut(Network):
    """Nothing passes; what waited is delivered or lost when it heals."""

    def __init__(self, scene: Scene, pair: tuple[str, str], way: str) -> None:
        super().__init__(scene, pair)
        if pair == AGENTS_FROM_SCHEDULERS:
            self.hold = LONG
        self._way = way
        self._ways: list[Way] = []

    async def inject(self) -> None:
        self._ways = self.ways(there=self._way != BACK, back=self._way != THERE)
        self.fleet.links.cut(self._ways)

    async def heal(self) -> None:
        self.fleet.links.heal(self._ways, reset=self.scene.rng.random() < 0.5)


class Slow(Network):
    """Every chunk takes its time."""

    def __init__(self, scene: Scene, pair: tuple[str, str]) -> None:
        super().__init__(scene, pair)
        self._ways: list[Way] = []

    async def inject(self) -> None:
        self._ways = self.ways(there=True, back=True)
        self.fleet.links.slow(self._ways, self.scene.rng.uniform(0.05, SLOWEST))

    async def heal(self) -> None:
        self.fleet.links.slow(self._ways, 0.0)


for _pair in PAIRS:
    for _way in (BOTH, THERE, BACK):
        KINDS[f"cut-{_pair[0]}-{_pair[1]}{_way}"] = partial(Cut, pair=_pair, way=_way)
    KINDS[f"slow-{_pair[0]}-{_pair[1]}"] = partial(Slow, pair=_pair)
