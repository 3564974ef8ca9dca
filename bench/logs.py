"""How fast does the output of a task reach a reader?

The reader follows the task while it writes; between the two lie the warden's spool, the agent's push, the
relay's fsync and the tail. A byte counts when the reader has it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.figures import percentile
from tenure import process

if TYPE_CHECKING:
    from tenure import Client

OUTPUT_BYTES = 800_000_000
LINES = 2_000_000
LINE = "the quick brown fox jumps over the lazy dog, 64 bytes with newl"
PRINTS = 300
PRINTER = "import time\nfor _ in range({}):\n print(time.time_ns(), flush=True)\n time.sleep(0.01)\n"


async def mb_per_second(client: Client) -> float:
    """Megabytes (10^6) per second from one task's standard output to one reader of raw bytes."""
    began = time.perf_counter()
    task = await client.submit(process(["head", "-c", str(OUTPUT_BYTES), "/dev/zero"], name="bytes"))
    received = 0
    async for message in client.follow_logs(task, raw=True):
        assert not message.HasField("gap"), message.gap
        received += len(message.chunk.data)
    assert received == OUTPUT_BYTES, received
    return received / (time.perf_counter() - began) / 1e6


async def lines_per_second(client: Client) -> float:
    """Entries per second from one task's standard output to one reader of lines."""
    began = time.perf_counter()
    script = f"yes '{LINE}' | head -n {LINES}"
    task = await client.submit(process(["sh", "-c", script], name="lines"))
    received = 0
    async for message in client.follow_logs(task):
        assert not message.HasField("gap"), message.gap
        received += len(message.lines.entries)
    assert received == LINES, received
    return received / (time.perf_counter() - began)


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
