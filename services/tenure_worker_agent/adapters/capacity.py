"""What does this node offer?

What the configuration does not say is found: the processors that this process may use (affinity and the
quota of its control group), the memory of the machine or of the control group, whichever is less.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.v1.worker_admin_service_pb2 import Capacity

if TYPE_CHECKING:
    from tenure_worker_agent.config import CapacityConfig


def capacity(config: CapacityConfig) -> Capacity:
    """The configured capacity, completed by what is found."""
    return Capacity(
        cpu_milli=config.cpu_milli or found_cpu_milli(),
        memory_bytes=config.memory or found_memory(),
        counts=config.counts,
        indexed=config.indexed,
    )


def labels(configured: dict[str, str]) -> dict[str, str]:
    """The labels that every worker has, and the configured ones over them."""
    return {
        "tenure/os": platform.system().lower(),
        "tenure/arch": platform.machine().lower(),
        "tenure/hostname": socket.gethostname(),
        **configured,
    }


def found_cpu_milli() -> int:
    """Thousandths of processors that this process may use."""
    allowed = len(os.sched_getaffinity(0)) * 1000
    return max(1, min([allowed, *_quotas()]))


def found_memory() -> int:
    """Bytes of memory of the machine or the control group."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_memory_limits()])


def _quotas() -> Iterator[int]:
    for folder in _groups("cpu"):
        quota, period = _words(folder / "cpu.max") or (_words(folder / "cpu.cfs_quota_us") or ["max"]) + ["0"]
        if quota.isdigit():
            per = int(period) or int((_words(folder / "cpu.cfs_period_us") or ["100000"])[0])
            yield int(quota) * 1000 // per


def _memory_limits() -> Iterator[int]:
    for folder in _groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            words = _words(folder / name)
            if words and words[0].isdigit():
                yield int(words[0])


def _groups(controller: str) -> Iterator[Path]:
    """The control groups of this process that may limit it, with their parents; both versions."""
    try:
        entries = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for entry in entries:
        _, names, path = entry.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = Path("/sys/fs/cgroup") / controller if names else Path("/sys/fs/cgroup")
        inner = Path(path.lstrip("/"))
        for part in (inner, *inner.parents):
            yield root / part


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
