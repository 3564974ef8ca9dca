"""Which numbers does the scheduler's core decide by?"""

from __future__ import annotations

from dataclasses import dataclass, field

from tenure_core.retry import LossBudget
from tenure_core.timing import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreConfig:
    """Limits and times of the core; the defaults are those of the design."""

    worker_ttl: Duration = 10.0
    """Lifetime of a worker's lease."""
    margin: Duration = 2.0
    """How long before the end of its lease a worker stops believing in it."""
    reattach_grace: Duration = 2.0
    """How long a worker whose connection was reset may take to come back before it counts as lost."""
    start_ack_timeout: Duration = 15.0
    """How long a Start may stay unprocessed before the stream is closed."""
    max_attempts_per_worker: int = 500
    """Open attempts per worker session: one `own` key each on the worker's lease."""
    avoid_worker_for: Duration = 30.0
    """How long a task avoids the worker that lost it or did not start it, if another one fits."""
    loss_budget: LossBudget = field(default_factory=LossBudget)
    """Counted losses after which a task is quarantined."""
    probation: Duration = 60.0
    """How long a suspect keeps other suspects off the worker that runs it."""
    ageing: Duration = 60.0
    """Waiting this long is worth one point of priority."""
    running_delay: Duration = 0.1
    """A started attempt's RUNNING is written after this time, unless the attempt ended meanwhile."""
    log_unknown_after: Duration = 30.0
    """How long the log of a lost attempt may stay open."""
    storm_window: Duration = 60.0
    storm_share: float = 0.25
    """Losses within the window above this share of the workers live before it (and above `storm_floor`)."""
    storm_floor: int = 3
    storm_pause: Duration = 120.0
    """No losses are declared for this long once a storm is seen."""
    storm_rate: float = 0.1
    """Workers per second that are declared lost after the pause."""
    hold_limit: Duration = 60.0
    """Longest hold that a worker may announce for its restart."""
    retention: Duration = 86_400.0
    """How long a finished task is kept."""
    retained_tasks: int = 100_000
    """How many finished tasks are kept."""
    retention_batch: int = 2_000
    """Tasks removed per run of the retention."""
    history: int = 20
    """Attempts kept in a task's record."""

    @property
    def grace(self) -> Duration:
        """How long after the start of a leadership, or after an own stall, nothing is declared lost."""
        return self.worker_ttl + self.margin
