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
    spare: str = ""
    """An instance id that nobody used before, for the next alias."""

    @property
    def instance(self) -> str:
        return self.alias or self.warden

    def under(self, warden: str) -> None:
        """The warden said who it is; an alias of another warden is void."""
        if warden != self.warden:
            self.warden, self.alias = warden, ""

    def rename(self) -> bool:
        """Take a new instance id; False when none is left."""
        if not self.spare:
            return False
        self.alias, self.spare = self.spare, ""
        return True
