"""Do tasks run and end on a real node as their specs say?"""

import signal
import sys
from functools import partial

import pytest

import tenure
from tenure.errors import InvalidArgument
from tenure.v1.log_service_pb2 import LogChannel
from tenure.v1.task_pb2 import AttemptOutcome, Task, TaskState
from tests.integration.worker_agent.conftest import Fleets
from tests.integration.worker_agent.nodes import submit, until_running
from tests.support.waiting import eventually

O = AttemptOutcome  # noqa: E741
SHOW = "import os; print(*(f'{k}={v}' for k, v in os.environ.items() if k.startswith(('TENURE_', 'MINE'))))"


async def output(client: tenure.Client, task: Task) -> str:
    return "\n".join([entry.text.decode() async for entry in client.follow_lines(task.id)])


async def test_how_processes_end_is_told(a_fleet: Fleets) -> None:
    shell = [["sh", "-c", script] for script in ("exit 0", "exit 7", "kill -SEGV $$", "exit 139")]
    specs = [tenure.process(argv) for argv in shell]
    specs += [
        tenure.process(["no-such-program"]),
        tenure.process(["/etc/passwd"]),
        tenure.process(["true"], cwd="/no/such/directory"),
        tenure.process(["sleep", "60"], timeout=0.3),
        tenure.echo("ECHO one\nLOG warning two\nRETURN 5"),
    ]
    async with a_fleet() as (_, client):
        ids = await submit(client, specs)
        tasks = await client.wait_many(ids, timeout=30)
        seen = [(t.attempt.outcome, t.attempt.exit_code, t.attempt.signal) for t in tasks]
        assert seen == [
            (O.ATTEMPT_OUTCOME_SUCCEEDED, 0, 0),
            (O.ATTEMPT_OUTCOME_FAILED, 7, 0),
            (O.ATTEMPT_OUTCOME_FAILED, 0, signal.SIGSEGV),
            (O.ATTEMPT_OUTCOME_FAILED, 139, 0),
            (O.ATTEMPT_OUTCOME_REJECTED, 0, 0),
            (O.ATTEMPT_OUTCOME_REJECTED, 0, 0),
            (O.ATTEMPT_OUTCOME_REJECTED, 0, 0),
            (O.ATTEMPT_OUTCOME_TIMED_OUT, 0, signal.SIGTERM),
            (O.ATTEMPT_OUTCOME_FAILED, 5, 0),
        ]
        reasons = [task.attempt.reason for task in tasks]
        assert "SIGSEGV" in reasons[2]
        assert "no-such-program" in reasons[4]
        assert "0.3 s" in reasons[7]
        assert all(task.attempt.number == 1 for task in tasks)
        assert await output(client, tasks[8]) == "one\nWARNING two"


async def test_every_statement_of_an_echo_script_does_what_it_says(a_fleet: Fleets) -> None:
    script = """
# what comes is written as it is
ECHO größe  <b>two spaces</b>
LOG warning careful
  SLEEP 0.4
ECHO later
RETURN 7
ECHO never
"""
    async with a_fleet() as (_, client):
        returned = await client.run(tenure.echo(script), timeout=30)
        assert (returned.state, returned.attempt.exit_code) == (TaskState.TASK_STATE_FAILED, 7)
        written = [entry async for entry in client.follow_lines(returned.id)]
        assert [(LogChannel.Name(entry.channel), entry.text.decode()) for entry in written] == [
            ("LOG_CHANNEL_STDOUT", "größe  <b>two spaces</b>"),
            ("LOG_CHANNEL_STDERR", "WARNING careful"),
            ("LOG_CHANNEL_STDOUT", "later"),
        ]
        slept = written[2].time_unix_nanos - written[1].time_unix_nanos
        assert slept >= 0.35e9
        raised = await client.run(tenure.echo("RAISE out of luck\nECHO never"), timeout=30)
        assert (raised.state, raised.attempt.exit_code) == (TaskState.TASK_STATE_FAILED, 1)
        assert await output(client, raised) == "out of luck"
        with pytest.raises(InvalidArgument) as refused:
            await client.submit(tenure.echo("ECHO fine\n  SHOUT\nLOG loud hey"))
        assert [violation.description for violation in refused.value.violations] == [
            "line 2, column 3: 'SHOUT' is no statement; there are ECHO, LOG, SLEEP, RETURN and RAISE",
            "line 3, column 5: 'loud' is no level; there are debug, info, warning, error",
        ]


async def test_a_process_knows_who_it_is_and_gets_its_input(a_fleet: Fleets) -> None:
    argv = [sys.executable, "-c", SHOW + "; print(input())"]
    spec = tenure.process(argv, env={"MINE": "x", "TENURE_FENCE": "forged"}, stdin=b"from stdin\n")
    spec.resources.indexed["gpu"] = 2
    async with a_fleet(agent_options={"capacity.indexed.gpu": 3}) as (_, client):
        task = await client.run(spec, timeout=30)
        assert task.state == TaskState.TASK_STATE_SUCCEEDED, task
        first, second = (await output(client, task)).splitlines()
        found = dict(word.split("=", 1) for word in first.split())
        assert found["TENURE_FENCE"] == task.attempt.fence
        assert found["TENURE_TASK_ID"] == task.id
        assert (found["TENURE_ATTEMPT"], found["TENURE_WORKER"], found["MINE"]) == ("1", "worker-1", "x")
        assert found["TENURE_RESOURCE_GPU"] == "0,1"
        assert second == "from stdin"


async def test_a_thousand_noops(a_fleet: Fleets) -> None:
    async with a_fleet() as (fleet, client):
        ids = await submit(client, [tenure.noop() for _ in range(1000)])
        tasks = await client.wait_many(ids, timeout=40)
        assert {task.state for task in tasks} == {TaskState.TASK_STATE_SUCCEEDED}
        assert {task.attempt.number for task in tasks} == {1}
        assert (fleet.data_dir / "worker-1" / "outbox").stat().st_size > 0


async def test_cancel_gives_time_to_end_in_order(a_fleet: Fleets) -> None:
    polite = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    specs = [tenure.process(["sh", "-c", script]) for script in (polite, deaf)]
    specs[0].timeouts.stop_grace.FromSeconds(30)
    specs[1].timeouts.stop_grace.FromMilliseconds(400)
    async with a_fleet() as (_, client):
        ids = await submit(client, specs)
        running = await until_running(client, ids)
        for task in running:
            await eventually(partial(has_line, client, task, "ready"))
        await client.cancel(*ids, reason="enough")
        tasks = await client.wait_many(ids, timeout=20)
        assert [task.state for task in tasks] == [TaskState.TASK_STATE_CANCELLED] * 2
        assert [task.attempt.outcome for task in tasks] == [O.ATTEMPT_OUTCOME_CANCELLED] * 2
        assert (tasks[0].attempt.exit_code, tasks[1].attempt.signal) == (3, signal.SIGKILL)
        lines = (await output(client, tasks[0])).splitlines()
        assert (lines[0], lines[-1]) == ("ready", "bye")


async def has_line(client: tenure.Client, task: Task, text: str) -> bool:
    return text in [entry.text.decode() async for entry in client.follow_lines(task.id, follow=False)]
