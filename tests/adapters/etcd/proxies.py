"""A TCP proxy that loses answers, or delivers a request after its sender gave up."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Proxy:
    """Forwards to `endpoint` until a chunk from the client contains the armed marker."""

    def __init__(self, endpoint: str) -> None:
        self._host, self._port = endpoint.split(":")
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._marker = b""
        self._applied: Callable[[], Awaitable[object]] | None = None
        self._answer = b""
        self._release = asyncio.Event()
        self.late = asyncio.Event()
        self.triggered = 0

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def cut_answers(self, marker: bytes, applied: Callable[[], Awaitable[object]]) -> None:
        """Deliver the next request with this marker; once it is applied, cut its connection unanswered."""
        self._marker, self._applied = marker, applied

    def delay_request(self, marker: bytes) -> None:
        """Cut the sender of the next request with this marker off, and keep the request until `release`."""
        self._marker, self._applied = marker, None

    def release(self, answer: bytes) -> None:
        """Deliver the request that is kept; `late` is set when the answer to it contains this text."""
        self._answer = answer
        self._release.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream, to_upstream = await asyncio.open_connection(self._host, int(self._port))
        answers = asyncio.create_task(_pump(upstream, writer))
        try:
            while data := await reader.read(1 << 20):
                if self._marker and self._marker in data:
                    answers.cancel()
                    await asyncio.gather(answers, return_exceptions=True)
                    await self._lose(data, writer, upstream, to_upstream)
                    return
                to_upstream.write(data)
                await to_upstream.drain()
        except ConnectionError:
            pass
        finally:
            self._tasks.discard(task)
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            for end in (writer, to_upstream):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()

    async def _lose(
        self,
        data: bytes,
        client: asyncio.StreamWriter,
        upstream: asyncio.StreamReader,
        to: asyncio.StreamWriter,
    ) -> None:
        self._marker = b""
        self.triggered += 1
        if self._applied is not None:
            to.write(data)
            await eventually(self._applied)
            client.transport.abort()
            return
        client.transport.abort()
        await self._release.wait()
        to.write(data)
        received = b""
        while self._answer not in received and (chunk := await upstream.read(1 << 20)):
            received += chunk
        if self._answer in received:
            self.late.set()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 20):
            writer.write(data)
            await writer.drain()
