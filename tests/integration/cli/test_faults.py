"""Does a person at the terminal see every line once, whoever is killed while the task runs?"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tenure.local.fleet import Fleet
from tenure.local.process_tree import descendants
from tests.integration.cli.conftest import TENURE, Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COUNT = "for n in $(seq 1 60); do echo $n; echo e$n >&2; sleep 0.1; done; exit 5"
NUMBERS = [str(number) for number in range(1, 61)]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(schedulers=2, agents=1) as running:
        yield running


@pytest.mark.parametrize("victim", ["relay-1", "scheduler-1", "etcd", "the agent"])
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
        warden = (await fleet.pids())["worker-1"]
        (agent,) = [pid for pid in descendants(warden) if _is_agent(pid)]
        os.kill(agent, signal.SIGKILL)
    else:
        await fleet.kill(victim)
    rest, errors = await asyncio.gather(running.stdout.read(), running.stderr.read())
    assert await running.wait() == 5
    assert lines + rest.decode().split() == NUMBERS
    assert errors.decode().split() == [f"e{number}" for number in NUMBERS]
    assert victim == "the agent" or (await fleet.exits())[victim] == [-9]


def _is_agent(pid: int) -> bool:
    return b"--warden-fd" in Path(f"/proc/{pid}/cmdline").read_bytes()
