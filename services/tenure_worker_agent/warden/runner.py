"""What happens to attempts between their start and their exit record?"""

from __future__ import annotations

import contextlib
import heapq
import os
import signal
import time
from typing import TYPE_CHECKING, Any, Final

from tenure_worker_agent.warden.attempt import LINGER, Attempt
from tenure_worker_agent.warden.clock import boottime
from tenure_worker_agent.warden.directories import remover
from tenure_worker_agent.warden.output import Output
from tenure_worker_agent.warden.spawn import SpawnError, spawn
from tenure_worker_agent.warden.tree import kill_tree, orphans

if TYPE_CHECKING:
    from tenure_worker_agent.warden.host import Host

SLACK: Final = 0.1
"""Seconds by which an exclusive attempt is killed before its deadline: the kernel's part of the work."""
RETRY: Final = 0.01


class Runner:
    """Every attempt that has a process, or had one until a moment ago."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.output = Output(host, lambda attempt: self.stop(attempt, "output", 0.0))
        self.attempts: dict[str, Attempt] = {}
        self._by_pid: dict[int, Attempt] = {}
        self._ending: list[Attempt] = []
        self._dying: list[Attempt] = []
        self._timers: list[tuple[float, str]] = []
        self._helpers: set[int] = set()
        self._trash: list[str] = []

    def add(self, attempt: Attempt) -> None:
        """Look after a process that was just started, or taken over."""
        self.attempts[attempt.fence] = attempt
        self._by_pid[attempt.pid] = attempt
        self.output.add(attempt)
        order = attempt.order
        if order.run_limit:
            self._wake(attempt.started_boot + order.run_limit, attempt)
        if order.exclusive:
            self._wake(order.exclusive[0], attempt)
            self._wake(order.exclusive[1] - SLACK, attempt)
        if attempt.kill_at:
            self._wake(attempt.kill_at, attempt)

    @property
    def exclusive(self) -> bool:
        """Whether deadlines on CLOCK_BOOTTIME are to be watched closely."""
        return any(attempt.order.exclusive for attempt in self.attempts.values())

    def next_deadline(self) -> float:
        """When the next exclusive attempt must be dead; infinity: none runs."""
        ends = (attempt.order.exclusive[1] for attempt in self.attempts.values() if attempt.order.exclusive)
        return min(ends, default=float("inf"))

    def next_timer(self) -> float:
        """When something is due; infinity: nothing."""
        due = self._timers[0][0] if self._timers else float("inf")
        if self._ending:
            due = min(due, *(attempt.finish_at for attempt in self._ending))
        return min(due, boottime() + RETRY) if self._dying or self._trash else due

    def stop(self, attempt: Attempt, cause: str, grace: float, note: Any = None) -> None:
        """TERM now, KILL after the grace or by the exclusive deadline, whichever is first."""
        if not attempt.runs:
            return
        now = boottime()
        kill_at = now + grace
        if attempt.order.exclusive:
            kill_at = min(kill_at, attempt.order.exclusive[1] - SLACK)
        if attempt.cause:
            attempt.kill_at = min(attempt.kill_at, kill_at)
        else:
            attempt.cause, attempt.stop_note, attempt.kill_at = cause, note, kill_at
            self._signal(attempt, signal.SIGTERM)
        if attempt.kill_at <= now:
            self._kill(attempt)
        else:
            self._wake(attempt.kill_at, attempt)

    def extend(self, fence: str, term_at: float, kill_at: float) -> None:
        """Move an exclusive attempt's deadlines; one that is already being stopped keeps its KILL."""
        attempt = self.attempts.get(fence)
        if attempt is None or not attempt.order.exclusive or kill_at <= attempt.order.exclusive[1]:
            return
        attempt.order.exclusive = (term_at, kill_at)
        self._wake(term_at, attempt)
        self._wake(kill_at - SLACK, attempt)

    def expire(self) -> None:
        """Carry out what is due."""
        now = boottime()
        timers = self._timers
        while timers and timers[0][0] <= now:
            attempt = self.attempts.get(heapq.heappop(timers)[1])
            if attempt is not None and attempt.runs:
                self._check(attempt, now)

    def _check(self, attempt: Attempt, now: float) -> None:
        order = attempt.order
        if order.exclusive and now >= order.exclusive[1] - SLACK:
            attempt.cause = attempt.cause or "deadline"
            self._kill(attempt)
        elif attempt.kill_at and now >= attempt.kill_at:
            self._kill(attempt)
        elif order.exclusive and now >= order.exclusive[0]:
            self.stop(attempt, "deadline", order.grace)
        elif order.run_limit and now >= attempt.started_boot + order.run_limit:
            self.stop(attempt, "timeout", order.grace)

    def _wake(self, when: float, attempt: Attempt) -> None:
        heapq.heappush(self._timers, (when, attempt.fence))

    def _signal(self, attempt: Attempt, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(attempt.pid, number)

    def _kill(self, attempt: Attempt) -> None:
        attempt.killed = True
        self._signal(attempt, signal.SIGKILL)
        self._kill_tree(attempt)
        if attempt.runs:
            self._wake(boottime() + 0.25, attempt)

    def _kill_tree(self, attempt: Attempt) -> None:
        if attempt.leaf is not None:
            self._host.groups.kill(attempt.leaf)
        else:
            kill_tree(attempt.pid, attempt.fence, self._by_pid.keys() | self._helpers)

    def reap(self) -> list[tuple[int, int]]:
        """Take the exits of children; returns (pid, status) of those that are no attempts."""
        others: list[tuple[int, int]] = []
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return others
            if found is None:
                return others
            attempt = self._by_pid.get(found.si_pid)
            if attempt is not None:
                # Before its pid is given back: until then its process group cannot be anybody else's.
                self._clear(attempt)
            status = os.waitpid(found.si_pid, 0)[1]
            if attempt is not None:
                self._exited(attempt, status)
            elif found.si_pid in self._helpers:
                self._helpers.discard(found.si_pid)
            else:
                others.append((found.si_pid, status))

    def _clear(self, attempt: Attempt) -> None:
        """The leader is dead: kill what it left behind."""
        if attempt.leaf is not None:
            if self._host.groups.members(attempt.leaf):
                self._kill_tree(attempt)
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(attempt.pid, signal.SIGKILL)
        if orphans(self._by_pid.keys() | self._helpers):
            self._kill_tree(attempt)

    def _exited(self, attempt: Attempt, status: int) -> None:
        attempt.status = status
        attempt.ended_ns = time.time_ns()
        attempt.finish_at = boottime() + LINGER
        del self._by_pid[attempt.pid]
        self.output.drain(attempt)
        self._ending.append(attempt)

    def settle(self) -> None:
        """Write the exit records of attempts whose output is at its end."""
        if not self._ending:
            return
        now = boottime()
        waiting: list[Attempt] = []
        for attempt in self._ending:
            if attempt.pipes and now < attempt.finish_at:
                waiting.append(attempt)
            else:
                self._conclude(attempt)
        self._ending = waiting

    def settle_now(self) -> None:
        """Write the exit records of all that ended, without waiting for output that is held open."""
        for attempt in self._ending:
            attempt.finish_at = 0.0
        self.settle()

    def _conclude(self, attempt: Attempt) -> None:
        host = self._host
        self.output.abandon(attempt)
        self.output.close_stdin(attempt)
        oom = bool(attempt.leaf and attempt.leaf.limited and host.groups.oom_kills(attempt.leaf))
        record = attempt.ended(attempt.spool.finish(), oom)
        host.tell_exit(record)
        del self.attempts[attempt.fence]
        self._dying.append(attempt)

    def tidy(self) -> None:
        """Give control groups and directories back, after the exits were told: nobody waits for this."""
        still: list[Attempt] = []
        for attempt in self._dying:
            leaf = attempt.leaf
            if leaf is not None and not self._host.groups.give_back(leaf):
                self._host.groups.kill(leaf)
                still.append(attempt)
                continue
            if left := self._host.workplaces.discard(attempt.place, reuse=leaf is not None):
                self._trash.append(left)
        self._dying = still
        if self._trash and not self._helpers:
            self.remove(self._trash)
            self._trash = []

    def remove(self, paths: list[str]) -> None:
        """Remove directory trees by a child process."""
        program = remover()
        if program is None or not paths:
            return
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            for start in range(0, len(paths), 200):
                chosen = paths[start : start + 200]
                self._helpers.add(spawn(program, ["rm", "-rf", "--", *chosen], {}, "/", (null, null, null)))
        except SpawnError:
            pass
        finally:
            os.close(null)

    @property
    def idle(self) -> bool:
        return not self.attempts
