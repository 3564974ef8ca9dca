"""What does the demo know at each moment?"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tenure.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tenure.client import Client

TERMINAL: Final = frozenset({pb.TASK_STATE_SUCCEEDED, pb.TASK_STATE_FAILED, pb.TASK_STATE_CANCELLED})
WAITING: Final = frozenset({pb.TASK_STATE_PENDING, pb.TASK_STATE_BACKOFF, pb.TASK_STATE_QUARANTINED})
READERS: Final = 16


@dataclass(slots=True)
class Board:
    """States as the watch brings them, rows as the log relay brings them."""

    files: dict[str, Path] = field(default_factory=dict)
    """The file of each task."""
    tasks: dict[str, pb.Task] = field(default_factory=dict)
    rows: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    """Lines of output by task and attempt."""
    done: int = 0
    running: int = 0
    read: int = 0
    """Tasks whose output was read to its end."""
    last_line: str = ""
    gaps: dict[str, str] = field(default_factory=dict)
    """Why output of a task is missing."""
    repeated: int = 0
    """Tasks done again because their output died with their node."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    to_read: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    @property
    def pending(self) -> int:
        return max(len(self.files) - self.done - self.running, 0)

    def update(self, tasks: Iterable[pb.Task]) -> None:
        """Take newer states over; a task that has begun is queued for reading."""
        for task in tasks:
            before = self.tasks.get(task.id)
            if before is not None and before.state in TERMINAL:
                continue
            self.tasks[task.id] = task
            self.running += _runs(task) - (_runs(before) if before is not None else 0)
            self.done += task.state in TERMINAL
            if task.id not in self.rows and task.state not in WAITING:
                self.rows[task.id] = {}
                self.to_read.put_nowait(task.id)
        self.changed.set()

    async def until(self, done: int) -> None:
        """Return when at least so many tasks have ended."""
        while self.done < done:
            self.changed.clear()
            await self.changed.wait()

    def on_worker(self, worker: str) -> int:
        """How many tasks the worker holds now."""
        return sum(_runs(task) and task.attempt.worker == worker for task in self.tasks.values())

    def row(self, task_id: str) -> dict[str, Any] | None:
        """What the accepted attempt printed; None unless it is exactly one line of JSON."""
        lines = self.rows.get(task_id, {}).get(self.tasks[task_id].attempt.number, [])
        if len(lines) != 1:
            return None
        try:
            found = json.loads(lines[0])
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


async def repeat_unreadable(client: Client, board: Board) -> None:
    """Do again what succeeded but whose output died with its node, until every file has its row.

    A node that ends for good takes along what no relay had acknowledged yet; readers then get a gap, and
    whoever needs the output repeats the task.
    """
    while unreadable := [one for one in board.files if one in board.gaps and board.row(one) is None]:
        for task_id in unreadable:
            path = board.files.pop(task_id)
            board.files[await client.retry(task_id)] = path
        board.repeated += len(unreadable)
        board.done -= len(unreadable)
        board.read -= len(unreadable)
        await board.until(len(board.files))
        await board.to_read.join()


async def keep_watching(client: Client, board: Board, run: str) -> None:
    """Feed the board from a watch until cancelled."""
    async for message in client.watch(pb.TaskFilter(labels={"demo": run})):
        board.update(message.tasks)


async def keep_reading(client: Client, board: Board) -> None:
    """Read the output of one task after the other until cancelled."""
    while True:
        task_id = await board.to_read.get()
        attempt = 0
        async for message in client.follow_logs(task_id):
            kind = message.WhichOneof("item")
            if kind == "attempt_begin":
                attempt = message.attempt_begin.attempt
            elif kind == "lines":
                lines = [entry.text.decode("utf-8", "replace") for entry in message.lines.entries]
                board.rows[task_id].setdefault(attempt, []).extend(lines)
                board.last_line = lines[-1]
            elif kind == "gap":
                board.gaps[task_id] = message.gap.reason
        board.read += 1
        board.to_read.task_done()


def _runs(task: pb.Task) -> bool:
    return task.state not in TERMINAL and task.state not in WAITING
