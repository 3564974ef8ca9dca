"""The reader of the log benchmark: a process of its own, as a user's program is.

    python -m bench.log_reader ADDRESS bytes|lines

It says `ready`, takes a task id from its standard input, reads the task's output to its end, and prints how
much came and when (CLOCK_MONOTONIC, which all processes share).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from tenure import Client, keep_buffers

if TYPE_CHECKING:
    from tenure.v1.log_service_pb2 import TailLogsResponse


def amount(message: TailLogsResponse) -> int:
    """Bytes, or entries where it holds lines."""
    assert not message.HasField("gap"), message.gap
    return len(message.chunk.data) or len(message.lines.entries)


async def main(address: str, raw: bool) -> None:
    async with Client(address) as client:
        print("ready", flush=True)
        task = (await asyncio.to_thread(sys.stdin.readline)).strip()
        received = 0
        async for message in client.follow_logs(task, raw=raw):
            received += amount(message)
        print(json.dumps([received, time.monotonic()]), flush=True)


if __name__ == "__main__":
    keep_buffers()
    asyncio.run(main(sys.argv[1], sys.argv[2] == "bytes"))
