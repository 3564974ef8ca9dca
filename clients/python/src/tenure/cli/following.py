"""How does a task in the fleet behave like a command at the terminal?"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any, Final

from tenure.cli import exits
from tenure.cli.json_form import dumps, of_tail
from tenure.errors import TenureError
from tenure.v1 import log_service_pb2 as logs
from tenure.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from tenure.client import Client
    from tenure.v1.task_spec_pb2 import TaskSpec

_DESCRIPTORS: Final = {logs.LOG_CHANNEL_STDOUT: 1, logs.LOG_CHANNEL_STDERR: 2}


async def run_and_follow(client: Client, spec: TaskSpec, *, as_json: bool = False) -> int:
    """Submit the task, pass its output on, return its exit code; interrupts cancel it."""
    task_id = await client.submit(spec)
    if as_json:
        print(dumps({"type": "submitted", "task_id": task_id}), flush=True)
    interrupts = _Interrupts(client, task_id)
    following = asyncio.ensure_future(_follow(client, task_id, as_json))
    try:
        await interrupts.watch(following)
        end = following.result() if following.done() else None
    except OSError as error:
        await client.cancel(task_id, reason="nobody reads its output any more")
        return exits.refused_by_system(error)
    finally:
        following.cancel()
        interrupts.close()
    if end is None:
        return 128 + interrupts.number
    return _code(end, task_id, interrupts.number)


async def _follow(client: Client, task_id: str, as_json: bool) -> logs.LogEnd | pb.Task:
    """Pass the output on until the task ends; trouble with the output is told and does not change the end."""
    try:
        async for message in client.follow_logs(task_id, raw=not as_json, entry_cursors=as_json):
            kind = message.WhichOneof("item")
            if as_json:
                write(1, "".join(dumps(item) + "\n" for item in of_tail(message)).encode())
            elif kind == "chunk":
                write(_DESCRIPTORS[message.chunk.channel], message.chunk.data)
            elif kind == "gap":
                exits.say(gap_sentence(message.gap))
            elif kind == "attempt_begin" and message.attempt_begin.attempt > 1:
                exits.say(f"attempt {message.attempt_begin.attempt} begins {_where(message.attempt_begin)}")
            if kind == "end":
                return message.end
    except TenureError as error:
        exits.say(f"the output cannot be read, still waiting for the end: {error.message}")
    return await client.wait(task_id)


def write(descriptor: int, data: bytes) -> None:
    """Write all of the bytes at once, past Python's buffers."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            os.set_blocking(descriptor, True)


def gap_sentence(gap: logs.LogGap) -> str:
    """What is missing, for people."""
    channel = "stdout" if gap.channel == logs.LOG_CHANNEL_STDOUT else "stderr"
    count = f"{gap.to_offset - gap.from_offset:,} bytes" if gap.to_offset else "an unknown number of bytes"
    return f"{count} of {channel} are missing here: {gap.reason}"


class _Interrupts:
    """SIGINT and SIGTERM: the first cancels the task, the second leaves it alone with that."""

    def __init__(self, client: Client, task_id: str) -> None:
        self.number = 0
        self._client = client
        self._task_id = task_id
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[int] = asyncio.Queue()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._arrived.put_nowait, number)

    async def watch(self, following: asyncio.Future[logs.LogEnd | pb.Task]) -> None:
        """Return when the task has ended or the person does not want to wait for that."""
        while not following.done():
            arriving = asyncio.ensure_future(self._arrived.get())
            both: set[asyncio.Future[Any]] = {arriving, following}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not arriving.done():
                arriving.cancel()
            elif self.number:
                return
            else:
                self.number = arriving.result()
                exits.say(f"cancelling task {self._task_id}; once more to leave at once")
                await self._client.cancel(self._task_id, reason="interrupted at the terminal")

    def close(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)


def _where(begin: logs.LogAttemptBegin) -> str:
    return f"on {begin.worker}" if begin.worker else ""


def _code(end: logs.LogEnd | pb.Task, task_id: str, interrupted: int) -> int:
    """The exit code; what the task's output cannot say is said on standard error."""
    if interrupted and end.state == pb.TASK_STATE_CANCELLED:
        return 128 + interrupted
    if end.state == pb.TASK_STATE_SUCCEEDED:
        return exits.of_task(end)
    own = end.outcome == pb.ATTEMPT_OUTCOME_FAILED and (end.HasField("exit_code") or end.HasField("signal"))
    if not own:
        word = pb.TaskState.Name(end.state).removeprefix("TASK_STATE_").lower()
        exits.say(f"task {task_id} {word}: {end.reason or 'see `tenure explain`'}")
    if end.state == pb.TASK_STATE_CANCELLED or end.outcome == pb.ATTEMPT_OUTCOME_REJECTED:
        return exits.TENURE_FAILED
    return exits.of_task(end)
