"""Do packets stop where they should, as far as TCP can see, and does nothing stay behind?

The tests with a network run in a namespace of their own; `test_in_a_network_of_its_own` takes them there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tenure.local.process_tree import is_alive
from tests.faults import packets
from tests.faults.packets import Networks, ruleset
from tests.support.waiting import eventually, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT: Final = Path(__file__).parents[2]
PORT: Final = 4000
moved = pytest.mark.skipif(packets.MOVED not in os.environ, reason="runs in a network of its own")
CALLER: Final = """
import fcntl, socket, struct, sys
server = socket.create_connection(sys.argv[1].rsplit(":", 1), timeout=float(sys.argv[2]))
print("connected", flush=True)
for line in sys.stdin:
    server.sendall(line.encode())
    if line == "unacknowledged?\\n":
        print(struct.unpack("i", fcntl.ioctl(server, 0x5411, bytes(4)))[0], flush=True)
"""
"""Sends lines; asked for it, says how much of what it has sent is not acknowledged (SIOCOUTQ)."""


def test_in_a_network_of_its_own() -> None:
    if why := packets.why_not():
        pytest.skip(why)
    command = ("unshare", "--net", "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    environment = {**os.environ, packets.MOVED: "1"}
    done = subprocess.run(
        (*command, __file__, "-k", "not its_own"),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@asynccontextmanager
async def a_node() -> AsyncIterator[Networks]:
    networks = Networks()
    await networks.open(["node"])
    try:
        yield networks
    finally:
        await networks.close()


@asynccontextmanager
async def a_server(networks: Networks, heard: bytearray) -> AsyncIterator[None]:
    """A server outside the node that takes down what it hears."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            heard.extend(data)
        writer.close()

    async with await asyncio.start_server(hear, networks.host, PORT):
        yield


@asynccontextmanager
async def a_caller(networks: Networks, patience: float = 20.0) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process on the node that connects with the server."""
    command = (sys.executable, "-c", CALLER, f"{networks.host}:{PORT}", str(patience))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *networks.argv("node", command), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def say(caller: asyncio.subprocess.Process, line: bytes) -> None:
    assert caller.stdin is not None
    caller.stdin.write(line)
    await caller.stdin.drain()


async def answer(caller: asyncio.subprocess.Process) -> bytes:
    assert caller.stdout is not None
    return await caller.stdout.readline()


@moved
async def test_packets_that_are_dropped_on_the_way_there_do_not_arrive() -> None:
    heard = bytearray()
    async with a_node() as networks, a_server(networks, heard), a_caller(networks) as caller:
        assert await answer(caller) == b"connected\n"
        await networks.drop("node", ruleset(there=[PORT]))
        await say(caller, b"one\n")
        await asyncio.sleep(0.5)
        assert heard == b""
        await networks.drop("node", ruleset())
        await eventually(lambda: heard == b"one\n")


@moved
async def test_a_one_way_cut_starves_tcp_of_its_acknowledgements() -> None:
    heard = bytearray()
    async with a_node() as networks, a_server(networks, heard), a_caller(networks) as caller:
        assert await answer(caller) == b"connected\n"
        await networks.drop("node", ruleset(back=[PORT]))
        await say(caller, b"one\n")
        await eventually(lambda: heard == b"one\n")
        await say(caller, b"unacknowledged?\n")
        assert int(await answer(caller)) >= len("one\n")
        await networks.drop("node", ruleset())

        async def acknowledged() -> bool:
            await say(caller, b"\n")
            await say(caller, b"unacknowledged?\n")
            return int(await answer(caller)) < 100

        assert await eventually(acknowledged)


@moved
async def test_other_ports_are_left_alone_and_loss_is_made_up_for() -> None:
    heard = bytearray()
    async with a_node() as networks, a_server(networks, heard), a_caller(networks) as caller:
        await networks.drop("node", ruleset(there=[PORT + 1], back=[PORT + 1]))
        assert await answer(caller) == b"connected\n"
        await networks.drop("node", ruleset(there=[PORT], back=[PORT], percent=10))
        await networks.narrow("node", 64, 50)
        await say(caller, b"one\n" * 2000)
        await eventually(lambda: heard == b"one\n" * 2000, within=40)
        await networks.widen("node")


@moved
async def test_nobody_is_reached_without_a_link() -> None:
    async with a_node() as networks, a_server(networks, bytearray()):
        await networks.unplug("node")
        async with a_caller(networks) as caller:
            assert await answer(caller) == b""
            assert caller.stderr is not None
            assert b"Network is unreachable" in await caller.stderr.read()
        await networks.plug("node")
        async with a_caller(networks) as caller:
            assert await answer(caller) == b"connected\n"


KEPT: Final = """
import asyncio
from tests.faults.packets import Networks
async def main():
    networks = Networks()
    await networks.open(["a-node", "b-node"])
    print(*(int(networks.argv(name, ())[1].split("/")[2]) for name in networks.nodes.values()), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_run_that_is_killed_leaves_nothing_in_a_network_of_its_own() -> None:
    if why := packets.why_not():
        pytest.skip(why)
    command = ("unshare", "--net", "--", sys.executable, "-c", KEPT)
    environment = {**os.environ, packets.MOVED: "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        keepers = [int(pid) for pid in run.stdout.readline().split()]
        namespaces = {_namespace(pid) for pid in (run.pid, *keepers)}
        assert len(namespaces) == 3
        run.send_signal(signal.SIGKILL)
    assert len(keepers) == 2
    wait_until(lambda: not any(map(is_alive, keepers)))
    wait_until(lambda: not namespaces & _inhabited())


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _inhabited() -> set[str]:
    """The network namespaces that any process is in."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add(_namespace(int(entry.name)))
            except OSError:
                continue
    return found
