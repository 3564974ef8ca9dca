"""What becomes of a process that the kernel does not let be killed?"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tenure
from tenure.v1.task_pb2 import TaskState
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import alive, submit, until_running
from tests.support.waiting import eventually, wait_until

FREEZER = Path("/sys/fs/cgroup/freezer")
"""Version 1 of control groups puts what it freezes into uninterruptible sleep, as a dead disk would."""


@contextmanager
def uninterruptible(pid: int) -> Iterator[None]:
    """Hold a process in state D."""
    group = FREEZER / f"tenure-test-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        yield
    finally:
        (group / "freezer.state").write_text("THAWED")
        wait_until(lambda: not alive(pid), what="the KILL was delivered")
        wait_until(lambda: not (group / "cgroup.procs").read_text(), what="nothing is left in the group")
        group.rmdir()


@pytest.mark.skipif(not os.access(FREEZER, os.W_OK), reason="needs root and the freezer of cgroups v1")
async def test_an_attempt_in_state_d_counts_as_running_until_it_is_gone(a_fleet: Fleets) -> None:
    async with a_fleet(agents=1) as (_, client):
        (task_id,) = await submit(client, [tenure.process(["sleep", "600"])])
        (running,) = await until_running(client, [task_id])
        pid = running.attempt.pid
        with uninterruptible(pid):
            await eventually(lambda: "State:\tD" in Path(f"/proc/{pid}/status").read_text())
            await client.cancel(task_id)
            await eventually(lambda: kill_is_pending(pid), what="the warden sent KILL")
            await asyncio.sleep(0.5)  # for the news of an end that must not come
            assert (await client.get(task_id)).state == TaskState.TASK_STATE_CANCELLING
        task = await client.wait(task_id, timeout=20)
        assert task.state == TaskState.TASK_STATE_CANCELLED
        assert not alive(pid)


def kill_is_pending(pid: int) -> bool:
    """Whether the process has a KILL that the kernel has not delivered."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool((int(status["ShdPnd"], 16) | int(status["SigPnd"], 16)) & 1 << 8)
