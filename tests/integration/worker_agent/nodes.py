"""How does a test look into a node of a local fleet?"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import tenure
from tenure.local.fleet import Fleet
from tenure.v1.task_pb2 import Task, TaskState
from tenure.v1.task_spec_pb2 import TaskSpec
from tests.support.agents import agent_pid
from tests.support.waiting import eventually


async def signal_agent(fleet: Fleet, name: str, number: int = signal.SIGKILL) -> int:
    """Signal the agent process of a node, not its warden; returns its pid."""
    pid = await agent_pid(fleet, name)
    os.kill(pid, number)
    return pid


async def submit(client: tenure.Client, specs: Sequence[TaskSpec]) -> list[str]:
    """Submit and return the ids; every item must be accepted."""
    return [str(item.task_id) for item in await client.submit_many(specs)]


async def until_running(client: tenure.Client, ids: Sequence[str]) -> list[Task]:
    """The tasks, once each of them runs."""

    async def found() -> list[Task]:
        tasks = [await client.get(each) for each in ids]
        assert all(task.state == TaskState.TASK_STATE_RUNNING for task in tasks), tasks
        return tasks

    return await eventually(found, what="all tasks run")


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
