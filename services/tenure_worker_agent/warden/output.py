"""How does output get from the tasks' pipes to their spools without costing much?

Pipes have an epoll of their own, nested in the warden's. Large blocks are read at once; when only little
came, the pipes rest for two milliseconds, so that a task that writes line by line costs a few hundred wake-
ups a second and not one per line. Control and exits never wait for that.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Final

from tenure_core.frames import BLOCK
from tenure_worker_agent.warden import orders
from tenure_worker_agent.warden.clock import boottime
from tenure_worker_agent.warden.starter import widen

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenure_worker_agent.warden.attempt import Attempt
    from tenure_worker_agent.warden.host import Host

WIDEN_ABOVE: Final = 32 << 10
REST: Final = 0.002
REST_BELOW: Final = 64 << 10
AT_ONCE: Final = 64
RESUME_BELOW: Final = 0.75


class Output:
    """Reads the pipes of all attempts."""

    def __init__(self, host: Host, overflowed: Callable[[Attempt], None]) -> None:
        self._host = host
        self._overflowed = overflowed
        self.epoll = select.epoll()
        self._owners: dict[int, tuple[Attempt, int]] = {}
        self._writers: dict[int, Attempt] = {}
        self._block = bytearray(BLOCK)
        self._view = memoryview(self._block)
        self.resting_until = 0.0
        """When the pipes are looked at again; 0: now."""
        self.changed: dict[str, None] = {}
        """Fences whose spool grew or shrank since it was last told."""
        self.untold = 0
        """Bytes by which they grew."""

    def add(self, attempt: Attempt) -> None:
        """Read this attempt's pipes from now on."""
        for channel, fd in attempt.pipes.items():
            self._owners[fd] = (attempt, channel)
            if channel not in attempt.blocked:
                self.epoll.register(fd, select.EPOLLIN)
        if attempt.stdin >= 0:
            self._writers[attempt.stdin] = attempt
            self._feed(attempt)

    def serve(self) -> None:
        """Read what is there, one block per pipe."""
        total = 0
        ready = self.epoll.poll(0, AT_ONCE)
        for fd, _ in ready:
            owner = self._owners.get(fd)
            if owner is not None:
                total += self._read(*owner, fd)
            elif fd in self._writers:
                self._feed(self._writers[fd])
        if ready and total < REST_BELOW:
            self.resting_until = boottime() + REST

    def drain(self, attempt: Attempt) -> None:
        """Read everything that is in the pipes of an attempt whose process ended."""
        for channel, fd in list(attempt.pipes.items()):
            while fd in self._owners and self._read(attempt, channel, fd, ended=True) > 0:
                pass

    def abandon(self, attempt: Attempt) -> None:
        """Close what something else still holds open."""
        for channel, fd in list(attempt.pipes.items()):
            self._close(attempt, channel, fd)

    def unblock(self, attempt: Attempt) -> None:
        """Read again what was stopped at the limit, if there is room now."""
        spool, usage = attempt.spool, self._host.usage
        if spool.unacked > spool.cap * RESUME_BELOW or usage.unacked > self._host.settings.node_cap:
            return
        for channel in attempt.blocked:
            self.epoll.register(attempt.pipes[channel], select.EPOLLIN)
        attempt.blocked.clear()

    def feed(self, attempt: Attempt, data: bytes, eof: bool) -> None:
        """More standard input for an attempt."""
        if attempt.stdin >= 0:
            attempt.stdin_pending += data
            attempt.stdin_ends |= eof
            self._feed(attempt)

    def _read(self, attempt: Attempt, channel: int, fd: int, *, ended: bool = False) -> int:
        try:
            size = os.readv(fd, (self._block,))
        except BlockingIOError:
            return 0
        if not size:
            self._close(attempt, channel, fd)
            return 0
        if size >= WIDEN_ABOVE and channel not in attempt.wide:
            attempt.wide.add(channel)
            widen(fd)
        spool = attempt.spool
        spool.append(channel, self._view[:size])
        self.changed[spool.fence] = None
        self.untold += size
        if spool.unacked > spool.cap or self._host.usage.unacked > self._host.settings.node_cap:
            self._limit(attempt, channel, fd, ended)
        return size

    def _limit(self, attempt: Attempt, channel: int, fd: int, ended: bool) -> None:
        """The unacknowledged output reached its limit: what the task's policy says."""
        match attempt.order.overflow:
            case orders.BLOCK:
                if not ended and channel not in attempt.blocked:
                    self.epoll.unregister(fd)
                    attempt.blocked.add(channel)
            case orders.FAIL:
                self._overflowed(attempt)
            case _:
                over = self._host.usage.unacked - self._host.settings.node_cap
                attempt.spool.drop_oldest(min(attempt.spool.cap, attempt.spool.unacked - max(0, over)))

    def _feed(self, attempt: Attempt) -> None:
        fd, pending = attempt.stdin, attempt.stdin_pending
        try:
            while pending:
                del pending[: os.write(fd, pending)]
        except BlockingIOError:
            self._watch_writer(fd)
            return
        except BrokenPipeError:
            attempt.stdin_ends = True
        if attempt.stdin_ends:
            self.close_stdin(attempt)
        else:
            self._unwatch(fd)

    def close_stdin(self, attempt: Attempt) -> None:
        """End of file for the task."""
        if attempt.stdin >= 0:
            self._unwatch(attempt.stdin)
            self._writers.pop(attempt.stdin, None)
            os.close(attempt.stdin)
            attempt.stdin = -1

    def _watch_writer(self, fd: int) -> None:
        try:
            self.epoll.register(fd, select.EPOLLOUT)
        except FileExistsError:
            pass

    def _unwatch(self, fd: int) -> None:
        try:
            self.epoll.unregister(fd)
        except (FileNotFoundError, OSError):
            pass

    def _close(self, attempt: Attempt, channel: int, fd: int) -> None:
        if channel not in attempt.blocked:
            self._unwatch(fd)
        attempt.blocked.discard(channel)
        self._owners.pop(fd, None)
        del attempt.pipes[channel]
        os.close(fd)
