"""What does a Start amount to on this node?

Drivers translate task specs into plans before the domain sees them: the domain decides whether and when a
plan is carried out, never what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from tenure_core.timing import Duration


@dataclass(frozen=True, slots=True)
class NothingToRun:
    """A noop: it succeeds as soon as it is journaled."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """This worker can never run it; the reason is a sentence for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class RunProcess:
    """A process under the warden."""

    order: dict[str, Any]
    """A start command of the warden's protocol, without what the domain adds."""
    grace: Duration
    """Seconds between TERM and KILL."""
    exclusive: bool = False
    """`on_disconnect: stop`."""
    run_limit: Duration = 0.0
    """Longest run in seconds; 0: none."""


Plan: TypeAlias = NothingToRun | Impossible | RunProcess
NOTHING_TO_RUN = NothingToRun()


class Start(NamedTuple):
    """One attempt that the leader wants to be started."""

    fence: str
    plan: Plan
    relay: str = ""
    """Address of the log relay for its output; empty: none lives."""
