"""What does an operator do who takes etcd back to a backup?

By the book (docs/operations.md): schedulers down, restore, `tenure cluster new-incarnation`, schedulers up;
agents stay. Or carelessly: one scheduler is overlooked, stopped in its tracks, and goes on with what it knew
at any moment of that, at times when all is over. Or none is stopped before somebody notices. What declares
the new incarnation is the product's own function.
"""

from __future__ import annotations

import time
from asyncio import sleep
from typing import TYPE_CHECKING, Final

from tenure_core.errors import FailedPrecondition
from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.new_incarnation import begin_new_incarnation
from tests.simulation.world import Host, Process

if TYPE_CHECKING:
    from tests.simulation.etcd_model import Store
    from tests.simulation.fleet import Fleet
    from tests.simulation.record import Backup

LIFE: Final = (0.5, 12.0)
"""Seconds between the backup and its restore."""


def by_the_book(fleet: Fleet) -> bool:
    """A backup now, and some seconds later the cluster goes back to it; False: not now."""
    return _begin(fleet, _Operator)


def carelessly(fleet: Fleet) -> bool:
    """As `by_the_book`, but one scheduler is overlooked."""
    return _begin(fleet, _Careless)


def under_running_schedulers(fleet: Fleet) -> bool:
    """As `by_the_book`, but the schedulers are stopped only when the new incarnation is refused."""
    return _begin(fleet, _Thoughtless)


def _begin(fleet: Fleet, operator: type[_Operator]) -> bool:
    """Nothing happens while another restore is under way, or before there is a cluster."""
    if fleet.restoring or not fleet.record.n:
        return False
    fleet.restoring = True
    fleet.broken += 1
    operator(fleet).start()
    return True


class _Operator:
    """One restore, from the backup to the start of the schedulers."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._random = fleet.world.random
        self._process = Process(fleet.world, "operator", Host(fleet.world, "operator"))

    def start(self) -> None:
        self._process.start(self._work())

    def _stop_schedulers(self, store: Store) -> None:
        self._fleet.stop_schedulers()

    async def _work(self) -> None:
        fleet = self._fleet
        store, backup = fleet.etcd.store.snapshot(), fleet.record.backup()
        await sleep(self._random.uniform(*LIFE))
        self._stop_schedulers(store)
        await sleep(self._random.uniform(0.0, 2.0))
        self._restore(store, backup)
        await self._turn_to_it()
        await self._declare()
        await sleep(self._random.choice((0.0, 0.5, 5.0)))
        fleet.start_schedulers()
        fleet.restoring = False
        fleet.broken -= 1
        self._process.kill()

    def _restore(self, store: Store, backup: Backup) -> None:
        fleet = self._fleet
        before = fleet.etcd.store
        fleet.etcd.restore(store)
        fleet.record.restored(backup)
        fleet.effects.restored(before)
        fleet.declared.restored(store)
        fleet.users.told.restored(backup.era, backup.revision)

    async def _declare(self) -> None:
        """Repeat it until it is done; whoever leads is stopped, as the refusal says."""
        fleet = self._fleet
        client = fleet.etcd.client(self._process)
        while True:
            try:
                await begin_new_incarnation(client, fleet.record.keys, now=int(time.time()))
            except FailedPrecondition:
                fleet.stop_schedulers()
            except EtcdError:
                await sleep(1.0)
            else:
                return

    async def _turn_to_it(self) -> None:
        """Wait until the operator gets to the new incarnation."""
        await sleep(self._random.choice((0.0, 0.5, 5.0)))


class _Careless(_Operator):
    def _stop_schedulers(self, store: Store) -> None:
        """Overlook one that saw what will be gone: without such a witness nobody can notice."""
        fleet = self._fleet
        witnesses = [
            each
            for each in fleet.schedulers
            if each.process.alive and each.client.high_water.mark > store.revision
        ]
        overlooked = self._random.choice(witnesses) if witnesses else None
        fleet.stop_schedulers(but=overlooked)
        if overlooked is not None:
            gave_up = len(fleet.gave_up)

            def silenced() -> None:
                """Killed before it could tell what it saw: the witness is gone, and stays away."""
                if fleet.restoring and len(fleet.gave_up) == gave_up:
                    fleet.keep_down(overlooked.name)

            overlooked.process.on_death.append(silenced)
            overlooked.process.pause()
            fleet.mend_after(0.1, 20.0, overlooked.process.resume)


class _Thoughtless(_Operator):
    def _stop_schedulers(self, store: Store) -> None:
        """They run on."""

    async def _turn_to_it(self) -> None:
        await sleep(15.0)
