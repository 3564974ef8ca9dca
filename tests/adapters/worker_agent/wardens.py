"""How does a test talk to a real warden?"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tenure_core.frames import Frame, scan
from tenure_worker_agent.warden.cgroups import ControlGroups, mounted
from tenure_worker_agent.warden.host import group_name
from tenure_worker_agent.warden.orders import Order
from tenure_worker_agent.warden.protocol import Decoder, Message, encode
from tenure_worker_agent.warden.segments import listed

PATIENCE = 20.0


def fence(number: int, attempt: int = 1) -> str:
    """A fence with a task id made of this number."""
    return f"1.{number:020d}.{attempt}"


class WardenProcess:
    """A warden whose agent is the test."""

    def __init__(self, state: Path, *flags: str) -> None:
        self.state = state
        self.flags = flags
        self.prefix: tuple[str, ...] = ()
        """What is put before its command when it is started again."""
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self.events: list[Message] = []
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *flags: str, **options: Any) -> None:
        """Start it, again on the same state after an earlier life."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tenure_worker_agent.warden", "--state-directory", str(self.state)]
        self._process = subprocess.Popen(
            [*self.prefix, *command, "--control-fd", str(theirs.fileno()), *self.flags, *flags],
            pass_fds=[theirs.fileno()],
            **options,
        )
        theirs.close()
        ours.settimeout(PATIENCE)
        self._socket, self._decoder, self.events = ours, Decoder(), []

    def send(self, *commands: Message) -> None:
        assert self._socket is not None
        self._socket.sendall(encode(commands))

    def order(self, order: Order) -> None:
        self.send(order.message())

    def receive(self, timeout: float = PATIENCE) -> bool:
        """Read what arrives next into `events`; False when the warden has gone or nothing came."""
        assert self._socket is not None
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(1 << 20)
        except (TimeoutError, ConnectionError):
            return False
        self.events += self._decoder.feed(data)
        return bool(data)

    def until(self, wanted: Callable[[Message], bool], timeout: float = PATIENCE) -> Message:
        """The first event, seen or to come, that is wanted."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            left = deadline - time.monotonic()
            assert left > 0, f"no such event; there were {self.events[-20:]}"
            assert self.receive(left), f"the warden is silent or gone; there were {self.events[-20:]}"

    def exit_of(self, fence: str) -> dict[str, Any]:
        """The exit record of an attempt, awaited."""
        event = self.until(lambda e: e["is"] == "exited" and e["record"]["fence"] == fence)
        record: dict[str, Any] = event["record"]
        return record

    def started(self, fence: str) -> Message:
        return self.until(lambda e: e["is"] == "started" and e["fence"] == fence)

    def run(self, order: Order) -> dict[str, Any]:
        """Start an attempt and wait for its end."""
        self.order(order)
        return self.exit_of(order.fence)

    def snapshot(self) -> Message:
        self.events = [event for event in self.events if event["is"] != "snapshot"]
        self.send({"do": "list"})
        return self.until(lambda e: e["is"] == "snapshot")

    def frames(self, fence: str) -> list[Frame]:
        """Everything in the spool of an attempt."""
        folder = self.state / "spool"
        if not folder.exists():
            return []
        segments = listed(str(folder)).get(fence, [])
        return [frame for segment in segments for frame in scan((folder / segment.name).read_bytes())]

    def output(self, fence: str, channel: int = 1) -> bytes:
        """The bytes of one channel in the spool."""
        return b"".join(
            frame.payload for frame in self.frames(fence) if frame.channel == channel and not frame.is_gap
        )

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        assert self._process is not None
        assert self._socket is not None
        code = self._process.wait(PATIENCE)
        self._socket.close()
        return code

    def close(self) -> None:
        """End it, whatever state it is in, and everything that it left."""
        assert self._process is not None
        assert self._socket is not None
        self._socket.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def a_warden(state: Path, *flags: str) -> Iterator[WardenProcess]:
    """A warden that is gone afterwards, with its control groups."""
    warden = WardenProcess(state, *flags)
    try:
        yield warden
    finally:
        warden.close()
        remove_groups(state)
        shutil.rmtree(state, ignore_errors=True)


def one_is_in_time(tried: Callable[[int], bool], tries: int = 5) -> None:
    """Demand punctuality on a machine that may stand still: a stall excuses one try, not all of them.

    `tried` gets the number of the try and says whether it was in time; whatever else must hold it asserts.
    """
    assert any(tried(number) for number in range(tries)), f"none of {tries} was in time"


def remove_groups(state: Path) -> None:
    """Kill and remove what a killed warden left in its control groups."""
    if any((path / group_name(state)).exists() for path in mounted().values()):
        groups = ControlGroups(group_name(state))
        groups.sweep()
        groups.close()


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
