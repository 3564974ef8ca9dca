"""How does a whole process tree die with its attempt, daemonised grandchildren included?

Every attempt starts in a control group of its own. The warden enters the group, starts the process there and
goes home: so the process is born inside and no child of its can be outside. Entering and leaving cost about
30 µs here; groups are reused, because making and removing one costs as much again. Version 2 kills by
`cgroup.kill`, version 1 by freezing and signalling. Limits are set in whichever hierarchy has the controller.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAF: Final = "attempt-"
PERIOD_US: Final = 100_000
LEAST_QUOTA_US: Final = 1_000
_CONTROLLERS: Final = ("memory", "cpu")
_PIDFDS: Final = 64
"""So many at once: open files are limited, processes of a group are not."""


@dataclass(slots=True)
class Leaf:
    """One control group, in one hierarchy or, with limits, in several."""

    directories: list[Path]
    """The first is the one that kills."""
    doors: list[int] = field(default_factory=list)
    """Open cgroup.procs of each."""
    limited: bool = False

    @property
    def name(self) -> str:
        return self.directories[0].name


def mounted() -> dict[str, Path]:
    """This process's own group in every hierarchy: "" is version 2, others by controller of version 1."""
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        where = Path(fields.split(" ")[4])
        if kind == "cgroup2":
            mounts.setdefault("", where)
        elif kind == "cgroup":
            for name in options.split(" ")[-1].split(","):
                mounts.setdefault(name, where)
    own: dict[str, Path] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in mounts:
                own[name] = mounts[name] / path.lstrip("/")
    return own


