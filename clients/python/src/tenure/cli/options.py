"""Which options do several commands share?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

SPEC_OPTIONS: Final = (
    "cpu", "memory", "resource", "indexed", "label", "constraint", "priority", "queue", "namespace",
    "name", "env", "retries", "timeout", "on_disconnect", "cwd",
)  # fmt: skip
"""The options that describe the task itself, by their names as parameters of a command."""


COMPLETED_FROM: Final = 2_000
"""Completion looks at the newest tasks only: a shell that hangs is worse than an id that is not completed."""


def complete_task(incomplete: str) -> list[str]:
    """Ids of tasks for the shell; silent when no server answers."""
    import asyncio

    from tenure.client import Client
    from tenure.errors import TenureError

    async def ids() -> list[str]:
        async with Client(patience=0.5, connect_timeout=0.5) as client:
            newest = client.list(limit=COMPLETED_FROM)
            return [task.id async for task in newest if task.id.startswith(incomplete)]

    try:
        return asyncio.run(ids())
    except TenureError:
        return []


def complete_worker(incomplete: str) -> list[str]:
    """Names of workers for the shell; silent when no server answers."""
    import asyncio

    from tenure.client import Client
    from tenure.errors import TenureError

    async def names() -> list[str]:
        async with Client(patience=0.5, connect_timeout=0.5) as client:
            return [worker.name for worker in await client.workers() if worker.name.startswith(incomplete)]

    try:
        return asyncio.run(names())
    except TenureError:
        return []


Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
TaskId = Annotated[
    str, typer.Argument(metavar="ID", help="Task id or a unique prefix.", autocompletion=complete_task)
]
TaskIds = Annotated[
    list[str],
    typer.Argument(metavar="ID", help="Task ids or unique prefixes.", autocompletion=complete_task),
]
Workers = Annotated[
    list[str], typer.Argument(metavar="WORKER", help="Names of workers.", autocompletion=complete_worker)
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="One sentence for people.")]
NeededReason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="How it is known; kept.")]
Deadline = Annotated[
    str | None,
    typer.Option("--deadline", metavar="TIME", help="Until what still runs is stopped: 90s, 10m, 2h."),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Begin it and return.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- CMD [ARG]...", help="Program and arguments; no shell."),
]
Cpu = Annotated[str | None, typer.Option("--cpu", metavar="N", help="Processors: 2, 0.5, 500m. [default: 1]")]
Memory = Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="Memory: 64MiB, 2G.")]
Resource = Annotated[
    list[str] | None,
    typer.Option("--resource", metavar="NAME=N", help="Counted resource, as licence=2. Repeatable."),
]
Indexed = Annotated[
    list[str] | None,
    typer.Option("--indexed", metavar="NAME=N", help="Granted by index, as gpu=1. Repeatable."),
]
Label = Annotated[list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="Repeatable.")]
Constraint = Annotated[
    list[str] | None,
    typer.Option(
        "--constraint",
        metavar="EXPR",
        help="Condition on worker labels: zone=a,b  zone!=a  ssd  !ssd  ram>64  ram<64. Repeatable.",
    ),
]
Priority = Annotated[
    int,
    typer.Option("--priority", min=-1000, max=1000, metavar="N", help="Higher goes first, -1000 to 1000."),
]
Queue = Annotated[str, typer.Option("--queue", metavar="QUEUE", help="Queue to wait in.")]
Namespace = Annotated[str, typer.Option("--namespace", metavar="NS", help="Namespace of the task.")]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="Name for people.")]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="NAME[=VALUE]", help="Variable; without a value, yours. Repeatable."),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries",
        min=0,
        max=1000,
        metavar="N",
        help="How many failed attempts are tried again, up to 1000.",
    ),
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="TIME", help="Longest run of one attempt: 30s, 10m.")
]
OnDisconnect = Annotated[
    str | None,
    typer.Option(
        "--on-disconnect",
        metavar="continue|stop",
        help="When its node loses the scheduler; stop: executions never overlap.",
    ),
]
Cwd = Annotated[
    str,
    typer.Option("--cwd", metavar="DIR", help="Directory on the node. [default: a fresh one]"),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Where everything is kept, and stays.")
]

NO_RICH: Final[dict[str, Any]] = {"rich_markup_mode": None}


def examples(*lines: str) -> str:
    """The end of a help text: commands to copy."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
