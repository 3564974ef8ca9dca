"""What do the parts of the agent share while they handle events?"""

from __future__ import annotations

from typing import Any

from tenure_core.timing import NEVER, Duration, Now
from tenure_worker_agent.domain.commands import Command, Say


class Turn:
    """The clocks and the luck of one call of `apply`, and the commands that it leads to."""

    __slots__ = ("chance", "commands", "now")

    def __init__(self) -> None:
        self.now = Now(NEVER, 0)
        self.chance = 0.5
        """Between 0 and 1, at random."""
        self.commands: list[Command] = []

    def begin(self, now: Now, chance: float) -> None:
        """Take in what this call was given."""
        self.now, self.chance = now, chance
        self.commands = []

    def do(self, command: Command) -> None:
        """Have something done."""
        self.commands.append(command)

    def do_first(self, command: Command) -> None:
        """Have something done before the rest of this turn: it is on its way while the rest is done."""
        self.commands.insert(0, command)

    def say(self, level: str, message: str, **facts: Any) -> None:
        """Write a line for people."""
        self.commands.append(Say(level, message, facts))

    def about(self, seconds: Duration, spread: float = 0.5) -> Duration:
        """A duration around `seconds`, so that workers that were cut off together do not return together."""
        return seconds * (1.0 + spread * (2.0 * self.chance - 1.0))
