"""`up`, `down`, `demo`: a fleet on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from tenure.cli import options as o


def up(
    schedulers: Annotated[int, typer.Option("--schedulers", min=1, max=9, help="How many replicas.")] = 1,
    agents: Annotated[int, typer.Option("--agents", min=0, max=100, help="How many worker nodes.")] = 1,
    relays: Annotated[int, typer.Option("--relays", min=1, max=9, help="How many log relays.")] = 1,
    data_dir: o.DataDir = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is ready; `tenure down` ends it.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Start a fleet on this machine.

    etcd, schedulers, workers and log relays, each a process of its own. Ctrl-C stops everything. Whatever
    dies is started again.
    """
    from tenure.cli import exits
    from tenure.cli.local_fleet import bring_up
    from tenure.cli.running import to_the_end
    from tenure.local.fleet import Fleet

    wanted = Fleet(
        schedulers=schedulers,
        agents=agents,
        relays=relays,
        data_dir=data_dir,
        default_ports=True,
        report=exits.say if as_json else print,
    )
    to_the_end(bring_up(wanted, detach=detach, as_json=as_json))


def down(data_dir: o.DataDir = None, as_json: o.Json = False) -> None:
    """Stop the fleet that `tenure up` started.

    Everything that runs in it ends with it.
    """
    from tenure.cli.local_fleet import take_down
    from tenure.cli.running import to_the_end

    to_the_end(take_down(data_dir, as_json=as_json))


def demo(
    folder: Annotated[
        Path | None,
        typer.Option("--input", metavar="DIR", help="Folder with the files. [default: Python's own library]"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many files.")] = 2000,
    agents: Annotated[int, typer.Option("--agents", min=2, max=50, help="How many worker nodes.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data and logs of the fleet.")] = False,
) -> None:
    """Run many tasks, and kill a node half way.

    Each task computes the SHA-256 and the gzip size of one file, on a fleet that is started for it. The
    results are checked.
    """
    from tenure.cli.running import to_the_end
    from tenure.demo import run_demo

    to_the_end(run_demo(folder, limit=limit, agents=agents, keep=keep))
