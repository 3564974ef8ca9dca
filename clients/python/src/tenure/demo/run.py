"""What happens in `tenure demo`, from the first line to the last?"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenure.demo.board import READERS, Board, keep_reading, keep_watching, repeat_unreadable
from tenure.demo.inputs import find_files, task_for
from tenure.demo.progress import say, show_progress
from tenure.demo.verdict import judge, table
from tenure.local.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from tenure.client import Client
    from tenure.demo.verdict import Verdict

PATIENCE: Final = 120.0
TIME_LIMIT: Final = 600.0
SHOWN_PROBLEMS: Final = 10
UNEXPLAINED_SECONDS: Final = 4.0


async def run_demo(folder: Path | None, *, limit: int, agents: int, keep: bool = False) -> int:
    """Exit code 0 only if every task succeeded in one accepted attempt and every file has one right row."""
    found = find_files(folder, limit)
    files = found.chosen
    here = asyncio.current_task()
    assert here is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, here.cancel)
    data_dir = Path(tempfile.mkdtemp(prefix="tenure-demo-")) if keep else None
    fleet = Fleet(schedulers=2, agents=agents, relays=1, data_dir=data_dir, report=say)
    say(f"Starting etcd, 2 schedulers, {agents} worker nodes and a log relay on this machine …")
    began = time.monotonic()
    try:
        async with fleet:
            say(f"Ready after {time.monotonic() - began:.1f} s. {len(files)} files, one task for each.")
            if found.unreadable:
                say(f"{found.unreadable} more may not be read and are left out.")
            async with asyncio.timeout(TIME_LIMIT):
                code = await _perform(fleet, files)
            say("Stopping the fleet …")
    except asyncio.CancelledError:
        say("Interrupted; the fleet is stopped and nothing is left behind.")
        return 130
    except TimeoutError:
        say(f"The demo did not end within {TIME_LIMIT:.0f} s.")
        return 1
    if keep:
        say(f"Everything is kept in {data_dir}; logs of the servers in {data_dir}/logs.")
    return code


async def _perform(fleet: Fleet, files: list[Path]) -> int:
    from tenure.client import Client

    run = uuid.uuid4().hex[:12]
    board = Board()
    async with Client(fleet.address, patience=PATIENCE, connect_timeout=PATIENCE) as client:
        async with _background(
            keep_watching(client, board, run), *(keep_reading(client, board) for _ in range(READERS))
        ) as failed:
            began = time.monotonic()
            await _submit(client, board, files, run)
            async with _background(show_progress(board)):
                killed, killed_at = await _unless(failed, _kill_half_way(fleet, board))
                await _unless(failed, board.until(len(files)))
                seconds = time.monotonic() - began
                await _unless(failed, _read_the_rest(board))
                await _unless(failed, repeat_unreadable(client, board))
            say(f"All {len(files)} tasks have ended after {seconds:.1f} s; checking every row and history …")
            verdict = await _unless(failed, judge(client, board, killed_at))
    return _tell(verdict, seconds, killed)


async def _read_the_rest(board: Board) -> None:
    """Return when every reader has come to an end; told when that takes a while."""
    try:
        async with asyncio.timeout(UNEXPLAINED_SECONDS):
            await board.to_read.join()
    except TimeoutError:
        missing = len(board.files) - board.read
        say(f"  All tasks have ended; output of {missing} may have died with its node, and is waited for …")
        await board.to_read.join()


async def _submit(client: Client, board: Board, files: list[Path], run: str) -> None:
    specs = [task_for(path, run) for path in files]
    ids = [f"{run}-{number}" for number in range(len(files))]
    submitted = await client.submit_many(specs, request_ids=ids)
    for result, path in zip(submitted, files, strict=True):
        if result.error is not None:
            raise result.error
        board.files[result.task_id] = path


async def _kill_half_way(fleet: Fleet, board: Board) -> tuple[str, float]:
    """Kill the busiest node once half of the tasks are done."""
    await board.until(len(board.files) // 2)
    victim = max(fleet.agents, key=board.on_worker)
    killed_at = time.time()
    pids = await fleet.kill_node(victim)
    say(f"  SIGKILL to {victim}: agent, warden and tasks, {len(pids)} processes.")
    return f"{victim}, {len(pids)} processes", killed_at


def _tell(verdict: Verdict, seconds: float, killed: str) -> int:
    rows = table(verdict, seconds, killed)
    width = max(len(name) for name, _ in rows)
    say("")
    for name, value in rows:
        say(f"  {name:<{width}}  {value}")
    say("")
    for problem in verdict.problems[:SHOWN_PROBLEMS]:
        say(f"  {problem}")
    if len(verdict.problems) > SHOWN_PROBLEMS:
        say(f"  and {len(verdict.problems) - SHOWN_PROBLEMS} more")
    say(
        "Every task succeeded, each with exactly one accepted result." if verdict.good else "The demo FAILED."
    )
    return 0 if verdict.good else 1


@contextlib.asynccontextmanager
async def _background(*works: Coroutine[Any, Any, None]) -> Any:
    """Run coroutines beside the body; yields what ends only when one of them failed."""
    tasks = [asyncio.ensure_future(work) for work in works]
    failed = asyncio.ensure_future(asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION))
    try:
        yield (failed, tasks)
    finally:
        for task in (*tasks, failed):
            task.cancel()
        await asyncio.gather(*tasks, failed, return_exceptions=True)


async def _unless(failed: Any, work: Coroutine[Any, Any, Any]) -> Any:
    """The result of the work, unless a background task fails before."""
    ended, tasks = failed
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            for task in tasks:
                if task.done():
                    task.result()
        return await working
    finally:
        working.cancel()
