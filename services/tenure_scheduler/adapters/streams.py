"""Which session streams are open, and what waits to be written to each?

A stream is numbered when it is opened. The core speaks of streams by number; what it says to one that has
ended meanwhile is dropped, since the next Hello decides anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tenure_core.errors import TenureError


class Stream:
    """The writing half of one session stream."""

    __slots__ = ("_wake", "closing", "error", "number", "outbox", "reader_ended", "worker")

    def __init__(self, number: int, worker: str) -> None:
        self.number = number
        self.worker = worker
        self.outbox: deque[bytes] = deque()
        self.closing = False
        """We end it, after what is in the outbox."""
        self.error: TenureError | None = None
        """What the agent is told when we end it; None: the stream ends in order."""
        self.reader_ended = False
        self._wake: asyncio.Future[None] | None = None

    def write(self, message: bytes) -> None:
        """Send a message; nothing happens if the stream is ending."""
        if not self.closing:
            self.outbox.append(message)
            self.wake()

    def close(self, error: TenureError | None = None) -> None:
        """End the stream after what has been written; the first call decides how."""
        if not self.closing:
            self.closing, self.error = True, error
            self.wake()

    def agent_ended(self) -> None:
        """Nothing more comes from the agent."""
        self.reader_ended = True
        self.wake()

    def wake(self) -> None:
        """Let `news` return."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def news(self) -> None:
        """Return when there is something to write or the stream is ending."""
        if self.outbox or self.closing or self.reader_ended:
            return
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake
        self._wake = None


class Streams:
    """The open streams of this replica."""

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[int, Stream] = {}

    def open(self, worker: str) -> Stream:
        """Number a new stream."""
        self._last += 1
        stream = self._open[self._last] = Stream(self._last, worker)
        return stream

    def remove(self, stream: Stream) -> None:
        """It has ended."""
        self._open.pop(stream.number, None)

    def get(self, number: int) -> Stream | None:
        """The open stream with this number."""
        return self._open.get(number)

    def close_all(self, error: TenureError) -> None:
        """End every stream with this error."""
        for stream in list(self._open.values()):
            stream.close(error)

    def __len__(self) -> int:
        return len(self._open)
