"""How does a person follow the demo: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenure.demo.inputs import printable

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
    said = ""
    while True:
        await asyncio.sleep(LIVE_SECONDS)
        now = (
            f"  {board.done} of {len(board.files)} done, {board.running} running, "
            f"{board.pending} pending, {board.read} read; {_last(board)}"
        )
        if time.monotonic() - shown >= PLAIN_SECONDS and now != said:
            shown, said = time.monotonic(), now
            say(now)


async def _live(board: Board) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f} done"),
        TextColumn(
            "{task.fields[running]} running, {task.fields[pending]} pending, {task.fields[read]} read"
        ),
        TimeElapsedColumn(),
    )
    progress = Progress(*columns)
    bar = progress.add_task("", total=len(board.files), running=0, pending=len(board.files), read=0)
    log = Text(style="dim", no_wrap=True, overflow="ellipsis")
    console = Console(no_color=bool(os.environ.get("NO_COLOR")))

    def draw() -> None:
        progress.update(
            bar, completed=board.done, running=board.running, pending=board.pending, read=board.read
        )
        log.plain = _last(board)

    with Live(Group(progress, log), console=console, refresh_per_second=10):
        try:
            while True:
                draw()
                await asyncio.sleep(LIVE_SECONDS)
        finally:
            draw()  # What stays on the screen is how it ended.


def _last(board: Board) -> str:
    """The newest line that arrived through the log relay, shortened to what it is about."""
    try:
        row = json.loads(board.last_line)
        return f"newest log line: {printable(Path(row['path']).name)} {row['bytes']} → {row['gzip']} bytes"
    except (ValueError, TypeError, KeyError):
        return "no output yet"
