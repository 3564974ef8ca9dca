"""What do the services need of the leadership that they speak for?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from tenure_core.errors import TenureError
from tenure_scheduler.adapters.callers import Listener
from tenure_scheduler.adapters.housekeeping import Housekeeping
from tenure_scheduler.adapters.public import TaskWriter
from tenure_scheduler.adapters.specs import SpecReader
from tenure_scheduler.adapters.watchers import Watchers
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.events import Event


class Door(Protocol):
    """The way into the core, and out when what was seen is committed."""

    over: asyncio.Future[str]
    blocked: TenureError | None

    def post(self, event: Event) -> None:
        """Hand an event to the core."""

    async def ask(self, event_of: Callable[[int], Event], remaining: float | None) -> Any:
        """Hand in a request and wait for the core's answer."""

    def listen(self, event_of: Callable[[int], Event]) -> Listener:
        """Hand in a request that is answered more than once."""

    def unlisten(self, listener: Listener) -> None:
        """Nobody reads these answers any more."""

    async def settled(self, remaining: float | None = None) -> None:
        """Return when everything that can have been seen up to now is committed."""

    async def proved(self, remaining: float | None = None) -> None:
        """The same, and a commit begun after this call has succeeded: this replica still led then."""

    async def applied(self) -> None:
        """Return when the core has seen everything that was posted up to now."""


class Lead(Protocol):
    """One leadership of this replica."""

    @property
    def n(self) -> int:
        """The incarnation."""

    @property
    def core(self) -> Core:
        """Its memory, to be read."""

    @property
    def shell(self) -> Door:
        """The way into the core."""

    @property
    def watchers(self) -> Watchers:
        """Who watches tasks."""

    @property
    def writer(self) -> TaskWriter:
        """Writes tasks for readers."""

    @property
    def specs(self) -> SpecReader:
        """Reads specs."""

    @property
    def housekeeping(self) -> Housekeeping:
        """Knows whether there is room in etcd."""

    def new_id(self) -> str:
        """A fresh task id."""


class Leader(Protocol):
    """The replica, as the services see it."""

    def leading(self) -> Lead:
        """The leadership; raises NotLeader when there is none."""
