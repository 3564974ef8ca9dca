"""What does everything in a warden share?"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tenure_worker_agent.warden.clock import BOOT_ID
from tenure_worker_agent.warden.protocol import Message, to_json
from tenure_worker_agent.warden.spawn import DEFAULT_PATH
from tenure_worker_agent.warden.spool import Spool, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from tenure_worker_agent.warden.cgroups import ControlGroups
    from tenure_worker_agent.warden.directories import Workplaces
    from tenure_worker_agent.warden.journal import Journal
    from tenure_worker_agent.warden.records import ExitRecord, Ledger

GIB: Final = 1 << 30
_INHERITED: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "SHELL", "TZ", "USER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a warden is told at its start."""

    state_directory: Path
    attempt_cap: int = GIB
    """Bytes of unacknowledged output per attempt, unless its order says less."""
    node_cap: int = 10 * GIB
    """Bytes of unacknowledged output of all attempts."""
    control_groups: bool = True
    boot_id_file: Path = BOOT_ID
    agent: tuple[str, ...] = ()
    """Command of the agent; empty: whoever has the other end of `control_fd` is the agent."""
    control_fd: int = -1
    failpoint: str = ""
    """For tests: where to die as if by SIGKILL."""


@dataclass(slots=True)
class Host:
    """The parts of one warden."""

    settings: Settings
    instance: str
    boot_id: str
    journal: Journal
    ledger: Ledger
    groups: ControlGroups
    workplaces: Workplaces
    usage: Usage
    spool_directory: str
    spools: dict[str, Spool] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    """To be told to the agent at the end of this turn, after the journal's sync; JSON already."""
    environment: dict[str, str] = field(default_factory=dict)
    """What every attempt gets."""

    def new_spool(self, fence: str, cap: int) -> Spool:
        """A spool for an attempt that starts."""
        limit = self.settings.attempt_cap
        spool = Spool(self.spool_directory, fence, min(cap or limit, limit), self.usage)
        self.spools[fence] = spool
        return spool

    def tell(self, event: Message) -> None:
        """Tell the agent at the end of this turn."""
        self.events.append(to_json(event))

    def tell_exit(self, record: ExitRecord) -> None:
        """Journal an exit, and tell it when it is durable."""
        text = to_json(record)
        self.journal.append(self.ledger.ended(record["fence"], text))
        self.events.append(f'{{"is":"exited","record":{text}}}')

    def die_at(self, failpoint: str) -> None:
        """For tests: end here as a crash would."""
        if self.settings.failpoint == failpoint:
            os.kill(os.getpid(), 9)


def basic_environment() -> dict[str, str]:
    """The small environment that every attempt starts from."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment["PATH"] = os.environ.get("PATH") or DEFAULT_PATH
    return environment


def group_name(state: Path) -> str:
    """Name of the control groups of the warden with this state directory, the same at every start."""
    return f"tenure-{hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]}"
