"""A TCP proxy that loses answers, or delivers a request after its sender gave up."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Proxy:
    """Forwards to `port` on loopback until a chunk from the client contains the armed marker."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._marker = b""
        self._hold = False
        self._release = asyncio.Event()
        self.triggered = 0

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def cut_answers(self, marker: bytes) -> None:
        """Deliver the next request with this marker, and cut its connection instead of answering."""
        self._marker, self._hold = marker, False

    def delay_request(self, marker: bytes) -> None:
        """Keep the next request with this marker until `release`, and cut its sender off meanwhile."""
        self._marker, self._hold = marker, True

    def release(self) -> None:
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
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._target)
        answers = asyncio.create_task(_pump(upstream, writer))
        try:
            while data := await reader.read(1 << 20):
                if self._marker and self._marker in data:
                    await self._lose(data, writer, to_upstream, answers)
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
        writer: asyncio.StreamWriter,
        to_upstream: asyncio.StreamWriter,
        answers: asyncio.Task[None],
    ) -> None:
        self._marker = b""
        self.triggered += 1
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        writer.transport.abort()
        if self._hold:
            await self._release.wait()
        to_upstream.write(data)
        await to_upstream.drain()
        to_upstream.write_eof()
        await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 20):
            writer.write(data)
            await writer.drain()
