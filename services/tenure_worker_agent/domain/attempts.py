"""What does the agent know of one attempt?"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from tenure_core.states import AttemptOutcome
from tenure_core.timing import NEVER, Duration, Instant, UtcNs
from tenure_worker_agent.domain.results import Result


class Stage(Enum):
    """How far an attempt is on this node."""

    ORDERED = "ordered"
    """The warden has the order and has not answered yet."""
    RUNNING = "running"
    ENDED = "ended"
    """It has a result that nobody has acknowledged yet."""


class Stopping(NamedTuple):
    """What a Stop asked for."""

    outcome: AttemptOutcome
    reason: str


class Attempt:
    """One attempt that this node holds."""

    __slots__ = (
        "exclusive",
        "fenced",
        "grace",
        "in_outbox",
        "kill_at",
        "pid",
        "result",
        "stage",
        "started_ns",
        "stopping",
        "ticks",
    )

    def __init__(self, stage: Stage, result: Result | None = None, *, in_outbox: bool = False) -> None:
        self.stage = stage
        self.result = result
        self.in_outbox = in_outbox
        """The agent's outbox has the result, not the warden's journal."""
        self.pid = 0
        self.ticks = 0
        self.started_ns: UtcNs = 0
        self.grace: Duration = 0.0
        self.exclusive = False
        self.kill_at: Instant = NEVER
        """For exclusive attempts: when it must be dead."""
        self.stopping: Stopping | None = None
        self.fenced = False
        """It was given away: its result is void."""
