"""Did the demo go well? Counted from the cluster's own records and checked against a direct computation."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tenure.demo.inputs import printable, sha256_of
from tenure.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenure.client import Client
    from tenure.demo.board import Board

HISTORIES_AT_ONCE: Final = 16


@dataclass(slots=True)
class Verdict:
    """The numbers of the final table, and everything that is wrong."""

    tasks: int = 0
    succeeded: int = 0
    one_accepted: int = 0
    rows: int = 0
    hashes_agree: int = 0
    lost: int = 0
    reallocated: int = 0
    restart_seconds: list[float] = field(default_factory=list)
    repeated: int = 0
    read_bytes: int = 0
    gzip_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every task succeeded once, with one row whose hash is right."""
        counts = {self.succeeded, self.one_accepted, self.rows, self.hashes_agree}
        return counts == {self.tasks} and not self.problems


async def judge(client: Client, board: Board, killed_at: float | None) -> Verdict:
    """Look at every task's history, row and hash."""
    verdict = Verdict(tasks=len(board.files), repeated=board.repeated)
    limit = asyncio.Semaphore(HISTORIES_AT_ONCE)

    async def history(task_id: str) -> Sequence[pb.Attempt]:
        async with limit:
            return (await client.history(task_id)).attempts

    histories = await asyncio.gather(*(history(task_id) for task_id in board.files))
    for task_id, attempts in zip(board.files, histories, strict=True):
        _judge_attempts(verdict, board, task_id, attempts, killed_at)
    await asyncio.to_thread(_judge_rows, verdict, board)
    return verdict


def table(verdict: Verdict, seconds: float, killed: str) -> list[tuple[str, str]]:
    """The rows of the final table."""
    restart = "none was lost"
    if verdict.restart_seconds:
        median, slowest = statistics.median(verdict.restart_seconds), max(verdict.restart_seconds)
        restart = f"{median:.2f} median, {slowest:.2f} slowest"
    return [
        ("tasks", f"{verdict.tasks}"),
        ("succeeded", f"{verdict.succeeded}"),
        ("with exactly one accepted attempt", f"{verdict.one_accepted}"),
        ("rows read back, one per file", f"{verdict.rows}"),
        ("SHA-256 equal to a direct computation", f"{verdict.hashes_agree}"),
        ("node killed with its whole process tree", killed),
        ("attempts lost", f"{verdict.lost}"),
        ("of these reallocated", f"{verdict.reallocated}"),
        ("repeated, their output died with the node", f"{verdict.repeated}"),
        ("seconds from the kill to their restart", restart),
        ("bytes read and gzipped", f"{verdict.read_bytes:,} → {verdict.gzip_bytes:,}"),
        ("throughput", f"{verdict.tasks / seconds:.0f} tasks/s ({seconds:.1f} s)"),
    ]


def _judge_attempts(
    verdict: Verdict, board: Board, task_id: str, attempts: Sequence[pb.Attempt], killed_at: float | None
) -> None:
    task = board.tasks[task_id]
    verdict.succeeded += task.state == pb.TASK_STATE_SUCCEEDED
    if task.state != pb.TASK_STATE_SUCCEEDED:
        verdict.problems.append(
            f"{printable(str(board.files[task_id]))}: {pb.TaskState.Name(task.state)} {task.reason}"
        )
    accepted = sum(attempt.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED for attempt in attempts)
    verdict.one_accepted += accepted == 1
    for attempt, following in zip(attempts, [*attempts[1:], None], strict=True):
        if attempt.outcome != pb.ATTEMPT_OUTCOME_LOST:
            continue
        verdict.lost += 1
        verdict.reallocated += following is not None
        if following is not None and killed_at is not None:
            began = following.started_at if following.HasField("started_at") else following.assigned_at
            seconds = began.ToNanoseconds() / 1e9 - killed_at
            if seconds >= 0:
                verdict.restart_seconds.append(seconds)


def _judge_rows(verdict: Verdict, board: Board) -> None:
    for task_id, path in board.files.items():
        row = board.row(task_id)
        if row is None or row.get("path") != str(path):
            lines = board.rows.get(task_id, {})
            gap = f"; missing: {board.gaps[task_id]}" if task_id in board.gaps else ""
            verdict.problems.append(f"{printable(str(path))}: instead of one row the log holds {lines}{gap}")
            continue
        verdict.rows += 1
        verdict.hashes_agree += row.get("sha256") == sha256_of(path)
        verdict.read_bytes += int(row.get("bytes", 0))
        verdict.gzip_bytes += int(row.get("gzip", 0))
