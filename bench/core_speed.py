"""How much CPU does the scheduler's core take per no-op task, and how much memory per pending one?

Submits batches of 100 through `Core`, seals batches as the shell would (without encoding), reports results,
and prints microseconds per task from submit to terminal; then bytes per pending task for 100,000 of them.

    python bench/core_speed.py [tasks]
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc

from tenure_core.fence import Fence
from tenure_core.resources import Capacity
from tenure_core.timing import Now
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.profiles import Interner, Profile

START_NS = 1_700_000_000_000_000_000


def make_core(workers: int) -> Core:
    """A leader with `workers` connected workers."""
    core = Core(CoreConfig(), incarnation=1, epoch=1, now=Now(0.0, START_NS))
    for number in range(1, workers + 1):
        hello = e.Hello(
            f"w{number}", f"i{number}", "boot", 1, Capacity(8000, 1 << 34), frozenset({"noop", "process"})
        )
        (grant,) = core.apply([e.HelloReceived(number, True, hello)], Now(0.0, START_NS))
        assert isinstance(grant, c.GrantLease)
        core.apply([e.LeaseGranted(grant.worker, grant.ticket, number)], Now(0.0, START_NS))
        core.apply([e.WorkerRegistered(grant.worker, grant.ticket, number)], Now(0.0, START_NS))
    core.take_dirty()
    return core


def submit(profile: Profile, first: int, count: int, spec: bytes) -> e.TasksSubmitted:
    """A batch of tasks."""
    items = [
        e.SubmitItem(f"{n:020d}", profile, spec + b"%d" % n, f"noop-{n}", (), f"request-{n:028d}")
        for n in range(first, first + count)
    ]
    return e.TasksSubmitted(first, items)


def run(tasks: int, workers: int) -> float:
    """Microseconds per task from submit to terminal."""
    core = make_core(workers)
    interner = Interner()
    profile = interner.profile(interner.shape("noop"), has_output=False)
    batches = [submit(profile, first, 100, b"x" * 60) for first in range(0, tasks, 100)]
    done, spent = 0, 0.0
    waiting: list[c.Command] = []
    now = Now(1.0, START_NS)
    while done < tasks:
        reports: dict[str, list[e.AttemptReport]] = {}
        number = 0
        for command in waiting:
            if isinstance(command, c.SendCommands):
                number = command.number
                mine = reports.setdefault(command.worker, [])
                mine += [
                    e.AttemptReport(
                        Fence(1, task.id, attempt.number), e.ReportKind.RESULT, started_ns=1, ended_ns=2
                    )
                    for task, attempt in command.starts
                ]
        events: list[e.Event] = [
            e.ReportsReceived(name, int(name[1:]), number, mine) for name, mine in reports.items() if mine
        ]
        events += [
            e.CommandsSent(x.worker, x.stream, x.number) for x in waiting if isinstance(x, c.SendCommands)
        ]
        if batches:
            events.append(batches.pop())
        now = Now(now.boot + 0.001, now.utc_ns + 1_000_000)
        begin = time.process_time()
        waiting = core.apply(events, now)
        dirty = core.take_dirty(100_000, 1 << 30)
        core.committed(dirty, 7)
        spent += time.process_time() - begin
        done = core.counts()[7]  # type: ignore[index]
    return spent / tasks * 1e6


def memory(tasks: int) -> float:
    """Bytes per pending task."""
    core = Core(CoreConfig(), incarnation=1, epoch=1, now=Now(0.0, START_NS))
    interner = Interner()
    profile = interner.profile(interner.shape("noop"), has_output=False)
    gc.collect()
    tracemalloc.start()
    for first in range(0, tasks, 100):
        core.apply([submit(profile, first, 100, b"x" * 60)], Now(1.0, START_NS + first))
        core.take_dirty()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / tasks


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    for workers in (1, 10, 200):
        print(f"{workers:4d} workers: {run(count, workers):6.2f} us per task")
    print(f"memory: {memory(100_000):7.0f} bytes per pending task")
