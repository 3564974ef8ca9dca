"""How does a person follow a drain, and what does declaring a worker dead ask of them?"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import typer

from tenure.cli.json_form import dumps, of_message
from tenure.cli.tables import SHORT_ID, age, clean, show_table, time_of
from tenure.specs import parse_duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tenure.v1.worker_admin_service_pb2 import DrainWorkersResponse


def checked_deadline(text: str | None) -> float | None:
    """The seconds of `--deadline`; a usage error for what is no time, or none at all."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--deadline") from None
    if seconds <= 0:
        raise typer.BadParameter("give the tasks some time, 1s at least", param_hint="--deadline")
    return seconds


async def follow(
    views: AsyncIterator[DrainWorkersResponse], names: Sequence[str], *, wait: bool, as_json: bool
) -> None:
    """Show a drain until it is done; interrupted, say that it goes on."""
    left: int | None = None
    try:
        async for view in views:
            if as_json:
                print(dumps(of_message(view)), flush=True)
            elif left is None:
                _show_plan(view)
            elif view.remaining != left and not view.done:
                print(f"{view.remaining} left", flush=True)
            left = view.remaining
            if not wait:
                return
    except asyncio.CancelledError:
        _say(f"The drain goes on. End it with: tenure undrain {' '.join(names)}")
        raise
    if not as_json:
        print(f"{', '.join(names)}: empty. To let them serve again: tenure undrain {' '.join(names)}")


def _show_plan(view: DrainWorkersResponse) -> None:
    names = ", ".join(worker.name for worker in view.workers)
    until = max((worker.drain_deadline.ToNanoseconds() for worker in view.workers), default=0)
    if not view.remaining:
        return
    deadline = next(w.drain_deadline for w in view.workers if w.drain_deadline.ToNanoseconds() == until)
    attempts = "1 attempt runs" if view.remaining == 1 else f"{view.remaining} attempts run"
    print(f"draining {clean(names)} until {time_of(deadline)}: {attempts} there", flush=True)
    rows = [
        (each.task_id[:SHORT_ID], each.task_name, each.worker, age(each.started_at)) for each in view.running
    ]
    show_table(("TASK", "NAME", "WORKER", "RUNS FOR"), rows)
    sys.stdout.flush()


def confirm_dead(names: Sequence[str]) -> None:
    """Ask whether somebody really vouches for it; where nobody can be asked, refuse."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: say --yes", param_hint="--yes")
    _say("Their tasks start elsewhere at once. If one of these workers lives after all, executions of a task")
    _say("with on_disconnect stop may overlap. Be sure that the machines are off.")
    typer.confirm(f"Declare {', '.join(names)} dead?", abort=True, err=True)


def tell_lost(fences: Sequence[str], as_json: bool) -> None:
    """Which attempts were given away."""
    if as_json:
        print(dumps({"lost": list(fences)}))
        return
    for fence in fences:
        print(fence)
    _say(f"{len(fences)} attempt{'' if len(fences) == 1 else 's'} given away")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
