"""How does a command end, and what does it say when it fails?

Exit codes: 0; the task's own; 128 + N for a signal; 124 timed out; 125 Tenure's error; 2 usage.
"""

from __future__ import annotations

import io
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
_START_OR_NAME: Final = (
    "start a local fleet with `tenure up`, or name a server with --address or TENURE_ADDRESS"
)
_LISTED_BY: Final = {"task": "tenure ps -a", "worker": "tenure workers"}


def complain(error: TenureError) -> int:
    """Tell an error in a line or a few, with what to do next; returns the exit code."""
    for line in _lines(error):
        say(line)
    return USAGE if isinstance(error, (BadConfiguration, SpecFileError)) else TENURE_FAILED


def say(sentence: str) -> None:
    """One line for people, on standard error."""
    try:
        print(f"tenure: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        pass  # Nobody can be told.


def _lines(error: TenureError) -> list[str]:
    if isinstance(error, SpecFileError):
        return list(error.faults)
    if isinstance(error, InvalidArgument) and error.violations:
        return [f"{violation.path}: {violation.description}" for violation in error.violations]
    if isinstance(error, Unavailable) and error.message.startswith("nothing answers"):
        return [f"{error.message}; {_START_OR_NAME}"]
    if isinstance(error, NotFound) and error.kind in _LISTED_BY:
        return [f"{error.message}; `{_LISTED_BY[error.kind]}` lists the {error.kind}s"]
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


def make_streams_usable() -> None:
    """Put the null device where a standard stream was closed before the start (`tenure … >&-`).

    Else the next file or socket that is opened gets its number, and output meant for people is written there.
    What the terminal's encoding cannot say is escaped, not refused.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def refused_by_system(error: OSError) -> int:
    """Tell which file could not be used, or else that output could not be written; returns the exit code."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    what = f"cannot use {error.filename}" if error.filename else "the output cannot be written"
    say(f"{what}: {error.strerror or error}")
    return TENURE_FAILED


def not_text(error: UnicodeEncodeError) -> int:
    """Tell which argument or variable cannot go into a task; returns the exit code."""
    say(f"{error.object!a} is not UTF-8 text, and tasks carry no other")
    return USAGE


def leave_quietly() -> None:
    """Nobody reads our output any more: let nothing complain about that at the end of the process."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())
    os.close(null)
