"""What time is it, on which clock?"""

from __future__ import annotations

import time
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boottime() -> float:
    """Seconds of CLOCK_BOOTTIME: goes on during a suspend and never steps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id(file: Path = BOOT_ID) -> str:
    """Changes with every boot of the machine."""
    return file.read_text().strip()
