"""Which signals arrived?"""

from __future__ import annotations

import signal
import socket
from typing import Final

HANDLED: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Turns signals into a readable descriptor."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, _nothing)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    @property
    def fd(self) -> int:
        return self._reader.fileno()

    def take(self) -> set[int]:
        """Numbers that arrived since the last call."""
        try:
            return set(self._reader.recv(4096))
        except BlockingIOError:
            return set()


def _nothing(number: int, frame: object) -> None:
    """Only there so that the number is written to the wakeup descriptor."""
