"""Who decides when which fault happens?

Some lanes work at the same time. Each takes the next kind from a shuffled deck, so that every kind comes as
often as any other, and the parts that it needs for itself, so that no two faults undo each other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenure.local.fleet import FleetError
from tenure_runtime.etcd.errors import EtcdError
from tests.faults.fleet import ME, TTL
from tests.faults.history import OPENING, Recorder, now
from tests.faults.history import Fault as Entry
from tests.faults.kinds.catalog import KINDS
from tests.faults.kinds.network import AGENTS_FROM_SCHEDULERS, BOTH, Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.faults.kinds.base import Fault, Scene

OPENING_HOLD: Final = (3 * TTL, 4 * TTL)
BUSY_SECONDS: Final = 0.1
TRIES: Final = 3
"""So often in a row a kind is tried that has never worked; then the others have their turns."""
MOST_CARDS: Final = 2
"""Of one kind, since a deck is dealt when less than one is left."""
SETTLE: Final = (0.2, 1.0)
"""Between the end of a fault and the next one on the same lane."""
FAILURES: Final = (AssertionError, EtcdError, FleetError, OSError)
"""What a fault raises that could not be injected, proved or healed. Whether the fleet is whole after that is
seen at the end of the run, which waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """When is it enough?"""

    faults: int
    until: float
    """On the history's clock."""
    lanes: int


class Director:
    """Injects and heals faults until it is enough."""

    def __init__(
        self, scene: Scene, recorder: Recorder, kinds: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        self._scene = scene
        self._recorder = recorder
        self._kinds = list(kinds)
        self._tell = tell
        self._deck: deque[str] = deque()
        self._taken: set[str] = set()
        self._begun = 0
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    @property
    def healed(self) -> int:
        """How many faults were injected and healed as planned, without the opening."""
        return self._done.total() - self._done[OPENING]

    async def run(self, bounds: Bounds) -> None:
        """Return when enough faults have been healed or the time is over."""
        async with asyncio.TaskGroup() as lanes:
            for _ in range(bounds.lanes):
                lanes.create_task(self._lane(bounds))

    async def open(self) -> None:
        """Cut half of the agents off while nothing else happens: their tasks start elsewhere, stale here.

        Later it is left to chance whether a task outlives its loss; a short run needs the certainty.
        """
        agents = self._scene.fleet.agents
        cuts = [Cut(self._scene, AGENTS_FROM_SCHEDULERS, BOTH) for _ in agents[: len(agents) // 2]]
        async with asyncio.TaskGroup() as group:
            for cut, name in zip(cuts, agents, strict=False):
                cut.targets, cut.whole, cut.hold = (name,), True, OPENING_HOLD
                group.create_task(self._carry_out(OPENING, cut))

    async def _lane(self, bounds: Bounds) -> None:
        while self._begun < bounds.faults and now() < bounds.until:
            self._begun += 1
            name, fault = await self._next()
            try:
                await self._carry_out(name, fault)
            finally:
                self._taken -= set(fault.targets)
            await asyncio.sleep(self._scene.rng.uniform(*SETTLE))

    async def _next(self) -> tuple[str, Fault]:
        """The first kind of the deck whose targets are free now; the others keep their places."""
        while True:
            if len(self._deck) < len(self._kinds):
                self._deck.extend(self._scene.rng.sample(self._kinds, len(self._kinds)))
            for name in self._overdue() or list(self._deck):
                fault = KINDS[name](self._scene)
                fault.targets = tuple(await fault.choose(self._free()))
                # The choice may have waited for etcd, and another lane was faster.
                if fault.targets and not self._taken & set(fault.targets):
                    self._taken |= set(fault.targets)
                    with contextlib.suppress(ValueError):
                        self._deck.remove(name)
                    return name, fault
            await asyncio.sleep(BUSY_SECONDS)

    def _overdue(self) -> list[str]:
        """Kinds that were passed over for a whole deck, because they need many parts at once.

        The lanes wait for them until these parts are free: else they would wait for ever.
        """
        return [name for name, cards in Counter(self._deck).items() if cards > MOST_CARDS]

    def _free(self) -> set[str]:
        return {*self._scene.fleet.names, ME} - self._taken

    async def _carry_out(self, name: str, fault: Fault) -> None:
        began, error = now(), ""
        self._tell(f"{name} on {', '.join(fault.targets)}")
        try:
            try:
                await fault.inject()
                await asyncio.sleep(self._scene.rng.uniform(*fault.hold))
                await fault.prove()
            finally:
                await fault.heal()
        except FAILURES as failure:
            # A neighbour's fault may have been in the way: it is counted apart, and comes again soon.
            error = str(failure).partition("\n")[0] or type(failure).__name__
            self._again(name)
        self._done.update([] if error else [name])
        self._recorder.add(Entry(at=began, until=now(), kind=name, targets=fault.targets, error=error))

    def _again(self, name: str) -> None:
        """Let a kind that has only failed so far have the next turn: a run must not end without it."""
        self._failed[name] += 1
        if name in self._kinds and not self._done[name] and self._failed[name] < TRIES:
            self._deck.appendleft(name)
