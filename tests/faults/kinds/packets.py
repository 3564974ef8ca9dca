"""Faults of packets: dropped one or both ways, some of them lost, a narrow link, a cable that is pulled.

Unlike the cuts of `network.py` they starve TCP: what is not acknowledged is sent again, ever more rarely.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tests.faults import packets
from tests.faults.kinds.base import ANY, KINDS, LONG, Fault, Scene, kind
from tests.faults.kinds.network import BACK, BOTH, THERE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LOST_PERCENT: Final = (5, 40)
KILOBITS: Final = (64, 512)
MILLISECONDS: Final = (50, 400)


class OnNetwork(Fault):
    """Acts on a node that has a network of its own."""

    hold = ANY

    def missing(self) -> str:
        return "" if self.fleet.networks.nodes else packets.why_not() or "no node has a network of its own"

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of(list(self.fleet.networks.nodes.values()), free)

    def ports(self, of: str) -> list[int]:
        """Where nodes reach the servers of a kind."""
        fleet = self.fleet
        return fleet.ports_of({"scheduler": fleet.schedulers, "relay": fleet.relays}[of])


class Drop(OnNetwork):
    """No packet passes between a node and the servers of a kind."""

    def __init__(self, scene: Scene, server: str, way: str) -> None:
        super().__init__(scene)
        if server == "scheduler":
            self.hold = LONG
        self._server = server
        self._way = way

    async def inject(self) -> None:
        ports = self.ports(self._server)
        there, back = ports if self._way != BACK else (), ports if self._way != THERE else ()
        await self.fleet.networks.drop(self.targets[0], packets.ruleset(there=there, back=back))

    async def heal(self) -> None:
        await self.fleet.networks.drop(self.targets[0], packets.ruleset())


for _server in ("scheduler", "relay"):
    for _way in (BOTH, THERE, BACK):
        KINDS[f"drop-agent-{_server}{_way}"] = partial(Drop, server=_server, way=_way)


@kind("packets-lost")
class PacketsLost(OnNetwork):
    """Some packets are dropped by chance, in both directions."""

    hold = LONG

    async def inject(self) -> None:
        ports = [*self.ports("scheduler"), *self.ports("relay")]
        percent = self.scene.rng.randint(*LOST_PERCENT)
        await self.fleet.networks.drop(
            self.targets[0], packets.ruleset(there=ports, back=ports, percent=percent)
        )

    async def heal(self) -> None:
        await self.fleet.networks.drop(self.targets[0], packets.ruleset())


@kind("link-narrow")
class LinkNarrow(OnNetwork):
    """Little passes: packets wait in a queue, and are dropped when it is full."""

    hold = LONG

    async def inject(self) -> None:
        rng = self.scene.rng
        await self.fleet.networks.narrow(self.targets[0], rng.randint(*KILOBITS), rng.randint(*MILLISECONDS))

    async def heal(self) -> None:
        await self.fleet.networks.widen(self.targets[0])


@kind("link-down")
class LinkDown(OnNetwork):
    """The interface is down: connecting fails at once, and what is connected falls silent."""

    async def inject(self) -> None:
        await self.fleet.networks.unplug(self.targets[0])

    async def heal(self) -> None:
        await self.fleet.networks.plug(self.targets[0])