def _pidfd(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.pidfd_open(pid)
    return None


def _usable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


class ControlGroups:
    """The groups below one directory per hierarchy; `reduced` says what is not possible here."""

    def __init__(self, name: str, *, wanted: bool = True, own: dict[str, Path] | None = None) -> None:
        self._name = name
        self._own = {key: path for key, path in (mounted() if own is None else own).items() if _usable(path)}
        self._killer = self._choose() if wanted else None
        self._limits: dict[str, str] = {}
        self._idle: list[Leaf] = []
        self._count = 0
        self._homes: dict[str, int] = {}
        if self._killer is not None:
            self._open_home()

    def _choose(self) -> str | None:
        if "" in self._own and (self._own[""] / "cgroup.procs").exists():
            return ""
        return "freezer" if "freezer" in self._own else None

    def _open_home(self) -> None:
        assert self._killer is not None
        try:
            self._make_home(self._killer)
            self.leave()
        except OSError:
            self._killer = None
            return
        for controller in _CONTROLLERS:
            with contextlib.suppress(OSError):
                self._limits[controller] = self._hierarchy_for(controller)

    def _make_home(self, hierarchy: str) -> None:
        home = self._base(hierarchy) / "warden"
        home.mkdir(parents=True, exist_ok=True)
        self._homes[hierarchy] = os.open(home / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def _hierarchy_for(self, controller: str) -> str:
        if controller in self._own:
            if controller not in self._homes:
                self._make_home(controller)
            return controller
        if self._killer == "" and controller in (self._own[""] / "cgroup.controllers").read_text().split():
            for directory in (self._own[""], self._base("")):
                (directory / "cgroup.subtree_control").write_text(f"+{controller}")
            return ""
        raise FileNotFoundError(controller)

    def _base(self, hierarchy: str) -> Path:
        return self._own[hierarchy] / self._name

    @property
    def available(self) -> bool:
        return self._killer is not None

    @property
    def reduced(self) -> list[str]:
        """Which guarantees do not hold, one sentence each."""
        if not self.available:
            return ["no control groups: a process that leaves its session may outlive its attempt"]
        return [
            f"no {name} controller: {name} limits are not enforced"
            for name in _CONTROLLERS
            if name not in self._limits
        ]

    def take(self, memory: int, cpu_milli: int) -> Leaf | None:
        """An empty group with these limits; None when there are no control groups here.

        Raises:
            OSError: the limits could not be set.
        """
        if self._killer is None:
            return None
        wanted = [
            name
            for name, amount in (("memory", memory), ("cpu", cpu_milli))
            if amount and name in self._limits
        ]
        if not wanted and self._idle:
            return self._idle.pop()
        self._count += 1
        hierarchies = list(dict.fromkeys([self._killer, *(self._limits[name] for name in wanted)]))
        leaf = Leaf([self._base(each) / f"{LEAF}{self._count}" for each in hierarchies], limited=bool(wanted))
        for directory in leaf.directories:
            directory.mkdir(exist_ok=True)
        where = dict(zip(hierarchies, leaf.directories, strict=True))
        if "memory" in wanted:
            _limit_memory(where[self._limits["memory"]], memory, self._limits["memory"])
        if "cpu" in wanted:
            _limit_cpu(where[self._limits["cpu"]], cpu_milli, self._limits["cpu"])
        leaf.doors = [os.open(d / "cgroup.procs", os.O_RDWR | os.O_CLOEXEC) for d in leaf.directories]
        return leaf

    def enter(self, leaf: Leaf) -> None:
        """What this process starts from now on is born in `leaf`."""
        for door in leaf.doors:
            os.write(door, b"0")

    def leave(self) -> None:
        """Back to the warden's own group."""
        for home in self._homes.values():
            os.write(home, b"0")

    def members(self, leaf: Leaf) -> list[int]:
        """Pids in the group."""
        return [int(pid) for pid in self._listed(leaf).split()]

    def _listed(self, leaf: Leaf) -> bytes:
        """Version 1 answers an open file with a copy that may be a second old: there it is opened anew."""
        if self._killer == "" and leaf.directories[0].parent == self._base(""):
            return os.pread(leaf.doors[0], 1 << 16, 0)
        fd = os.open(leaf.directories[0] / "cgroup.procs", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, 1 << 16)
        finally:
            os.close(fd)

    def kill(self, leaf: Leaf) -> None:
        """KILL to everything in the group, also to what is being forked meanwhile."""
        directory = leaf.directories[0]
        at_once = directory / "cgroup.kill"
        if at_once.exists():
            at_once.write_text("1")
            return
        freezer = directory / "freezer.state"
        frozen = freezer.exists()
        if frozen:
            freezer.write_text("FROZEN")
        for _ in range(64):
            if not self._kill_members(leaf) or frozen:
                break
        if frozen:
            freezer.write_text("THAWED")

    def _kill_members(self, leaf: Leaf) -> int:
        """KILL to those that are still in the group when a pidfd holds their number; returns how many."""
        members = self.members(leaf)
        for start in range(0, len(members), _PIDFDS):
            held = {pid: fd for pid in members[start : start + _PIDFDS] if (fd := _pidfd(pid)) is not None}
            still = set(self.members(leaf))
            for pid, fd in held.items():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    if pid in still:
                        signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)
        return len(members)

    def oom_kills(self, leaf: Leaf) -> int:
        """How many processes of the group the kernel killed for want of memory."""
        for directory in leaf.directories if leaf.limited else ():
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError, ValueError):
                    for line in (directory / name).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
        return 0

    def give_back(self, leaf: Leaf) -> bool:
        """Reuse or remove an empty group; False while something in it is still dying."""
        if self._listed(leaf):
            return False
        if not leaf.limited:
            self._idle.append(leaf)
            return True
        self._close(leaf)
        for directory in leaf.directories:
            try:
                directory.rmdir()
            except OSError:
                leaf.doors = [os.open(d / "cgroup.procs", os.O_RDWR | os.O_CLOEXEC) for d in leaf.directories]
                return False
        return True

    def reopen(self, name: str, hierarchies_limited: bool) -> Leaf | None:
        """The group of an attempt that was started before a re-exec."""
        if self._killer is None:
            return None
        keys = [self._killer, *(k for k in dict.fromkeys(self._limits.values()) if k != self._killer)]
        directories = [d for key in keys if (d := self._base(key) / name).is_dir()]
        if not directories:
            return None
        self._count = max(self._count, int(name.removeprefix(LEAF)))
        doors = [os.open(d / "cgroup.procs", os.O_RDWR | os.O_CLOEXEC) for d in directories]
        return Leaf(directories, doors, hierarchies_limited)

    def sweep(self) -> int:
        """Kill what a former warden left in our groups and remove them; returns how many processes there
        were."""
        killed = 0
        for leaf in self._left():
            killed += len(self.members(leaf))
            self.kill(leaf)
            deadline = time.monotonic() + 5.0
            while self._listed(leaf) and time.monotonic() < deadline:
                time.sleep(0.001)
            self._close(leaf)
            for directory in leaf.directories:
                with contextlib.suppress(OSError):
                    directory.rmdir()
        return killed

    def _left(self) -> Iterator[Leaf]:
        if self._killer is None:
            return
        for hierarchy in dict.fromkeys([self._killer, *self._limits.values()]):
            for directory in self._base(hierarchy).glob(f"{LEAF}*"):
                yield Leaf([directory], [os.open(directory / "cgroup.procs", os.O_RDWR | os.O_CLOEXEC)])

    def close(self) -> None:
        """Leave and remove all groups, as far as they are empty."""
        for hierarchy, home in self._homes.items():
            os.close(home)
            with contextlib.suppress(OSError):
                (self._own[hierarchy] / "cgroup.procs").write_text("0")
        for leaf in self._idle:
            self._close(leaf)
        for hierarchy in self._homes:
            base = self._base(hierarchy)
            for directory in (*base.glob(f"{LEAF}*"), base / "warden", base):
                with contextlib.suppress(OSError):
                    directory.rmdir()
        self._killer = None

    @staticmethod
    def _close(leaf: Leaf) -> None:
        for door in leaf.doors:
            os.close(door)
        leaf.doors = []


def _limit_memory(directory: Path, limit: int, hierarchy: str) -> None:
    if hierarchy == "":
        (directory / "memory.max").write_text(str(limit))
        with contextlib.suppress(OSError):
            (directory / "memory.swap.max").write_text("0")
            (directory / "memory.oom.group").write_text("1")
    else:
        (directory / "memory.limit_in_bytes").write_text(str(limit))
        with contextlib.suppress(OSError):
            (directory / "memory.memsw.limit_in_bytes").write_text(str(limit))


def _limit_cpu(directory: Path, cpu_milli: int, hierarchy: str) -> None:
    quota = max(LEAST_QUOTA_US, cpu_milli * PERIOD_US // 1000)
    if hierarchy == "":
        (directory / "cpu.max").write_text(f"{quota} {PERIOD_US}")
    else:
        (directory / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (directory / "cpu.cfs_quota_us").write_text(str(quota))
