"""The program tenure-worker-agent: configuration and wiring, nothing else.

Started by an operator it checks its configuration and becomes the warden, which starts it again as its agent:
same command line, and the number of the socket between the two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from tenure_runtime.config import from_command_line
from tenure_runtime.startup import CannotStart
from tenure_runtime.supervise import Process, run, told
from tenure_worker_agent.config import PREFIX, PROGRAM, WorkerAgentConfig

WARDEN_FD: Final = "--warden-fd"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the warden, or as the warden's child the agent, until a signal."""
    words = list(sys.argv[1:] if argv is None else argv)
    if WARDEN_FD in words:
        at = words.index(WARDEN_FD)
        run_agent([*words[:at], *words[at + 2 :]], int(words[at + 1]))
    try:
        config = configure(words)
        become_warden(config, words)
    except CannotStart as error:
        raise SystemExit(told(PROGRAM, error)) from None


def configure(words: Sequence[str]) -> WorkerAgentConfig:
    """The configuration from file, environment and flags."""
    return from_command_line(WorkerAgentConfig, program=PROGRAM, prefix=PREFIX, argv=words)


def become_warden(config: WorkerAgentConfig, words: Sequence[str]) -> NoReturn:
    """Replace this process by the warden: same pid, and none of the memory that the check took."""
    folder = config.data_dir.absolute()
    check_folder(folder)
    warden = [sys.executable, "-m", "tenure_worker_agent.warden", "--state-directory", str(folder)]
    caps = ["--attempt-cap", str(config.spool.per_attempt), "--node-cap", str(config.spool.per_node)]
    boot = ["--boot-id-file", str(config.boot_id_file.absolute())]
    agent = ["--agent", sys.executable, "-m", "tenure_worker_agent", *words]
    sys.stdout.flush()
    os.execv(sys.executable, [*warden, *caps, *boot, *agent])


def check_folder(folder: Path) -> None:
    """CannotStart unless the data directory can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise CannotStart(f"cannot use the data directory {folder}: it is not a directory") from None
    except OSError as error:
        raise CannotStart(f"cannot use the data directory {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotStart(f"cannot use the data directory {folder}: it is not writable")


def run_agent(words: Sequence[str], fd: int) -> NoReturn:
    """Be the agent of the warden at the other end of this socket."""

    # Imported here: what becomes the warden needs none of it.
    from tenure_worker_agent.wiring import wire

    async def serve(process: Process, config: WorkerAgentConfig) -> None:
        await wire(process, config, fd)

    run(PROGRAM, serve, configure=lambda: configure(words))


if __name__ == "__main__":
    main()
