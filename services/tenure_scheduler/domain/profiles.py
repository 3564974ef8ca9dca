"""What do tasks that were submitted alike have in common?"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from tenure_core.labels import Constraint, Preference
from tenure_core.resources import Demand
from tenure_core.retry import NO_RETRY, RetryPolicy
from tenure_core.states import OnDisconnect
from tenure_core.timing import Duration

if TYPE_CHECKING:
    from tenure_scheduler.domain.model import Worker


class Shape:
    """What placement looks at; tasks with equal demands share one object, so work is done once per shape."""

    __slots__ = (
        "__weakref__",
        "alone",
        "constraints",
        "demand",
        "kind",
        "preferences",
        "seen_fleet",
        "suits",
        "twin",
    )

    def __init__(
        self,
        kind: str,
        demand: Demand,
        constraints: tuple[Constraint, ...],
        preferences: tuple[Preference, ...],
    ) -> None:
        self.kind = kind
        self.demand = demand
        self.constraints = constraints
        self.preferences = preferences
        # volatile: which workers can take it at all and their fixed part of the score, as of `seen_fleet`
        self.suits: dict[Worker, float] = {}
        self.seen_fleet = -1
        self.alone = False
        """A worker takes one such task at a time: the shape of suspects."""
        self.twin: Shape | None = None

    def of_suspects(self) -> Shape:
        """The same demands by suspects; another shape, so that they wait, park and wake on their own."""
        if self.twin is None:
            self.twin = Shape(self.kind, self.demand, self.constraints, self.preferences)
            self.twin.alone = True
        return self.twin


class Profile:
    """What tasks that were submitted alike have in common; interned, so a task costs one pointer for it."""

    __slots__ = (
        "__weakref__",
        "has_output",
        "namespace",
        "on_disconnect",
        "priority",
        "queue",
        "queue_timeout",
        "retry",
        "shape",
    )

    def __init__(
        self,
        namespace: str,
        queue: str,
        priority: int,
        shape: Shape,
        retry: RetryPolicy,
        on_disconnect: OnDisconnect,
        queue_timeout: Duration,
        has_output: bool,
    ) -> None:
        self.namespace = namespace
        self.queue = queue
        self.priority = priority
        self.shape = shape
        self.retry = retry
        self.on_disconnect = on_disconnect
        self.queue_timeout = queue_timeout
        self.has_output = has_output


class Interner:
    """Gives equal profiles and shapes the same object; entries vanish with their last task."""

    __slots__ = ("_profiles", "_shapes")

    def __init__(self) -> None:
        self._profiles: WeakValueDictionary[tuple[object, ...], Profile] = WeakValueDictionary()
        self._shapes: WeakValueDictionary[tuple[object, ...], Shape] = WeakValueDictionary()

    def shape(
        self,
        kind: str,
        demand: Demand = Demand(),  # noqa: B008
        constraints: tuple[Constraint, ...] = (),
        preferences: tuple[Preference, ...] = (),
    ) -> Shape:
        """The one shape with these contents. `kind`: what the worker must be able to run ("process")."""
        key = (kind, demand, constraints, preferences)
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = Shape(kind, demand, constraints, preferences)
        return found

    def profile(
        self,
        shape: Shape,
        *,
        namespace: str = "default",
        queue: str = "default",
        priority: int = 0,
        retry: RetryPolicy = NO_RETRY,
        on_disconnect: OnDisconnect = OnDisconnect.CONTINUE,
        queue_timeout: Duration = 0.0,
        has_output: bool = True,
    ) -> Profile:
        """The one profile with these contents. `queue_timeout` 0: none; `has_output` False: no log comes."""
        key = (namespace, queue, priority, shape, retry, on_disconnect, queue_timeout, has_output)
        found = self._profiles.get(key)
        if found is None:
            found = self._profiles[key] = Profile(*key)
        return found
