"""How does a command end, and what does it say when it fails?

Exit codes: 0; the task's own; 128 + N for a signal; 124 timed out; 125 Tenure's error; 2 usage.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from tenure.errors import BadConfiguration, InvalidArgument, NotFound, SpecFileError, TenureError, Unavailable

if TYPE_CHECKING:
    from tenure.v1.log_service_pb2 import LogEnd
    from tenure.v1.task_pb2 import Task

TIMED_OUT: Final = 124
TENURE_FAILED: Final = 125
USAGE: Final = 2
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


def complain(error: TenureError) -> int:
    """Tell an error in a line or a few, with what to do next; returns the exit code."""
    for line in _lines(error):
        say(line)
    return USAGE if isinstance(error, (BadConfiguration, SpecFileError)) else TENURE_FAILED


def say(sentence: str) -> None:
    """One line for people, on standard error."""
    try:
        print(f"tenure: {sentence}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        pass


def _lines(error: TenureError) -> list[str]:
    if isinstance(error, SpecFileError):
        return list(error.faults)
    if isinstance(error, InvalidArgument) and error.violations:
        return [f"{violation.path}: {violation.description}" for violation in error.violations]
    if isinstance(error, Unavailable) and error.message.startswith("nothing answers"):
        hint = "start a local fleet with `tenure up`, or name a server with --address or TENURE_ADDRESS"
        return [f"{error.message}; {hint}"]
    if isinstance(error, NotFound) and error.kind == "task":
        return [f"{error.message}; `tenure ps -a` lists the tasks"]
    return [error.message]


def of_task(task: Task | LogEnd) -> int:
    """The exit code that stands for a task's end."""
    from tenure.v1 import task_pb2 as pb

    if task.outcome == pb.ATTEMPT_OUTCOME_TIMED_OUT:
        return TIMED_OUT
    if task.HasField("exit_code"):
        return task.exit_code & 0xFF
    if task.HasField("signal"):
        return 128 + task.signal
    return 0 if task.state == pb.TASK_STATE_SUCCEEDED else TENURE_FAILED


def leave_quietly() -> None:
    """Nobody reads our output any more: let nothing complain about that at the end of the process."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())
    os.close(null)
