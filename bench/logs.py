"""How fast does the output of a task reach a reader?

The reader, a process of its own, follows the task while it writes; between the two lie the warden's spool,
the agent's push, the relay's fsync and the tail. A byte counts when the reader has it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from bench.figures import percentile
from tenure import process

if TYPE_CHECKING:
    from tenure import Client, TaskSpec

TASKS = 3
"""One after the other, of which the middle one counts."""
OUTPUT_BYTES = 800_000_000
LINES = 2_000_000
LINE = "the quick brown fox jumps over the lazy dog, 64 bytes with newl"
PRINTS = 300
PRINTER = "import time\nfor _ in range({}):\n print(time.time_ns(), flush=True)\n time.sleep(0.01)\n"


async def mb_per_second(client: Client, address: str) -> float:
    """Megabytes (10^6) per second from one task's standard output to one reader of raw bytes."""
    spec = process(["head", "-c", str(OUTPUT_BYTES), "/dev/zero"], name="bytes")
    return await _median(lambda: _read_by_another(client, address, spec, "bytes", OUTPUT_BYTES)) / 1e6


async def lines_per_second(client: Client, address: str) -> float:
    """Entries per second from one task's standard output to one reader of lines."""
    script = f"yes '{LINE}' | head -n {LINES}"
    spec = process(["sh", "-c", script], name="lines")
    return await _median(lambda: _read_by_another(client, address, spec, "lines", LINES))


async def _median(measure: Callable[[], Awaitable[float]]) -> float:
    return statistics.median([await measure() for _ in range(TASKS)])


async def _read_by_another(client: Client, address: str, spec: TaskSpec, what: str, expected: int) -> float:
    """How much per second reaches a reader in its own process, from the submission on."""
    reader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.log_reader", address, what),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert reader.stdin is not None and reader.stdout is not None
    assert await reader.stdout.readline() == b"ready\n"
    began = time.monotonic()
    reader.stdin.write((await client.submit(spec)).encode() + b"\n")
    received, ended = json.loads(await reader.stdout.readline())
    await reader.wait()
    assert received == expected, received
    return float(received / (ended - began))


async def print_to_reader_ms(client: Client) -> Sequence[float]:
    """(p50, p99) milliseconds from a print in the task to the reader, at 100 lines per second."""
    argv = [sys.executable, "-I", "-S", "-c", PRINTER.format(PRINTS)]
    task = await client.submit(process(argv, name="prints"))
    took = []
    async for message in client.follow_logs(task):
        now = time.time_ns()
        took += [(now - int(entry.text)) / 1e6 for entry in message.lines.entries]
    assert len(took) == PRINTS, len(took)
    return percentile(took, 50), percentile(took, 99)
