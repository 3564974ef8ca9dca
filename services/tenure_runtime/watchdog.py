"""Has this process's event loop stood still?

A loop that stalled may have missed messages that would have changed its mind: an agent sends no beat, and a
leader declares nobody lost, right after a stall. Gaps are measured on CLOCK_BOOTTIME, so that a suspended
machine and a stopped process (SIGSTOP) count as well.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tenure_runtime.logging_setup import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

TICK: Final = 0.1
STALL: Final = 0.5

_log = get_logger("watchdog")


def boottime() -> float:
    """Seconds on CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LoopWatch:
    """Ticks on the loop and measures how late each tick comes."""

    __slots__ = ("_handle", "_listeners", "_stall", "last_tick", "longest", "stalls")

    def __init__(self, *, stall: float = STALL) -> None:
        self._stall = stall
        self._listeners: list[Callable[[float], None]] = []
        self._handle: asyncio.TimerHandle | None = None
        self.last_tick = boottime()
        """When the loop was seen alive last, on CLOCK_BOOTTIME."""
        self.longest = 0.0
        """The longest gap so far, in seconds."""
        self.stalls = 0

    def on_stall(self, listener: Callable[[float], None]) -> None:
        """Call `listener` with the seconds of each stall, first thing after it."""
        self._listeners.append(listener)

    def ticked_within(self, seconds: float) -> bool:
        """Whether the loop was alive lately: no beat is sent otherwise."""
        return boottime() - self.last_tick <= seconds

    def start(self) -> None:
        """Begin to tick on the running loop."""
        self.last_tick = boottime()
        self._handle = asyncio.get_running_loop().call_later(TICK, self._tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self) -> None:
        now = boottime()
        gap, self.last_tick = now - self.last_tick - TICK, now
        self._handle = asyncio.get_running_loop().call_later(TICK, self._tick)
        self.longest = max(self.longest, gap)
        if gap > self._stall:
            self.stalls += 1
            _log.warning("the event loop stood still", seconds=round(gap, 3))
            for listener in self._listeners:
                listener(gap)
