"""Which TCP port may a test give to a server that cannot take port 0?

The ports lie below the range from which the kernel picks for port 0 and outgoing connections, and each one
handed out is locked by a file until it is given back, so that parallel test processes never get the same one.
"""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FIRST, _LAST = 17000, 31999


class Ports:
    """The ports that one user of this class holds."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir(), f"tenure-test-ports-{os.getuid()}")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._locks: list[int] = []

    def take(self) -> int:
        """Return a loopback port on which nobody listens and which no other test process holds."""
        for _ in range(1000):
            port = random.randint(_FIRST, _LAST)
            if self._lock(port):
                return port
        raise AssertionError("no free port was found in 1000 tries")

    def _lock(self, port: int) -> bool:
        lock = os.open(self._folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as trial:
                # As servers do: a port whose last connections linger in TIME_WAIT is free.
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            return False
        self._locks.append(lock)
        return True

    def give_back(self) -> None:
        """Let others have all ports that were taken."""
        while self._locks:
            os.close(self._locks.pop())


@contextmanager
def borrowed_ports() -> Iterator[Ports]:
    ports = Ports()
    try:
        yield ports
    finally:
        ports.give_back()
