"""What did a test leave behind: asyncio tasks, open files and sockets, child processes?

A leak in a test is a leak in the product more often than not. What soon ends by itself is none.
"""

import asyncio
import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_PATIENCE = 3.0
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make processes whose parent died children of this one, where a leak check sees them."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Belongings:
    """What this process holds at one moment: open files as "number -> target", process ids."""

    files: frozenset[str]
    children: frozenset[int]

    @classmethod
    def now(cls) -> "Belongings":
        return cls(frozenset(_open_files()), frozenset(_living_children()))


def leaked_since(before: Belongings) -> list[str]:
    """Describe what is there now and was not before.

    Processes left over are killed, so that one test fails and not all that follow it.
    """
    found = [f"open: {name}" for name in _patiently(lambda: _told_apart(_new_files(before)))]
    for pid in _patiently(lambda: sorted(set(_living_children()) - before.children)):
        found.append(f"child process {pid}: {_command_line(pid)}")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return found


async def leaked_tasks() -> list[str]:
    """Describe the unfinished tasks of the running loop, other than the one that asks."""
    deadline = time.monotonic() + _PATIENCE
    while (tasks := asyncio.all_tasks() - {asyncio.current_task()}) and time.monotonic() < deadline:
        await asyncio.wait(tasks, timeout=0.05)
    return [f"asyncio task {task.get_name()}: {task.get_coro()!r}" for task in tasks]


def _patiently(ask: Callable[[], list[T]]) -> list[T]:
    deadline = time.monotonic() + _PATIENCE
    while (left := ask()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _open_files() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            yield f"{entry.name} -> {entry.readlink()}"
        except FileNotFoundError:
            continue  # the descriptor with which this very folder was read


def _new_files(before: Belongings) -> list[str]:
    return sorted(set(_open_files()) - before.files)


def _told_apart(files: list[str]) -> list[str]:
    """Drop what grpc and event loops make once and keep: descriptors without a name or an address."""
    found = []
    for name in files:
        number, _, target = name.partition(" -> ")
        if target.startswith("socket:"):
            if address := _address(int(number)):
                found.append(f"socket {address}")
        elif not target.startswith("anon_inode:"):
            found.append(name)
    return found


def _address(descriptor: int) -> str:
    """Return the local and the remote address of a socket; empty for one of a pair."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            try:
                remote = copy.getpeername()
            except OSError:
                remote = ""
            return f"{copy.getsockname()} to {remote}" if copy.getsockname() or remote else ""
    except OSError:
        return ""


def _living_children() -> Iterator[int]:
    """Yield the children that run; zombies hold nothing but their number."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return  # there is none: the usual case, told without reading every process of the machine
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            state, parent = _state_and_parent(process)
            if parent == os.getpid() and state not in {"Z", "X"}:
                yield int(process.name)


def _state_and_parent(process: Path) -> tuple[str, int]:
    try:
        # The command's name, in parentheses, may contain anything.
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return state, int(parent)


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
