"""Who is this worker, as the scheduler is to know it again?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Identity:
    """What an agent process finds of its predecessors, and keeps."""

    connect: int = 0
    """The last connect counter that was used; durable before each Hello."""
    warden: str = ""
    """Instance id of the warden that `alias` belongs to."""
    alias: str = ""
    """What this worker calls itself instead of that: its counter was refused as used before."""
    incarnation: int = 0
    epoch: int = 0
    welcomed: int = 0
    """Connect counter of the last Hello that was welcomed in this incarnation and under this instance id."""
    spare: str = ""
    """An instance id that nobody used before, for the next alias."""

    @property
    def instance(self) -> str:
        return self.alias or self.warden

    def under(self, warden: str) -> None:
        """The warden said who it is; an alias of another warden is void."""
        if warden != self.warden:
            self.warden, self.alias, self.welcomed = warden, "", 0

    def welcomed_by(self, incarnation: int, epoch: int, connect: int) -> None:
        """A leader took the worker in; within an incarnation what is known only grows."""
        if incarnation != self.incarnation:
            self.incarnation, self.epoch = incarnation, 0
        self.epoch = max(self.epoch, epoch)
        self.welcomed = connect

    def rename(self) -> bool:
        """Take a new instance id; False when none is left."""
        if not self.spare:
            return False
        self.alias, self.spare, self.welcomed = self.spare, "", 0
        return True
