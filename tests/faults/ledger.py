"""What does a resource look like that fences its writers?

It remembers the highest (incarnation, attempt) that it has seen of each task and refuses lower ones: three
lines of state that any user's database can keep as well. It lies outside the fleet, and no fault touches it.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Self

from tests.faults.history import Recorder, Written

if TYPE_CHECKING:
    from pathlib import Path


class Ledger:
    """A server on a Unix socket: one JSON object a line, answered `accepted` or `refused`."""

    def __init__(self, socket: Path, recorder: Recorder) -> None:
        self.socket = socket
        self.refused = 0
        self._recorder = recorder
        self._highest: dict[str, tuple[int, int]] = {}
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.socket, backlog=1000)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while line := await reader.readline():
                writer.write(b"accepted\n" if self._accept(json.loads(line)) else b"refused\n")
        except (ConnectionError, ValueError):
            pass  # killed in the middle of a write
        finally:
            self._serving.discard(task)
            writer.close()

    def _accept(self, write: dict[str, str]) -> bool:
        incarnation, task, attempt = write["fence"].split(".")
        fence = (int(incarnation), int(attempt))
        accepted = fence >= self._highest.get(task, fence)
        if accepted:
            self._highest[task] = fence
        self.refused += not accepted
        self._recorder.add(
            Written(
                at=float(write["at"]),
                task=task,
                incarnation=fence[0],
                attempt=fence[1],
                process=write["process"],
                what=write["what"],
                accepted=accepted,
                worker=write["worker"],
            )
        )
        return accepted
