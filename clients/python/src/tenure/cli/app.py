"""Which commands are there?"""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from tenure.cli import exits, running
from tenure.cli.commands import cluster, fleet, logs, run, submit, tasks, workers
from tenure.cli.options import NO_RICH, examples
from tenure.errors import TenureError

app = typer.Typer(
    name="tenure",
    help="Run tasks on a fleet of machines, and never lose one.",
    epilog=examples(
        "tenure up                                 start a fleet on this machine",
        "tenure run -- echo hello                  run a task and see its output",
        "tenure submit --array 1-100 -- sh -c 'echo $TENURE_ARRAY_INDEX'",
        "tenure ps -a                              list tasks",
        "tenure logs -f ID                         follow the output of a task",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    **NO_RICH,
)
server_app = typer.Typer(help="See the servers.", no_args_is_help=True, **NO_RICH)

cluster_app = typer.Typer(
    help="Look after the store, with etcd's credentials.", no_args_is_help=True, **NO_RICH
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"tenure {version('tenure')}")
        raise typer.Exit


@app.callback()
def options(
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="Schedulers. [env: TENURE_ADDRESS]"),
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", metavar="NAME", help="A context of the configuration file.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    running.address = address
    running.context = context


def _add(function: Callable[..., None], name: str, *lines: str, takes_command: bool = False) -> None:
    settings = {"allow_interspersed_args": False} if takes_command else {}
    app.command(name, epilog=examples(*lines), context_settings=settings)(function)


_add(
    fleet.up,
    "up",
    "tenure up                         one scheduler, one worker, one log relay; Ctrl-C ends them",
    "tenure up --schedulers 2 --agents 3",
    "tenure up --data-dir ./state --detach",
)
_add(fleet.down, "down", "tenure down", "tenure down --data-dir ./state")
_add(fleet.demo, "demo", "tenure demo", "tenure demo --input ~/pictures --limit 200 --agents 3")
_add(
    run.run,
    "run",
    "tenure run -- echo hello",
    "tenure run --cpu 2 --memory 1GiB --timeout 10m -- make -j2",
    "cut -d: -f7 /etc/passwd | tenure run -- sort -u",
    takes_command=True,
)
_add(
    submit.submit,
    "submit",
    "tenure submit -- ./render.sh scene.blend",
    "tenure submit -f tasks.yaml",
    "tenure submit --array 1-1000 -- sh -c './step $TENURE_ARRAY_INDEX'",
    "tenure submit --each-line urls.txt -- sh -c 'curl -sO \"$TENURE_EACH_LINE\"'",
    "tenure wait $(tenure submit -- sleep 5)",
    takes_command=True,
)
_add(tasks.wait, "wait", "tenure wait 4kx9", "tenure submit --array 1-10 -- true | tenure wait -")
_add(
    tasks.ps,
    "ps",
    "tenure ps",
    "tenure ps --state failed",
    "tenure ps -q --label run=7 | tenure wait -",
)
_add(tasks.show, "show", "tenure show 4kx9", "tenure show --json 4kx9 | jq .state")
_add(logs.logs, "logs", "tenure logs 4kx9", "tenure logs -f 4kx9", "tenure logs --raw 4kx9 > output.bin")
_add(tasks.cancel, "cancel", "tenure cancel 4kx9", "tenure cancel --label run=7 --state pending")
_add(tasks.retry, "retry", "tenure retry 4kx9")
_add(tasks.release, "release", "tenure release 4kx9")
_add(tasks.explain, "explain", "tenure explain 4kx9")
_add(tasks.history, "history", "tenure history 4kx9")
_add(
    tasks.verify_fence,
    "verify-fence",
    "tenure verify-fence && ./publish.sh       inside a task: only while this attempt holds it",
    "tenure verify-fence 1.4kx90a7d2m5n8p1r3t6v.2",
)
_add(workers.workers, "workers", "tenure workers", "tenure workers --json")
_add(workers.cordon, "cordon", "tenure cordon worker-1 --reason 'new disk'")
_add(workers.uncordon, "uncordon", "tenure uncordon worker-1")
_add(
    workers.drain,
    "drain",
    "tenure drain worker-1 --deadline 10m --reason 'new kernel'",
    "tenure drain worker-1                      look at the drain again",
)
_add(workers.undrain, "undrain", "tenure undrain worker-1")
_add(workers.declare_dead, "declare-dead", "tenure declare-dead worker-1 --reason 'its rack burnt'")
server_app.command("info", epilog=examples("tenure server info"))(workers.server_info)
app.add_typer(server_app, name="server")
for _act, _name, *_lines in (
    (
        cluster.status,
        "status",
        "tenure cluster status",
        "tenure cluster status --config scheduler.toml --json",
    ),
    (
        cluster.snapshot,
        "snapshot",
        "tenure cluster snapshot /backup/tenure-$(date +%F).db --config /etc/tenure/scheduler.toml",
    ),
    (
        cluster.free_space,
        "free-space",
        "tenure cluster free-space --etcd etcd-1:2379,etcd-2:2379,etcd-3:2379",
    ),
    (cluster.new_incarnation, "new-incarnation", "tenure cluster new-incarnation --config scheduler.toml"),
):
    cluster_app.command(_name, epilog=examples(*_lines))(_act)
app.add_typer(cluster_app, name="cluster")


def start() -> None:
    """Run the command line; what a command forgot to turn into a line is turned into one here."""
    exits.make_streams_usable()
    try:
        app(prog_name="tenure")
    except TenureError as error:
        sys.exit(exits.complain(error))
    except UnicodeEncodeError as error:
        sys.exit(exits.not_text(error))
    except OSError as error:
        code = exits.refused_by_system(error)
        exits.leave_quietly()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
