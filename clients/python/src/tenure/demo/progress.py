"""How does a person follow the demo: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tenure.demo.board import Board

PLAIN_SECONDS: Final = 3.0
LIVE_SECONDS: Final = 0.1


def say(sentence: str) -> None:
    """One line of the story."""
    print(sentence, flush=True)


async def show_progress(board: Board) -> None:
    """Show how far the tasks are until cancelled."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        await _live(board)
    else:
        await _plain(board)


async def _plain(board: Board) -> None:
    shown = time.monotonic()
    while True:
        await asyncio.sleep(LIVE_SECONDS)
        if time.monotonic() - shown >= PLAIN_SECONDS:
            shown = time.monotonic()
            say(
                f"  {board.done} of {len(board.files)} done, {board.running} running, "
                f"{board.pending} pending{_last(board)}"
            )


async def _live(board: Board) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f} done"),
        TextColumn("{task.fields[running]} running, {task.fields[pending]} pending"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[last]}", table_column=None),
    )
    console = Console(no_color=bool(os.environ.get("NO_COLOR")))
    with Progress(*columns, console=console, refresh_per_second=10) as progress:
        bar = progress.add_task("", total=len(board.files), running=0, pending=len(board.files), last="")
        while True:
            progress.update(
                bar,
                completed=board.done,
                running=board.running,
                pending=board.pending,
                last=_last(board).removeprefix("; last: "),
            )
            await asyncio.sleep(LIVE_SECONDS)


def _last(board: Board) -> str:
    """The newest line that arrived through the log relay, shortened to what it is about."""
    try:
        row = json.loads(board.last_line)
        return f"; last: {Path(row['path']).name} {row['bytes']} → {row['gzip']} bytes"
    except (ValueError, TypeError, KeyError):
        return ""
