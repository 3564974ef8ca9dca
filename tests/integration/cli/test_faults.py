"""Does a person at the terminal see every line once, whoever is killed while the task runs?"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tenure
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import LOG_STATE_COMPLETE, LOG_STATE_UNKNOWN
from tests.integration.cli.conftest import TENURE, Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COUNT = "for n in $(seq 1 60); do echo $n; echo e$n >&2; sleep 0.1; done; exit 5"
NUMBERS = [str(number) for number in range(1, 61)]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(schedulers=2, agents=1) as running:
        yield running


@pytest.mark.parametrize("victim", ["relay-1", "the leader", "the follower", "etcd", "the agent"])
async def test_run_shows_every_line_once(fleet: Fleet, tmp_path: Path, victim: str) -> None:
    running = await asyncio.create_subprocess_exec(
        *TENURE, "run", "--", "sh", "-c", COUNT,
        env={**Terminal(tmp_path).env, "TENURE_ADDRESS": fleet.address},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stderr is not None
    lines = [(await running.stdout.readline()).decode().strip() for _ in range(10)]
    if victim == "the agent":
        os.kill(await fleet.agent_pid("worker-1"), signal.SIGKILL)
    else:
        victim = await _named(fleet, victim)
        await fleet.kill(victim)
    rest, errors = await asyncio.gather(running.stdout.read(), running.stderr.read())
    assert await running.wait() == 5
    assert lines + rest.decode().split() == NUMBERS
    assert errors.decode().split() == [f"e{number}" for number in NUMBERS]
    assert victim == "the agent" or (await fleet.exits())[victim] == [-9]


async def _named(fleet: Fleet, victim: str) -> str:
    if victim not in ("the leader", "the follower"):
        return victim
    async with tenure.Client(fleet.address) as client:
        leader = (await client.server_info()).leader_address
    return next(
        part.name
        for part in fleet.plan.parts
        if part.name.startswith("scheduler") and (part.address == leader) == (victim == "the leader")
    )


@pytest.mark.parametrize("victim", ["the warden", "the node"])
async def test_a_reader_of_a_task_that_runs_again_sees_every_attempt_in_order(victim: str) -> None:
    """The first attempt as far as it came, without a hole; then the second one whole."""
    async with Fleet(schedulers=1, agents=2) as fleet, tenure.Client(fleet.address) as client:
        task_id = await client.submit(tenure.process(["sh", "-c", COUNT]))
        read: dict[int, list[str]] = {}
        states: dict[int, int] = {}
        attempt = 0
        async for message in client.follow_logs(task_id):
            match message.WhichOneof("item"):
                case "attempt_begin":
                    attempt = message.attempt_begin.attempt
                    worker = message.attempt_begin.worker
                case "lines":
                    lines = [e.text.decode() for e in message.lines.entries if e.channel == 1]
                    read.setdefault(attempt, []).extend(lines)
                case "attempt_end":
                    states[attempt] = message.attempt_end.log_state
                case "end":
                    assert message.end.exit_code == 5
            if attempt == 1 and 10 <= len(read.get(1, ())) < 20 and worker:
                await (fleet.kill_node(worker) if victim == "the node" else fleet.kill(worker))
                worker = ""
        assert list(read) == [1, 2]
        assert 10 <= len(read[1]) < len(NUMBERS)
        assert read[1] == NUMBERS[: len(read[1])]
        assert read[2] == NUMBERS
        assert states == {1: LOG_STATE_UNKNOWN, 2: LOG_STATE_COMPLETE}
