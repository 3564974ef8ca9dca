"""Does the death of an agent alone cost its tasks anything?

The agent of one node gets SIGKILL; its warden starts another, which adopts the tasks. Half of the tasks end
while there is no agent, the others once it is back. A reader follows each from its start to its end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench.losses import SECONDS_TO_RESTART, SECONDS_TO_START, seen_running
from bench.recovery.figures import Figure, Progress
from tenure import Client, process
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import LOG_STATE_COMPLETE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tenure.v1.task_pb2 import Attempt

NODES = 6
"""Taken in turn: a warden makes growing pauses before an agent that died within five seconds."""
TASKS = 2 * NODES
BACK_BOUND = 2.0
"""As long as `workers.reattach_grace`: a node whose agent needs longer is lost to the scheduler by design."""
MOST_RUNS = 3
"""Times as many as are wanted, for a machine that is too busy to start a program within two seconds."""
COUNT = 'n=0; until [ -e "$0" ]; do echo $((n += 1)); sleep 0.2; done; echo of $n; exit "$1"'
"""Counts until a file is there, says how far, and ends with the code that it was given."""
LOOK_AGAIN = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one death of an agent cost."""

    back: float
    """Seconds until the node's next agent is seen connected."""
    reallocated: int
    """Tasks with another attempt, or another process."""
    wrong_ends: int
    """Tasks that ended with another code than their own."""
    torn_logs: int
    """Tasks of which a reader did not get every line once, in order, to the end."""


async def killed(runs: int, progress: Progress) -> dict[str, Figure]:
    """The agent of one node after the other, until so many of them were back in time."""
    costs: list[Cost] = []
    in_time: list[Cost] = []
    async with Fleet(schedulers=1, agents=NODES, relays=1) as fleet, Client(fleet.address) as client:
        while len(in_time) < runs and len(costs) < MOST_RUNS * runs:
            victim = fleet.agents[len(costs) % NODES]
            cost = await cost_of(lambda name: _kill_agent(fleet, name), client, victim)
            costs.append(cost)
            if cost.back <= BACK_BOUND:
                in_time.append(cost)
            harm = cost.reallocated + cost.wrong_ends + cost.torn_logs
            progress(
                f"back after {cost.back:.2f} s, {cost if harm else 'no harm'} ({len(in_time)} of {runs})"
            )
    back = tuple(cost.back for cost in costs)
    return {
        "agent_killed_back": Figure(
            what="agent killed: the next is connected", bound=BACK_BOUND, samples=back
        ),
        "agent_killed_reallocated": _count("reallocated", [cost.reallocated for cost in in_time]),
        "agent_killed_wrong_ends": _count("ended otherwise", [cost.wrong_ends for cost in in_time]),
        "agent_killed_torn_logs": _count("with incomplete logs", [cost.torn_logs for cost in in_time]),
    }


def _count(what: str, counts: Sequence[int]) -> Figure:
    return Figure(what=f"agent back in time: tasks {what}", bound=0, samples=tuple(counts), unit="")


async def cost_of(kill: Callable[[str], Awaitable[object]], client: Client, victim: str) -> Cost:
    """Start tasks on all nodes, kill something of the node `victim`, and see how the tasks end."""
    with TemporaryDirectory(prefix="tenure-recovery-") as folder:
        gates = [Path(folder, "away"), Path(folder, "back")]
        specs = [
            process(["sh", "-c", COUNT, str(gates[code % 2]), str(code)], cpu=0.01) for code in range(TASKS)
        ]
        ids = [one.task_id for one in await client.submit_many(specs)]
        async with asyncio.TaskGroup() as group:
            readers = [Reader(client, task) for task in ids]
            whole = [group.create_task(reader.is_whole()) for reader in readers]
            async with asyncio.timeout(SECONDS_TO_START):
                await asyncio.gather(*(reader.began.wait() for reader in readers))
            starts = await _attempts_when_all_run(client, ids)
            assert any(attempt.worker == victim for attempt in starts), starts
            began = time.perf_counter()
            await kill(victim)
            await _until_connected(client, victim, connected=False)
            gates[0].touch()
            await _until_connected(client, victim, connected=True)
            back = time.perf_counter() - began
            gates[1].touch()
            ends = [(await client.wait(task, timeout=SECONDS_TO_RESTART)).attempt for task in ids]
    return Cost(
        back=back,
        reallocated=sum(
            end.number != 1 or end.pid != start.pid for start, end in zip(starts, ends, strict=True)
        ),
        wrong_ends=sum(
            not end.HasField("exit_code") or end.exit_code != code for code, end in enumerate(ends)
        ),
        torn_logs=sum(not found.result() for found in whole),
    )


async def _kill_agent(fleet: Fleet, name: str) -> None:
    os.kill(await fleet.agent_pid(name), signal.SIGKILL)


async def _attempts_when_all_run(client: Client, ids: Sequence[str]) -> list[Attempt]:
    running: set[str] = set()
    async with asyncio.timeout(SECONDS_TO_START):
        async for task, _ in seen_running(client, ids):
            running.add(task)
            if len(running) == len(ids):
                break
    return [(await client.get(task)).attempt for task in ids]


async def _until_connected(client: Client, name: str, *, connected: bool) -> None:
    async with asyncio.timeout(SECONDS_TO_RESTART):
        # Workers cannot be watched.
        while (await client.worker(name)).worker.connected is not connected:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN)


class Reader:
    """Follows the log of a task to its end: did every line come once, in order?"""

    def __init__(self, client: Client, task: str) -> None:
        self.began = asyncio.Event()
        """Set with the first line."""
        self._messages = client.follow_logs(task)

    async def is_whole(self) -> bool:
        """Whether nothing was missing and nothing came twice."""
        lines: list[str] = []
        gaps, complete = 0, False
        async for message in self._messages:
            lines += [entry.text.decode() for entry in message.lines.entries]
            gaps += message.WhichOneof("item") == "gap"
            complete = complete or message.end.log_state == LOG_STATE_COMPLETE
            if lines:
                self.began.set()
        count = len(lines) - 1
        return complete and not gaps and lines == [*map(str, range(1, count + 1)), f"of {count}"]
