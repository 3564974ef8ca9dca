"""Was a worker declared lost before that is allowed?

Reads etcd's own history as it grows: when leaderships began, whose `live` went and came, what registrations
say. Five rules: a grace for every new leadership, the hold of a planned restart, the pause and then the pace
of a storm, and that nothing is concluded while all are gone. Each errs towards silence only: a leader hears
of things after they are stored, and what it decides is stored later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tenure_core.states import WorkerVerdict
from tenure_core.timing import FOREVER, NEVER
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.position import Position
from tenure_scheduler.domain.config import CoreConfig
from tenure_state.v1.worker_pb2 import WorkerRegistration
from tests.simulation.etcd_model import Store
from tests.simulation.world import START_UTC, World

SERVING: Final = (WorkerVerdict.ACTIVE, WorkerVerdict.DRAINING)
CLOCKS_DIFFER: Final = 0.5
"""Seconds by which the wall clocks of two machines differ at most, as long as nobody sets one."""
NOTICED: Final = 5.0
"""Seconds within which a leader has surely noticed that a `live` is gone."""
_INSTANT: Final = 0.001
"""What a sum of floating-point times may be short of, in seconds."""


@dataclass
class _Reign:
    """One leadership, as far as the store shows it."""

    began: float
    connects: dict[str, int]
    """Worker → its connect counter when the leadership began: a higher one has said Hello to this leader."""
    none_live: bool
    """All of two or more workers were gone when it began, and none has been live since."""
    settled: bool = False
    """It has committed something: whatever goes from now on goes before its eyes."""
    gone: dict[str, float] = field(default_factory=dict)
    """Worker → when its `live` went before the eyes of this leadership."""
    went: deque[float] = field(default_factory=deque)
    """When any `live` went before its eyes, within the last window."""
    storm_from: float = NEVER
    """When more of them had gone within one window than it believes, for the first time."""
    losses: deque[float] = field(default_factory=deque)
    """When `live` went of those that it declared lost, within the last window."""
    slow_from: float = FOREVER
    """Since when it knows for certain that this is a storm; never: it may not know."""
    last_loss: float = NEVER
    """When it declared one lost in that storm."""


class Declared:
    """The losses of one cluster."""

    def __init__(self, keys: Keys, world: World, config: CoreConfig) -> None:
        self.violations: list[str] = []
        self.clocks_jumped = False
        """Somebody set a wall clock: until when a hold lasts cannot be told."""
        self.count = 0
        """Losses that were declared."""
        self._keys = keys
        self._world = world
        self._config = config
        self._registered: dict[str, Any] = {}
        self._live: set[str] = set()
        self._reign: _Reign | None = None

    def follow(self, store: Store) -> None:
        """Look at every change from now on."""
        store.on_change.append(self.changed)

    def restored(self, store: Store) -> None:
        """Another store has taken the place of the present one; whoever leads next begins anew."""
        self._registered.clear()
        self._live.clear()
        self._reign = None
        for key in store.order:
            found = store.current(key)
            if found is not None and key.startswith(self._keys.workers):
                self._worker(key, found.value)

    def is_held(self, name: str) -> bool:
        """Whether a hold of this worker is committed."""
        registered = self._registered.get(name)
        return registered is not None and bool(registered.hold_until_ns)

    def changed(self, revision: int, events: Iterable[Any]) -> None:
        """Take in one revision: first who leads and lives, then what is said of workers."""
        told = []
        elected = False
        for event in events:
            key, value = event.kv.key, event.kv.value
            if key == self._keys.leader:
                elected = bool(value)
                self._reign = None
            elif key == self._keys.commit and self._reign is not None:
                self._reign.settled = Position.decode(value).sequence > 0
            elif key.startswith(self._keys.workers):
                told.append((key, value))
        for key, value in sorted(told, key=lambda each: not each[0].endswith(b"/live")):
            self._worker(key, value)
        if elected:
            self._reign = self._begun()

    def _begun(self) -> _Reign:
        serving = {name for name, each in self._registered.items() if each.verdict in SERVING}
        connects = {name: each.connect for name, each in self._registered.items()}
        none_live = len(serving) >= 2 and not serving & self._live
        return _Reign(self._world.now, connects, none_live)

    def _worker(self, key: bytes, value: bytes) -> None:
        name, _, kind = key[len(self._keys.workers) :].decode().rpartition("/")
        if kind == "live":
            self._lives(name, bool(value))
        elif kind == "reg":
            before = self._registered.pop(name, None)
            if value:
                self._registered[name] = after = WorkerRegistration.FromString(value)
                if before is not None and after.connect < before.connect and self._reign is not None:
                    # It lost its state, counts anew, and has said Hello to this leader.
                    self._reign.connects.pop(name, None)
                if before is not None and before.verdict in SERVING and after.verdict == WorkerVerdict.LOST:
                    self._lost(name, before, after)

    def _lives(self, name: str, lives: bool) -> None:
        reign = self._reign
        if lives:
            self._live.add(name)
            if reign is not None:
                reign.none_live = False
                reign.gone.pop(name, None)
                self._calm(reign)
        else:
            self._live.discard(name)
            if reign is not None and reign.settled:
                self._went(name, reign)

    def _went(self, name: str, reign: _Reign) -> None:
        now, config = self._world.now, self._config
        reign.gone[name] = now
        reign.went.append(now)
        while reign.went[0] < now - config.storm_window:
            reign.went.popleft()
        if len(reign.went) > config.storm_floor and reign.storm_from == NEVER:
            reign.storm_from = now
        since = now - config.storm_window + NOTICED
        noticed = sum(when > since for when in (*reign.losses, *reign.gone.values()))
        if noticed > self._floor:
            reign.slow_from = min(reign.slow_from, now + NOTICED)

    # --- the rules -----------------------------------------------------------------------------------------

    def _lost(self, name: str, before: Any, after: Any) -> None:
        """A worker is declared lost at this moment."""
        self.count += 1
        reign = self._reign
        if after.connect == before.connect:
            self._held(name, before)
        if reign is None:
            return
        now, grace = self._world.now, self._config.grace
        silent = after.connect <= reign.connects.get(name, after.connect - 1)
        if silent and now < reign.began + grace - _INSTANT:
            self._complain(
                name, f"{now - reign.began:.3f} s after a leadership began, in a grace of {grace} s"
            )
        if reign.none_live:
            self._complain(name, "while all workers are gone and none has come back")
        if name in reign.gone:
            reign.losses.append(reign.gone.pop(name))
            self._in_storm(name, reign)
            self._slowly(name, reign)

    def _held(self, name: str, before: Any) -> None:
        """A hold lasts until its worker says Hello."""
        left = before.hold_until_ns / 1e9 - START_UTC - self._world.now
        if before.hold_until_ns and left > CLOCKS_DIFFER and not self.clocks_jumped:
            self._complain(name, f"{left:.3f} s before the hold that it announced ends")

    def _in_storm(self, name: str, reign: _Reign) -> None:
        """More losses within the window than one believes: nothing is declared for a while.

        The leader noticed each loss between the moment when `live` went and that when it declared it. Thus if
        all of that lies within one window, all were noticed within one. It may have noticed others as well,
        which came back: the storm began when so many had gone, at the earliest.
        """
        config, losses, now, floor = self._config, reign.losses, self._world.now, self._floor
        while losses[0] < now - config.storm_window:
            losses.popleft()
        if len(losses) > floor and now < reign.storm_from + config.storm_pause - _INSTANT:
            self._complain(
                name,
                f"{now - reign.storm_from:.3f} s after more than {floor} had gone in {config.storm_window} s,"
                f" in the pause of {config.storm_pause} s",
            )

    @property
    def _floor(self) -> int:
        """So many losses within one window are believed, whatever a leader takes the fleet's size for."""
        return max(self._config.storm_floor, int(self._config.storm_share * len(self._registered)))

    def _slowly(self, name: str, reign: _Reign) -> None:
        """In a storm one after the other is declared, as long as somebody is missing.

        It is seen when it is stored: that takes less than half the time between two, or a leadership ends.
        """
        now, apart = self._world.now, 1.0 / self._config.storm_rate
        if now > reign.slow_from:
            if now < reign.last_loss + apart / 2:
                since = now - reign.last_loss
                self._complain(name, f"{since:.3f} s after another one in a storm, where {apart} s are due")
            reign.last_loss = now
        self._calm(reign)

    def _calm(self, reign: _Reign) -> None:
        if not reign.gone:
            reign.slow_from, reign.last_loss = FOREVER, NEVER

    def _complain(self, name: str, when: str) -> None:
        self.violations.append(f"{name} was declared lost {when}")
