"""`tenure run`: a task as if it ran here."""

import sys
from typing import Annotated

import typer

from tenure.cli import options as o


def run(
    command: o.Command = None,
    cpu: o.Cpu = None,
    memory: o.Memory = None,
    resource: o.Resource = None,
    indexed: o.Indexed = None,
    label: o.Label = None,
    constraint: o.Constraint = None,
    priority: o.Priority = 0,
    queue: o.Queue = "",
    namespace: o.Namespace = "",
    name: o.Name = "",
    env: o.Env = None,
    retries: o.Retries = 0,
    timeout: o.Timeout = None,
    on_disconnect: o.OnDisconnect = None,
    cwd: o.Cwd = "",
    no_stdin: Annotated[
        bool, typer.Option("--no-stdin", "-n", help="Do not read the standard input.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Run a command as a task, as if it ran here.

    Its input, output and exit code are yours; Ctrl-C cancels it. Standard input that is not a terminal is
    read to its end first and goes with the task, so it may have 64 KiB at most.

    The exit code is the task's own; 128 + N when signal N ended it, 124 when its time was up, 125 when Tenure
    failed, 2 for wrong usage.
    """
    given = dict(locals())
    from tenure.buffers import keep_buffers
    from tenure.cli.describe import SPEC_BYTES, check_size, spec_from_options
    from tenure.cli.following import run_and_follow
    from tenure.cli.running import with_client

    if not command:
        raise typer.BadParameter("say what to run, as in: tenure run -- echo hello")
    stdin = b""
    if not no_stdin and sys.stdin is not None and not sys.stdin.isatty():
        stdin = sys.stdin.buffer.read(SPEC_BYTES + 1)
    chosen = {option: given[option] for option in o.SPEC_OPTIONS}
    spec = spec_from_options(command, stdin=stdin, **chosen)
    check_size(spec)
    keep_buffers()
    with_client(lambda client: run_and_follow(client, spec, as_json=as_json))
