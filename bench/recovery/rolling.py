"""Does anybody notice that every process of a fleet is restarted, one after the other?

Three members of etcd, three schedulers, two log relays and four nodes. Each process is told to end as an
upgrade tells it (a warden: to execute itself anew), and the next one's turn comes when the fleet is whole
again. Meanwhile 200 short tasks a second are submitted and waited for, ten watchers are told how they end,
and ten readers follow tasks that run all the time.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.recovery.counters import Harm, running
from bench.recovery.figures import Figure, Progress
from bench.recovery.passers import Passers
from tenure import Client
from tenure.local.fleet import Fleet
from tenure.local.plan import AGENT, ETCD, RELAY, SCHEDULER
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdError
from tests.support.agents import agent_pid
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

PER_SECOND = 200
WATCHERS = 10
READERS = 10
SECONDS_TO_RETURN = 30.0

Restart = Callable[[Fleet, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What users noticed of one restart of everything."""

    submitted: int
    lost: int
    not_run_once: int
    wrong_ends: int
    made_twice: int
    unwatched: int
    """Tasks of whose end no watcher was told."""
    failed_calls: int
    torn_logs: int


async def restarted(
    rounds: int, progress: Progress, *, per_second: int = PER_SECOND, agents: int = 4
) -> dict[str, Figure]:
    """All processes in turn, so many times."""
    found: list[Notice] = []
    async with Fleet(schedulers=3, members=3, relays=2, agents=agents) as fleet:
        for number in range(1, rounds + 1):
            found.append(await _round(fleet, per_second, progress))
            progress(f"{found[-1]} ({number} of {rounds})")
    return {
        "rolling_lost": _count("tasks lost", [each.lost for each in found]),
        "rolling_not_run_once": _count("tasks not run exactly once", [each.not_run_once for each in found]),
        "rolling_wrong_ends": _count("tasks ended otherwise", [each.wrong_ends for each in found]),
        "rolling_made_twice": _count("tasks made twice", [each.made_twice for each in found]),
        "rolling_unwatched": _count("ends not told to a watcher", [each.unwatched for each in found]),
        "rolling_failed_calls": _count("calls failed", [each.failed_calls for each in found]),
        "rolling_torn_logs": _count("logs incomplete", [each.torn_logs for each in found]),
    }


def _count(what: str, counts: Sequence[int]) -> Figure:
    return Figure(what=f"every process restarted: {what}", bound=0, samples=tuple(counts), unit="")


async def _round(fleet: Fleet, per_second: int, progress: Progress) -> Notice:
    addresses = [part.address for part in fleet.plan.of_kind(SCHEDULER)]
    async with (
        Client(fleet.address) as client,
        running(client, READERS) as tasks,
        Passers(addresses, per_second=per_second, watchers=WATCHERS) as passers,
    ):
        for kind, what, restart in STEPS:
            for part in fleet.plan.of_kind(kind):
                began = time.perf_counter()
                await restart(fleet, part.name)
                await fleet.wait_ready()
                progress(f"{what} {part.name}: whole again after {time.perf_counter() - began:.1f} s")
        await passers.settled()
        for failure in passers.told.failures:
            progress(f"failed: {failure!r}")
        harm = await tasks.harm()
        return await _noticed(passers, harm)


async def _noticed(passers: Passers, harm: Harm) -> Notice:
    return Notice(
        submitted=len(passers.told.acknowledged),
        lost=passers.lost + harm.lost,
        not_run_once=passers.not_run_once + harm.reallocated,
        wrong_ends=passers.wrong_ends + harm.wrong_ends,
        made_twice=await passers.made_twice(),
        unwatched=passers.unwatched,
        failed_calls=len(passers.told.failures),
        torn_logs=harm.torn_logs,
    )


async def _told_to_end(fleet: Fleet, name: str) -> None:
    """SIGTERM; its supervisor starts the next one."""
    before = (await fleet.pids())[name]
    os.kill(before, signal.SIGTERM)

    async def another() -> bool:
        return (await fleet.pids())[name] not in (0, before)

    await eventually(another, within=SECONDS_TO_RETURN, what=f"another {name} runs")


async def _member_told_to_end(fleet: Fleet, name: str) -> None:
    """SIGTERM; returns when this member serves again, for the next one may end then."""
    await _told_to_end(fleet, name)
    (address,) = [part.address for part in fleet.plan.of_kind(ETCD) if part.name == name]
    async with EtcdClient([address]) as member:
        await eventually(lambda: _serves(member), within=SECONDS_TO_RETURN, what=f"{name} serves again")


async def _serves(member: EtcdClient) -> bool:
    try:
        await member.get(b"/", timeout=1.0)
    except EtcdError:
        return False
    return True


async def _agent_told_to_end(fleet: Fleet, name: str) -> None:
    before = await agent_pid(fleet, name)
    os.kill(before, signal.SIGTERM)
    await agent_pid(fleet, name, other_than=before)


async def _warden_executed_anew(fleet: Fleet, name: str) -> None:
    """SIGHUP: the process stays and its image does not."""
    warden = (await fleet.pids())[name]
    before = _image(warden)
    os.kill(warden, signal.SIGHUP)
    await eventually(lambda: _image(warden) != before, within=SECONDS_TO_RETURN, what=f"{name} is new")
    assert (await fleet.pids())[name] == warden, "it ended instead"


def _image(pid: int) -> bytes:
    """What differs from one image of a process to the next: where the kernel has laid it out."""
    return Path("/proc", str(pid), "auxv").read_bytes()


STEPS: tuple[tuple[str, str, Restart], ...] = (
    (ETCD, "etcd", _member_told_to_end),
    (SCHEDULER, "scheduler", _told_to_end),
    (RELAY, "log relay", _told_to_end),
    (AGENT, "agent of", _agent_told_to_end),
    (AGENT, "warden of", _warden_executed_anew),
)
"""What is restarted, and how, in this order."""
