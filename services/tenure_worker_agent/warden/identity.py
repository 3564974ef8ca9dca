"""Is this process still the one that we started?

A pid alone may have been given to another process; boot id, pid and start time together name one for ever.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple


class Process(NamedTuple):
    """A process of this boot, named for ever; `ticks` is its start time as `start_ticks` gives it."""

    pid: int
    ticks: int


def start_ticks(pid: int) -> int:
    """Start time in clock ticks since boot; 0 when there is no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def child(pid: int, parent: int) -> Process | None:
    """The process, if it is a child of `parent` still: its pid may be that of a stranger by now."""
    fields = _stat(pid)
    return Process(pid, int(fields[19])) if fields and int(fields[1]) == parent else None


def parent_and_session(pid: int) -> tuple[int, int]:
    """(parent, session) of a process; zeros when there is none."""
    fields = _stat(pid)
    return (int(fields[1]), int(fields[3])) if fields else (0, 0)


def _stat(pid: int) -> list[bytes]:
    """Fields of /proc/<pid>/stat behind the name, which may hold spaces and brackets itself."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(fd, 1024).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)


def kill_if_same(pid: int, ticks: int, number: int = signal.SIGKILL) -> bool:
    """Signal the process only if it started at `ticks`; False when it is gone, another, or not ours to kill.

    The pidfd is opened before the start time is read: from then on the number cannot change hands.
    """
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if start_ticks(pid) != ticks:
            return False
        signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(fd)
    return True
