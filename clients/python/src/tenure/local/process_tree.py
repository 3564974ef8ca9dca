"""Which processes belong together, and how do all of them end?

Standard library only, by reading /proc. A process that left its parent (a daemon) is found by a folder that
it works in or carries in its environment. Signals go through pidfds, so that a reused pid is never hit.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def parents() -> dict[int, int]:
    """The parent of every process; zombies, which have ended already, are left out."""
    found: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  (a third of the time of Path.iterdir)
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[0] not in (b"Z", b"X"):
            found[int(entry)] = int(fields[1])
    return found


def descendants(pid: int) -> list[int]:
    """Children of `pid`, their children and so on, parents before children; without `pid` itself."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found = list(children.get(pid, ()))
    for child in found:
        found.extend(children.get(child, ()))
    return found


def connected_with(folder: Path) -> list[int]:
    """Processes that work below `folder` or carry its path in their environment."""
    wanted = os.fsencode(folder)
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit() and int(entry) != os.getpid() and _mentions(entry, wanted):
            found.append(int(entry))
    return found


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def is_alive(pid: int, ticks: int = 0) -> bool:
    """Whether the process runs (a zombie does not), and started at `ticks` where those are given."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in (b"Z", b"X") and ticks in (0, int(fields[19]))


def send(pids: Iterable[int], number: int) -> None:
    """Signal processes; those that are gone are passed over."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            signal.pidfd_send_signal(fd, number)
        except OSError:
            pass
        finally:
            os.close(fd)


def end_all(collect: Callable[[], list[int]], deadline: float = 10.0) -> list[int]:
    """SIGKILL what `collect` finds until it finds nothing; returns the pids that were hit.

    Repeated because a process may start another between the look and the kill. A process in an
    uninterruptible wait cannot be ended: after `deadline` seconds it is left.
    """
    hit: dict[int, None] = {}
    end = time.monotonic() + deadline
    while (found := collect()) and time.monotonic() < end:
        send(found, signal.SIGKILL)
        hit.update(dict.fromkeys(found))
        reap()
        time.sleep(0.005)
    return list(hit)


def reap(keep: Iterable[int] = ()) -> None:
    """Take note of orphans that ended as our children; those in `keep` are left to their owner."""
    kept = set(keep)
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid in kept:
                return
            os.waitpid(found.si_pid, os.WNOHANG)
        except ChildProcessError:
            return


def _mentions(entry: str, wanted: bytes) -> bool:
    try:
        where = os.readlink(f"/proc/{entry}/cwd")  # noqa: PTH115
        if os.fsencode(where) == wanted or os.fsencode(where).startswith(wanted + b"/"):
            return True
        return wanted in Path(f"/proc/{entry}/environ").read_bytes()
    except OSError:
        return False


def _stat(pid: int) -> list[bytes]:
    """Fields of /proc/<pid>/stat behind the name, which may hold spaces and brackets itself."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
