"""Does an agent that cannot reach the leader get its work through another replica?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tenure import Client, process
from tenure.v1.task_pb2 import TASK_STATE_RUNNING, TASK_STATE_SUCCEEDED, Task
from tests.faults.fleet import FaultFleet, Shape
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

NODE = "worker-1"


def sessions(fleet: FaultFleet, *, through: bool) -> int:
    """How many sessions the agent's log tells of, direct ones or those through a follower."""
    lines = fleet.log(NODE).read_text(encoding="utf-8").splitlines()
    return sum(('"through"' in line) is through for line in lines if '"connected"' in line)


@pytest.mark.timeout(150)
async def test_tasks_run_on_a_node_that_is_cut_off_from_the_leader(socket_folder: Path) -> None:
    shape = Shape(agents=1, schedulers=2, members=1)
    async with FaultFleet(socket_folder, shape) as fleet, Client(fleet.address) as client:

        async def leader() -> str:
            return fleet.scheduler_at((await client.server_info()).leader_address)

        async def running() -> Task | None:
            task = await client.get(stays)
            return task if task.state == TASK_STATE_RUNNING else None

        stays = await client.submit(process(["sleep", "600"], name="stays"))
        started = await eventually(running, what="it runs")
        assert started is not None
        cut_from = await eventually(leader, what="a scheduler leads")
        ways = [(NODE, cut_from), (cut_from, NODE)]
        fleet.links.cut(ways)

        done = await client.run(process(["echo", "through"]), timeout=60)
        assert done.state == TASK_STATE_SUCCEEDED
        assert await leader() == cut_from, "nobody else took the lead"
        assert sessions(fleet, through=True)
        direct = sessions(fleet, through=False)

        fleet.links.heal(ways)
        await eventually(
            lambda: sessions(fleet, through=False) > direct, what="it goes straight again", within=60
        )
        assert (await client.run(process(["echo", "straight"]), timeout=30)).state == TASK_STATE_SUCCEEDED
        task = await running()
        assert task is not None
        assert (task.attempt.number, task.attempt.pid) == (1, started.attempt.pid), "what ran was given away"
        await client.cancel(stays)
