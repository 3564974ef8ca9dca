"""How does a node get a network of its own, whose packets can be dropped?

The run moves into a network namespace that nobody else is in, with nothing but a loopback interface. There it
makes a bridge, at whose address the gates listen, and a namespace per node that a veth pair joins to it. Not
one of these namespaces has a name: the kernel removes each with its last process, and its interfaces, rules
and queues with it, however the run ended. The machine's own network is never touched.
"""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOVED: Final = "TENURE_FAULTS_MOVED"
"""In the environment of a run that has moved."""
_BRIDGE: Final = "nodes"
_NETWORK: Final = "10.77.0"
_TABLE: Final = "inet faults"
_PROBE: Final = f"""
nsenter --version && setpriv --version &&
ip link add {_BRIDGE} type bridge && ip link add near type veth peer name far &&
nft 'table {_TABLE} {{ chain c {{ type filter hook input priority 0; numgen random mod 2 < 1 drop; }}; }}' &&
tc qdisc add dev near root tbf rate 1mbit burst 3000 latency 1ms
"""


@functools.cache
def why_not() -> str:
    """What keeps packets from being dropped here; empty: nothing does."""
    if os.geteuid():
        return "network namespaces need root"
    command = ("unshare", "--net", "sh", "-c", _PROBE)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"unshare cannot be run: {error.strerror}"
    if not done.returncode:
        return ""
    return f"this needs ip, tc, nft and a kernel for them: {'; '.join(done.stderr.strip().splitlines())}"


def move(arguments: Sequence[str]) -> None:
    """Execute this run anew in a network of its own, where that is possible; its pid stays.

    What it mounts is its own as well, and gone with it.
    """
    if MOVED in os.environ or why_not():
        return
    os.environ[MOVED] = "1"
    os.execvp(
        "unshare", ["unshare", "--net", "--mount", "--", sys.executable, "-m", "tests.faults", *arguments]
    )


def ruleset(*, there: Iterable[int] = (), back: Iterable[int] = (), percent: int = 100) -> str:
    """Rules for nft within a node: so many of the packets to (`there`) and from these ports are dropped.

    What was there before is gone. A packet without data is dropped as any other: the acknowledgements of one
    direction are the packets of the other.
    """
    share = "" if percent == 100 else f"numgen random mod 100 < {percent} "
    rules = [
        f"add chain {_TABLE} there {{ type filter hook output priority 0; }}",
        f"add chain {_TABLE} back {{ type filter hook input priority 0; }}",
        *(f"add rule {_TABLE} there tcp dport {port} {share}drop" for port in there),
        *(f"add rule {_TABLE} back tcp sport {port} {share}drop" for port in back),
    ]
    return "\n".join([f"add table {_TABLE}", f"delete table {_TABLE}", f"add table {_TABLE}", *rules]) + "\n"


class Networks:
    """The networks of some nodes."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        """Where servers are to listen so that every node reaches them."""
        self.nodes: dict[str, str] = {}
        """Names of the nodes that have a network of their own, by their addresses."""
        self._keepers: dict[str, asyncio.subprocess.Process] = {}

    async def open(self, names: Sequence[str]) -> None:
        """Give these nodes networks, if this run has moved; else none has one."""
        if MOVED not in os.environ:
            return
        self.host = f"{_NETWORK}.1"
        await _run(f"ip link set lo up && ip link add {_BRIDGE} type bridge")
        await _run(f"ip addr add {self.host}/24 dev {_BRIDGE} && ip link set {_BRIDGE} up")
        for number, name in enumerate(names, 2):
            await self._add(name, f"{_NETWORK}.{number}")

    async def _add(self, name: str, address: str) -> None:
        # It keeps the namespace while the node is down, says when it is in it, and ends with this run.
        keeper = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "echo; exec sleep infinity"),
            stdout=asyncio.subprocess.PIPE,
        )
        self._keepers[name] = keeper
        assert keeper.stdout is not None
        await keeper.stdout.readline()
        await _run(f"ip link add {name} type veth peer name eth0 netns {keeper.pid}")
        await _run(f"ip link set {name} master {_BRIDGE} up")
        await self.run(name, f"ip link set lo up && ip addr add {address}/24 dev eth0 && ip link set eth0 up")
        self.nodes[address] = name

    async def close(self) -> None:
        """Let the networks go."""
        for keeper in self._keepers.values():
            keeper.kill()
            await keeper.wait()
        self._keepers.clear()
        if self.nodes:
            await _run(f"ip link del {_BRIDGE}")

    def argv(self, name: str, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command, to be run in the network of this node; its pid stays."""
        keeper = self._keepers.get(name)
        return (*_inside(keeper), *command) if keeper else command

    # What can be done to a node

    async def run(self, name: str, script: str, stdin: str = "") -> None:
        """Run a shell script in the network of this node."""
        await _run(script, stdin, inside=_inside(self._keepers[name]))

    async def drop(self, name: str, rules: str) -> None:
        """Drop packets by a `ruleset`; an empty one drops none."""
        await self.run(name, "nft -f -", rules)

    async def narrow(self, name: str, kilobits: int, milliseconds: int) -> None:
        """Let so much pass a second both ways; what would wait longer is dropped. `widen` ends it."""
        queue = f"root tbf rate {kilobits}kbit burst 3000 latency {milliseconds}ms"
        await self.run(name, f"tc qdisc replace dev eth0 {queue}")
        await _run(f"tc qdisc replace dev {name} {queue}")

    async def widen(self, name: str) -> None:
        """Undo `narrow`."""
        await self.run(name, "tc qdisc del dev eth0 root")
        await _run(f"tc qdisc del dev {name} root")

    async def unplug(self, name: str) -> None:
        """Nothing passes, and the node knows it: it has no route."""
        await self.run(name, "ip link set eth0 down")

    async def plug(self, name: str) -> None:
        """Undo `unplug`."""
        await self.run(name, "ip link set eth0 up")


def _inside(keeper: asyncio.subprocess.Process) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{keeper.pid}/ns/net", "--")


async def _run(script: str, stdin: str = "", *, inside: tuple[str, ...] = ()) -> None:
    """Run a shell script; raises OSError with what it complains of."""
    process = await asyncio.create_subprocess_exec(
        *(*inside, "sh", "-c", script),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(stdin.encode())
    if process.returncode:
        raise OSError(f"{script}: {errors.decode().strip()}")
