"""Start as the warden of a node: `python -m tenure_worker_agent.warden --state-directory DIR --agent
COMMAND…`."""

from __future__ import annotations

import argparse
import fcntl
import os
import resource
import socket
import sys
import uuid
from pathlib import Path

from tenure_worker_agent.warden.cgroups import ControlGroups
from tenure_worker_agent.warden.clock import BOOT_ID, boot_id
from tenure_worker_agent.warden.directories import Workplaces
from tenure_worker_agent.warden.handover import carried_state, carry_over, execute_again
from tenure_worker_agent.warden.host import GIB, Host, Settings, basic_environment, group_name
from tenure_worker_agent.warden.journal import Journal
from tenure_worker_agent.warden.records import fold
from tenure_worker_agent.warden.recovery import recover
from tenure_worker_agent.warden.runner import Runner
from tenure_worker_agent.warden.signals import Signals
from tenure_worker_agent.warden.spool import Usage
from tenure_worker_agent.warden.starter import Starter
from tenure_worker_agent.warden.tree import become_subreaper
from tenure_worker_agent.warden.warden import Warden

CANNOT_START = 2


def parse(arguments: list[str]) -> Settings:
    """Read the command line; what follows --agent is the agent's command."""
    parser = argparse.ArgumentParser(prog="tenure-warden", description=__doc__, allow_abbrev=False)
    parser.add_argument("--state-directory", type=Path, required=True)
    parser.add_argument("--attempt-cap", type=int, default=GIB)
    parser.add_argument("--node-cap", type=int, default=10 * GIB)
    parser.add_argument("--no-control-groups", dest="control_groups", action="store_false")
    parser.add_argument("--boot-id-file", type=Path, default=BOOT_ID)
    parser.add_argument("--control-fd", type=int, default=-1)
    parser.add_argument("--failpoint", default="")
    parser.add_argument("--agent", nargs=argparse.REMAINDER, default=[])
    given = vars(parser.parse_args(arguments))
    return Settings(**{**given, "agent": tuple(given["agent"])})


def lock(state: Path) -> int:
    """Take the state directory for this process alone; BlockingIOError when another warden has it."""
    fd = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def build(settings: Settings) -> Host:
    """The parts of a warden; nothing of a former one is touched yet."""
    state = settings.state_directory
    spools = state / "spool"
    spools.mkdir(parents=True, exist_ok=True)
    journal = Journal(state / "journal")
    return Host(
        settings=settings,
        instance=str(uuid.uuid4()),
        boot_id=boot_id(settings.boot_id_file),
        journal=journal,
        ledger=fold(journal.read()),
        groups=ControlGroups(group_name(state), wanted=settings.control_groups),
        workplaces=Workplaces(str(state / "work")),
        usage=Usage(),
        spool_directory=str(spools),
        environment=basic_environment(),
    )


def prepare_process() -> None:
    """What must hold before the first child starts."""
    os.umask(0o022)
    become_subreaper()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in os.listdir("/proc/self/fd"):
        if (fd := int(name)) > 2:
            try:
                os.set_inheritable(fd, False)
            except OSError:
                continue


def main(arguments: list[str] | None = None) -> int:
    """Run until told to end; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    settings = parse(words)
    carried = carried_state()
    prepare_process()
    try:
        settings.state_directory.mkdir(parents=True, exist_ok=True)
        held = carried["lock"] if carried else lock(settings.state_directory)
        host = build(settings)
        signals = Signals()
        runner, starter = Runner(host), Starter(host)
        warden = Warden(host, runner, starter, signals)
        if carried:
            carry_over(carried, host, runner, warden)
        else:
            recover(host)
            runner.remove(host.workplaces.sweep())
            if settings.control_fd >= 0:
                warden.connect(socket.socket(fileno=settings.control_fd))
    except BlockingIOError:
        print(f"another warden uses {settings.state_directory}", file=sys.stderr)
        return CANNOT_START
    except OSError as error:
        print(f"cannot use {settings.state_directory}: {error.strerror or error}", file=sys.stderr)
        return CANNOT_START
    code = warden.run()
    if code is None:
        execute_again(words, held, host, runner, warden)
    host.groups.close()
    host.workplaces.close()
    host.workplaces.close()
    assert code is not None
    return code


if __name__ == "__main__":
    sys.exit(main())
