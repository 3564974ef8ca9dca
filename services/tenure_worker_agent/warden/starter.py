"""How does an order become a running process, at most once?

Admit, journal the intent, sync, and only then exec: a crash in between leaves an intent without a process,
which is reported lost and never started again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tenure_core.frames import RECORDS, STDERR, STDOUT
from tenure_worker_agent.warden.attempt import Attempt
from tenure_worker_agent.warden.clock import boottime
from tenure_worker_agent.warden.identity import start_ticks
from tenure_worker_agent.warden.records import exit_record
from tenure_worker_agent.warden.spawn import KINDS, OTHER, SpawnError, check_directory, find_program, spawn

if TYPE_CHECKING:
    from tenure_worker_agent.warden.host import Host
    from tenure_worker_agent.warden.orders import Order

BATCH: Final = 24
"""Orders that are started before the loop looks at everything else again."""


class Starter:
    """The way in."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._queue: deque[Order] = deque()
        self._admitted: list[Order] = []
        self._waiting: dict[str, Order] = {}
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.closed = False
        """Nothing is admitted any more."""

    @property
    def waiting(self) -> list[str]:
        """Fences that are neither running nor refused."""
        return list(self._waiting)

    def put(self, order: Order) -> None:
        """Take an order in."""
        self._queue.append(order)
        self._waiting[order.fence] = order

    def withdraw(self, fence: str) -> bool:
        """Refuse an order that has not been started; False when there is none."""
        order = self._waiting.pop(fence, None)
        if order is None:
            return False
        self._refuse(order, "stopped", "stopped before it was started")
        return True

    def admit(self, running: int) -> None:
        """Journal the intent of the next orders; they start after the journal's sync."""
        host = self._host
        while self._queue and len(self._admitted) < BATCH:
            order = self._queue.popleft()
            if self._waiting.get(order.fence) is not order:
                continue
            fence = order.fence
            if host.ledger.knows(fence):
                self._refuse(order, "duplicate", "this fence was started before")
            elif self.closed:
                self._refuse(order, "stopping", "the worker is shutting down")
            elif not host.journal.has_room(running + len(self._admitted)):
                self._refuse(order, "disk", "the disk has no room for the journal")
            else:
                host.journal.append(host.ledger.intend(fence, order.note))
                self._admitted.append(order)

    @property
    def pending(self) -> bool:
        return bool(self._queue or self._admitted)

    def start_admitted(self) -> list[Attempt]:
        """Exec what was admitted; the journal has it. Returns what runs, failures are exits already."""
        if not self._admitted:
            return []
        self._host.die_at("journaled")
        started: list[Attempt] = []
        for order in self._admitted:
            if self._waiting.pop(order.fence, None) is None:
                self._strike(order.fence)
            elif order.not_after and boottime() > order.not_after:
                self._refuse(order, "late", "the worker's lease may have ended")
                self._strike(order.fence)
            elif attempt := self._start(order):
                started.append(attempt)
        self._admitted.clear()
        return started

    def _strike(self, fence: str) -> None:
        self._host.journal.note(self._host.ledger.forget(fence))

    def _refuse(self, order: Order, kind: str, message: str) -> None:
        if kind != "stopped":
            self._waiting.pop(order.fence, None)
        self._host.tell({"is": "refused", "fence": order.fence, "kind": kind, "message": message})

    def _start(self, order: Order) -> Attempt | None:
        attempt = Attempt(order, self._host.new_spool(order.fence, order.log_cap))
        ends: list[int] = []
        try:
            self._launch(attempt, ends)
        except (SpawnError, OSError) as error:
            self._failed(attempt, error)
            return None
        finally:
            for fd in ends:
                os.close(fd)
        self._host.die_at("started")
        host, fence = self._host, order.fence
        host.journal.note(host.ledger.started(fence, attempt.pid, attempt.ticks, attempt.started_ns))
        host.events.append(
            f'{{"is":"started","fence":"{fence}","pid":{attempt.pid},"ticks":{attempt.ticks},"at":{attempt.started_ns}}}'
        )
        return attempt

    def _launch(self, attempt: Attempt, ends: list[int]) -> None:
        """Make directory, pipes and group, and exec. `ends` collects what the child alone keeps."""
        host, order = self._host, attempt.order
        attempt.place = place = host.workplaces.make()
        cwd = order.cwd or place
        if order.cwd:
            check_directory(cwd)
        env = {**host.environment, "TMPDIR": place, "PWD": cwd, **order.env}
        program = find_program(order.argv[0], env.get("PATH", ""), cwd)
        stdin = self._stdin(attempt, ends)
        stdout, stderr = self._pipe(attempt, STDOUT, ends), self._pipe(attempt, STDERR, ends)
        keep: tuple[int, ...] = ()
        if order.records:
            keep = (self._pipe(attempt, RECORDS, ends),)
            env["TENURE_RECORDS_FD"] = str(keep[0])
        attempt.leaf = host.groups.take(order.memory, order.cpu_milli)
        if attempt.leaf is not None:
            host.groups.enter(attempt.leaf)
        attempt.started_ns, attempt.started_boot = time.time_ns(), boottime()
        try:
            attempt.pid = spawn(program, order.argv, env, cwd, (stdin, stdout, stderr), keep)
        finally:
            if attempt.leaf is not None:
                # Home before anything else happens: a KILL to the group must never meet the warden.
                host.groups.leave()
        attempt.ticks = start_ticks(attempt.pid)

    def _pipe(self, attempt: Attempt, channel: int, ends: list[int]) -> int:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        attempt.pipes[channel] = read_end
        ends.append(write_end)
        return write_end

    def _stdin(self, attempt: Attempt, ends: list[int]) -> int:
        order = attempt.order
        if order.stdin_pipe:
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(write_end, False)
            attempt.stdin = write_end
            attempt.stdin_pending += order.stdin
        elif order.stdin:
            read_end = os.memfd_create("stdin")
            os.write(read_end, order.stdin)
            os.lseek(read_end, 0, os.SEEK_SET)
        else:
            return self._null
        ends.append(read_end)
        return read_end

    def _failed(self, attempt: Attempt, error: SpawnError | OSError) -> None:
        host, fence = self._host, attempt.fence
        for fd in (*attempt.pipes.values(), *([attempt.stdin] if attempt.stdin >= 0 else [])):
            os.close(fd)
        if attempt.leaf is not None:
            with contextlib.suppress(OSError):
                host.groups.give_back(attempt.leaf)
        if attempt.place:
            host.workplaces.discard(attempt.place, reuse=True)
        host.spools.pop(fence, None)
        kind = error.kind if isinstance(error, SpawnError) else KINDS.get(error.errno or 0, OTHER)
        record = exit_record(
            fence,
            "spawn",
            error=kind,
            message=str(error),
            ended=time.time_ns(),
            frames=0,
            offsets=[0, 0, 0],
            note=attempt.order.note,
        )
        host.tell_exit(record)


def widen(fd: int) -> None:
    """Let the pipe hold 1 MiB; without the permission it stays as it is."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)
