"""`tenure logs`: the output of a task."""

from typing import Annotated

import typer

from tenure.cli import options as o


def logs(
    task_id: o.TaskId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has ended.")] = False,
    attempt: Annotated[
        int, typer.Option("--attempt", min=0, max=1_000_000_000, help="Only this attempt; 0: all.")
    ] = 0,
    last: Annotated[
        int | None,
        typer.Option("--last", "-n", min=0, max=100_000, metavar="N", help="Begin at the last N lines."),
    ] = None,
    after: Annotated[
        str,
        typer.Option(
            "--after", metavar="CURSOR", help="Go on behind the line that had this cursor in --json."
        ),
    ] = "",
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they came.")] = False,
    as_json: o.Json = False,
) -> None:
    """Print the output of a task.

    Its stdout goes to stdout, its stderr to stderr. Without --raw, control characters that could play with
    your terminal are left out.
    """
    from tenure.buffers import keep_buffers
    from tenure.cli.printing_logs import Wanted, print_logs
    from tenure.cli.running import with_client

    if after and last is not None:
        raise typer.BadParameter("--after and --last exclude each other")
    wanted = Wanted(
        follow=follow, attempt=attempt, last=last, after=after, raw=raw and not as_json, as_json=as_json
    )
    keep_buffers()
    with_client(lambda client: print_logs(client, task_id, wanted))
