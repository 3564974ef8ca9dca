"""What does the warden know of one running attempt?"""

from __future__ import annotations

from dataclasses import dataclass, field
from signal import SIGKILL
from typing import TYPE_CHECKING, Any, Final

from tenure_worker_agent.warden.records import ExitRecord, exit_record

if TYPE_CHECKING:
    from tenure_worker_agent.warden.cgroups import Leaf
    from tenure_worker_agent.warden.orders import Order
    from tenure_worker_agent.warden.spool import Spool

LINGER: Final = 0.1
"""Seconds that a pipe is read on after the process ended, when something else still holds its other end."""


@dataclass(slots=True)
class Attempt:
    """One attempt from the journaled intent to its exit record."""

    order: Order
    spool: Spool
    place: str = ""
    """Its own directory."""
    leaf: Leaf | None = None
    pid: int = 0
    ticks: int = 0
    started_ns: int = 0
    started_boot: float = 0.0
    """On CLOCK_BOOTTIME: time limits count from here."""
    ended_ns: int = 0
    status: int | None = None
    """As waitpid gave it."""
    cause: str = ""
    """What is ending it: `stop`, `timeout`, `deadline`, `shutdown`, `output`; empty: nothing of ours."""
    killed: bool = False
    stop_note: Any = None
    term_at: float = 0.0
    """When TERM is due; 0: not."""
    kill_at: float = 0.0
    """When KILL is due; 0: not."""
    finish_at: float = 0.0
    """After the exit: when the pipes are given up."""
    pipes: dict[int, int] = field(default_factory=dict)
    """Read ends by channel."""
    blocked: set[int] = field(default_factory=set)
    """Channels that are not read because the output is at its limit."""
    wide: set[int] = field(default_factory=set)
    """Channels whose pipe was enlarged."""
    stdin: int = -1
    stdin_pending: bytearray = field(default_factory=bytearray)
    stdin_ends: bool = False

    @property
    def fence(self) -> str:
        return self.order.fence

    @property
    def runs(self) -> bool:
        return self.pid > 0 and self.status is None

    def ended(self, tail: bytes, oom: bool) -> ExitRecord:
        """The exit record, once process and output are at their end."""
        assert self.status is not None
        frames, offsets = self.spool.finals
        signal_number = self.status & 0x7F
        # The kernel may have killed a child only, and the task itself have coped with that.
        oom = oom and signal_number == SIGKILL
        record = exit_record(
            self.fence,
            self.cause or ("oom" if oom else "self"),
            pid=self.pid,
            ticks=self.ticks,
            started=self.started_ns,
            ended=self.ended_ns,
            frames=frames,
            offsets=list(offsets),
            note=self.order.note,
            killed=self.killed,
        )
        if signal_number:
            record["signal"] = signal_number
        else:
            record["code"] = self.status >> 8
        if self.stop_note is not None:
            record["stop"] = self.stop_note
        if tail:
            record["tail"] = tail.hex()
        return record
