"""Which processes belong to an attempt where there are no control groups?

Its process group and session; its descendants; and what was orphaned to the warden, which is a subreaper, and
carries the attempt's session or its TENURE_FENCE. A process that daemonises twice and clears its environment
between two looks can hide: the agent reports this guarantee as reduced.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import TYPE_CHECKING

from tenure_worker_agent.warden.identity import (
    Process,
    child,
    kill_if_same,
    parent_and_session,
    start_ticks,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

_PR_SET_CHILD_SUBREAPER = 36
ROUNDS = 32


def become_subreaper() -> bool:
    """Orphans of our descendants become our children from now on."""
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def children(pid: int) -> list[int]:
    """Direct children of a process, of all its threads."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        if os.path.exists(f"/proc/{pid}/task"):
            return [each for each in _all() if parent_and_session(each)[0] == pid]
    except OSError:
        pass
    return found


def _all() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def descendants(pid: int) -> list[Process]:
    """Children, their children and so on."""
    found: list[Process] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        below = [known for each in children(parent) if (known := child(each, parent))]
        found += below
        todo += [each.pid for each in below]
    return found


def belongs(pid: int, session: int, fence: str) -> bool:
    """Whether an orphan comes from the attempt."""
    return parent_and_session(pid)[1] == session or carries(pid, fence)


def carries(pid: int, fence: str) -> bool:
    """Whether the process was started with the attempt's TENURE_FENCE."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"TENURE_FENCE={fence}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def started_with(fences: Collection[str]) -> list[Process]:
    """Every process of this machine that was started with one of these fences, wherever it hangs by now."""
    # The start time is read first: whoever has it when it is killed is whose environment was read.
    there = [Process(pid, start_ticks(pid)) for pid in _all()]
    return [each for each in there if any(carries(each.pid, fence) for fence in fences)]


def orphans(known: Container[int]) -> list[int]:
    """Our children that nobody here started. Until we reap one, its pid is nobody else's."""
    return [pid for pid in children(os.getpid()) if pid not in known]


def kill_tree(leader: int, fence: str, known: Container[int]) -> None:
    """KILL to everything that belongs to the attempt, until nothing new turns up."""
    done: set[Process] = set()
    for _ in range(ROUNDS):
        mine = [pid for pid in orphans(known) if belongs(pid, leader, fence)]
        found = {Process(pid, start_ticks(pid)) for pid in mine}
        found.update(*map(descendants, (leader, *mine)))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
        for each in found:
            kill_if_same(*each)
        if found <= done:
            return
        done |= found
