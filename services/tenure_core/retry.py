"""When does a task get another attempt, and after which delay?

Failures of the program and losses of the infrastructure have separate budgets: a task on a bad node does
not use up its retries, and a crashing task is not retried because nodes are allowed to fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tenure_core.states import AttemptOutcome
from tenure_core.timing import Duration


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how soon, a failed program is started again."""

    max_failures: int = 0
    """Failed or timed-out attempts that are tried again; 0: the first failure is final."""
    max_losses: int | None = None
    """Counted losses that are tried again before the task fails; None: only quarantine limits them."""
    initial_backoff: Duration = 1.0
    backoff_factor: float = 2.0
    max_backoff: Duration = 300.0
    jitter: float = 0.2
    """Share of the delay that is drawn at random, 0..1."""
    retry_exit_codes: frozenset[int] = frozenset()
    """Exit codes worth a retry; empty: every code. A signal counts as 128 + its number."""

    def allows(self, outcome: AttemptOutcome, exit_code: int | None, failures: int) -> bool:
        """Whether another attempt follows the failure number `failures` (counting this one)."""
        if failures > self.max_failures:
            return False
        if outcome is AttemptOutcome.TIMED_OUT or not self.retry_exit_codes:
            return True
        return exit_code in self.retry_exit_codes

    def delay(self, failures: int, roll: float) -> Duration:
        """Seconds before the attempt after `failures` failures; `roll` in [0, 1) is the random number."""
        steps = min(max(failures - 1, 0), 64)
        delay = min(self.initial_backoff * self.backoff_factor**steps, self.max_backoff)
        return delay * (1.0 - self.jitter * roll)


NO_RETRY: Final = RetryPolicy()


@dataclass(frozen=True, slots=True)
class LossBudget:
    """How many counted losses a task may have before it is held for a person."""

    on_several: int = 3
    """Losses in total, once they fell on two workers or more."""
    on_one: int = 5
    """Losses that all fell on one worker."""

    def exhausted(self, workers: Sequence[str]) -> bool:
        """Whether the counted losses, one worker name each, use up the budget."""
        distinct = len(set(workers))
        return len(workers) >= (self.on_several if distinct >= 2 else self.on_one)


def repeated_delay(times: int) -> Duration:
    """Seconds to wait after the `times`-th attempt in a row that a worker did not start.

    The first is free: the usual cause is a worker that just went away. A worker that keeps refusing must not
    make the scheduler spin.
    """
    return 0.0 if times <= 1 else min(0.5 * 2.0 ** (times - 2), 30.0)
