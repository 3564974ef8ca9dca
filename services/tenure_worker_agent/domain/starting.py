"""May this attempt be exec'd, and how?

Only with a live deadline, for the present connect, for a fence that was never begun here (invariant I4). An
exclusive attempt waits for the answer to a beat that is due: else it might begin in the last part of its
lease, where it is to be stopped, and each attempt that is begun and stopped there is a counted loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure_core.states import AttemptOutcome
from tenure_worker_agent.domain.attempts import Attempt, Stage
from tenure_worker_agent.domain.commands import NotStarted, OrderProcess, PlaceLogs
from tenure_worker_agent.domain.plans import NOTHING_TO_RUN, Impossible, RunProcess, Start
from tenure_worker_agent.domain.results import NO_OUTPUT, Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tenure_worker_agent.domain.holdings import Holdings
    from tenure_worker_agent.domain.lease import Lease
    from tenure_worker_agent.domain.turn import Turn


class Starting:
    """The way from a Start to an order."""

    def __init__(self, turn: Turn, lease: Lease, holdings: Holdings) -> None:
        self._turn = turn
        self._lease = lease
        self._holdings = holdings
        self._waiting: dict[str, Start] = {}
        """Starts of the present stream that wait for the answer to a beat."""
        self.closed = ""
        """Why nothing is started here any more; empty: it is."""

    @property
    def waiting(self) -> Iterable[str]:
        """Fences of Starts that are processed and not begun."""
        return self._waiting.keys()

    def take(self, starts: list[Start]) -> None:
        """Starts of the present stream."""
        if self.closed:
            self._decline(start.fence for start in starts)
        elif not self._lease.live or self._waiting:
            for start in starts:
                self._waiting[start.fence] = start
            self.resume()
        else:
            self._launch(starts)

    def resume(self) -> None:
        """A beat was answered."""
        if self._waiting and self._lease.live:
            starts = list(self._waiting.values())
            self._waiting.clear()
            self._launch(starts)

    def withdraw(self, fence: str, reason: str) -> bool:
        """A Stop for a Start that still waits; False when there is none."""
        if self._waiting.pop(fence, None) is None:
            return False
        self._holdings.news[fence] = NotStarted(reason or "stopped before it was started")
        return True

    def close(self, reason: str) -> None:
        """Nothing may begin here any more: what waits or still comes can run elsewhere at once."""
        self.closed = self.closed or reason
        self._decline(self._waiting)
        self._waiting.clear()

    def _decline(self, fences: Iterable[str]) -> None:
        self._holdings.news.update((fence, NotStarted(self.closed)) for fence in fences)

    def discard(self) -> None:
        """The stream ended: its Starts are void."""
        self._waiting.clear()

    def _launch(self, starts: list[Start]) -> None:
        holdings = self._holdings
        known, now = holdings.knows, self._turn.now.utc_ns
        succeeded = Result(AttemptOutcome.SUCCEEDED, started_ns=now, ended_ns=now, log=NO_OUTPUT)
        results: list[tuple[str, Result]] = []
        for start in starts:
            fence, plan, _ = start
            if known(fence):
                holdings.tell_again(fence)
            elif plan is NOTHING_TO_RUN:
                results.append((fence, succeeded))
            elif isinstance(plan, RunProcess):
                self._order(start, plan)
            elif isinstance(plan, Impossible):
                rejected = Result(AttemptOutcome.REJECTED, reason=plan.reason, ended_ns=now, log=NO_OUTPUT)
                results.append((fence, rejected))
        if results:
            holdings.keep(results)

    def _order(self, start: Start, plan: RunProcess) -> None:
        fence, lease = start.fence, self._lease
        if plan.exclusive and not lease.punctual:
            self._waiting[fence] = start
            return
        attempt = Attempt(Stage.ORDERED)
        attempt.grace = plan.grace
        note: dict[str, object] = {"relay": start.relay}
        times, not_after = None, lease.deadline
        if plan.exclusive:
            times = lease.kill_times(plan.grace)
            not_after = times[0]
            attempt.exclusive, attempt.kill_at = True, times[1]
            note.update(exclusive=True, grace=plan.grace)
        if plan.run_limit:
            note["limit"] = plan.run_limit
        self._holdings.add(fence, attempt)
        self._turn.do(PlaceLogs(fence, start.relay, fresh=True))
        self._turn.do(OrderProcess(fence, plan.order, not_after, times, note))
