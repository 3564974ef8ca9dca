"""Who starts the agent, and again when it dies?"""

from __future__ import annotations

import os
import signal
import socket
from typing import Final

from tenure_worker_agent.warden.clock import boottime
from tenure_worker_agent.warden.spawn import SpawnError, spawn

SETTLED: Final = 5.0
"""Seconds after which a death is not counted as a crash at the start."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 5.0
MAIN_ONLY: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
CONFIGURATION: Final = 2
"""Exit code of an agent that cannot work as it is configured."""


class Supervisor:
    """The agent's process. A first death is answered at once, a series of deaths with growing pauses."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self.pid = 0
        self.start_at = 0.0
        """When the next start is due; infinity: never."""
        self._began = 0.0
        self._crashes = 0

    @property
    def runs(self) -> bool:
        return self.pid > 0

    def start(self) -> socket.socket:
        """Start the agent; returns our end of its socket.

        Raises:
            SpawnError: the command cannot be run.
        """
        ours, theirs = socket.socketpair()
        try:
            command = [*self._command, "--warden-fd", str(theirs.fileno())]
            # What concerns the main process alone stays here.
            environment = {name: value for name, value in os.environ.items() if name not in MAIN_ONLY}
            self.pid = spawn(
                command[0], command, environment, os.getcwd(), (-1, -1, -1), (theirs.fileno(),), session=False
            )
        except SpawnError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._began = boottime()
        self.start_at = float("inf")
        return ours

    def adopt(self, pid: int) -> None:
        """Go on with an agent that a former image of this warden started."""
        self.pid, self._began, self.start_at = pid, boottime(), float("inf")

    def ended(self) -> None:
        """It died: decide when the next one starts."""
        self.pid = 0
        now = boottime()
        self._crashes = 0 if now - self._began > SETTLED else self._crashes + 1
        pause = 0.0 if self._crashes <= 1 else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._crashes - 2))
        self.start_at = now + pause

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Pass a signal on."""
        if self.runs:
            os.kill(self.pid, number)
