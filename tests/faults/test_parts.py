"""Do the ledger and the gates of the fault runs do what the runs rely on?"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.gates import Gate, Links, Peer
from tests.faults.history import Recorder
from tests.faults.ledger import Ledger
from tests.faults.traffic import PROGRAM, Output
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.ports import Ports

TASK = "t"


@pytest.fixture
async def ledger(socket_folder: Path) -> AsyncIterator[Ledger]:
    recorder = Recorder(socket_folder / "history")
    async with Ledger(socket_folder / "ledger", recorder) as running:
        yield running
    recorder.close()


async def run(ledger: Ledger, attempt: int) -> tuple[int, bytes]:
    """Run the program of the fault runs as this attempt; its exit code and output."""
    argv = (sys.executable, "-I", "-S", str(PROGRAM), str(ledger.socket), "0.4", "6")
    environment = {
        **os.environ,
        "TENURE_TASK_ID": TASK,
        "TENURE_ATTEMPT": str(attempt),
        "TENURE_FENCE": f"1.{TASK}.{attempt}",
        "TENURE_WORKER": "worker-1",
    }
    process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output


async def test_the_ledger_refuses_an_older_attempt_and_its_program_ends(ledger: Ledger) -> None:
    assert (await run(ledger, 1))[0] == 0
    assert (await run(ledger, 2))[0] == 0
    assert await run(ledger, 1) == (75, b"")
    assert ledger.refused == 1


async def test_the_lines_of_the_program_say_who_they_are(ledger: Ledger) -> None:
    _, output = await run(ledger, 3)
    read = Output()
    lines = output.splitlines()
    for line in lines:
        read.line(line, TASK, 3)
    assert (read.pieces, read.finished) == ([(0, 5)], True)
    for wrong in (lines[0][:-1], lines[1].replace(b"3", b"4", 1)):
        read.line(wrong, TASK, 3)
    read.line(lines[2], TASK, 3)
    assert read.pieces == [(0, 5), "torn", "torn", (2, 2)]


@asynccontextmanager
async def a_gate(
    ports: Ports, links: Links, asked: list[Peer] | None = None
) -> AsyncIterator[tuple[Gate, asyncio.Server]]:
    """A gate before a server that answers every line with the same line."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    def caller(peer: Peer) -> str:
        if asked is not None:
            asked.append(peer)
        return "caller"

    server = await asyncio.start_server(answer, "127.0.0.1", ports.take())
    gate = Gate(links, "server", server.sockets[0].getsockname()[1], caller)
    await gate.open(ports.take())
    try:
        yield gate, server
    finally:
        await gate.close()
        server.close()


async def call(gate: Gate) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = gate.address.partition(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize("way", [("caller", "server"), ("server", "caller")])
async def test_a_cut_holds_bytes_back_until_it_heals(ports: Ports, way: tuple[str, str]) -> None:
    links = Links()
    async with a_gate(ports, links) as (gate, _):
        reader, writer = await call(gate)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        links.cut([way])
        writer.write(b"two\n")
        answer = asyncio.create_task(reader.readline())
        assert await asyncio.wait([answer], timeout=0.2) == (set(), {answer})
        links.heal([way])
        assert await answer == b"two\n"
        writer.close()


async def test_a_healing_may_reset_connections(ports: Ports) -> None:
    links, way = Links(), ("caller", "server")
    async with a_gate(ports, links) as (gate, _):
        reader, writer = await call(gate)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        links.cut([way])
        links.heal([way], reset=True)
        assert await reader.read() == b""
        writer.close()


async def test_a_gate_does_not_look_for_callers_who_gave_up(ports: Ports) -> None:
    asked: list[Peer] = []
    async with a_gate(ports, Links(), asked) as (gate, _):
        # The gate runs on this thread: it comes to accept these only when they are closed already.
        for _ in range(20):
            socket.create_connection(("127.0.0.1", gate.port)).close()
        reader, writer = await call(gate)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        assert asked == [writer.get_extra_info("sockname")]
        writer.close()


async def test_a_gate_refuses_while_its_server_is_away(ports: Ports) -> None:
    async with a_gate(ports, Links()) as (gate, server):
        reader, writer = await call(gate)
        port = server.sockets[0].getsockname()[1]
        server.close()
        writer.write_eof()
        await reader.read()
        writer.close()

        async def refused() -> bool:
            try:
                _, another = await call(gate)
            except ConnectionRefusedError:
                return True
            another.close()
            return False

        assert await eventually(refused)
        again = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", port)
        assert await eventually(lambda: _accepts(gate))
        again.close()


async def _accepts(gate: Gate) -> bool:
    try:
        _, writer = await call(gate)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True
