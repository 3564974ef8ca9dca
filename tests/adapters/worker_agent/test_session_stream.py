"""What leaves on a session stream, and in which order, over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure_core.levels import level_digest
from tenure_runtime.rpc.transport import create_channel
from tenure_worker_agent.adapters.session_stream import PER_MESSAGE, SESSION, SessionStream
from tenure_worker_agent.domain.commands import Level, News, SendReport, Started
from tests.support.waiting import eventually


class Listener:
    """A server that takes one session stream and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[pb.SessionRequest] = []
        self.answers: list[bytes] = []
        self.server: Any = grpc.aio.server()
        service, method = SESSION.strip("/").split("/")
        handler = grpc.stream_stream_rpc_method_handler(self._session)
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: handler})]
        )
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"

    async def _session(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for data in requests:
            self.heard.append(pb.SessionRequest.FromString(data))
        for answer in self.answers:
            yield answer


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    await listener.server.start()
    try:
        yield listener
    finally:
        await listener.server.stop(None)


async def test_a_level_comes_right_after_the_news_that_it_takes_for_told() -> None:
    async with listening() as listener:
        ended: list[object] = []
        channel = create_channel(listener.address, own_connection=True)
        stream = SessionStream(1, channel, None, ended.append)  # type: ignore[arg-type]
        running = asyncio.create_task(stream.run(pb.SessionRequest(hello=pb.Hello()).SerializeToString()))
        before: list[tuple[str, News]] = [
            (f"1.{n:020d}.1", Started(n, 1, 1)) for n in range(PER_MESSAGE + 500)
        ]
        after: list[tuple[str, News]] = [(f"2.{n:020d}.1", Started(n, 1, 1)) for n in range(10)]
        stream.send(SendReport(1, 5, before, level=Level(5, level_digest([]), [])))
        stream.send(SendReport(1, 6, after))
        await eventually(lambda: sum(len(m.report.attempts) for m in listener.heard) == PER_MESSAGE + 510)
        stream.close()
        await running
    (at,) = [n for n, message in enumerate(listener.heard) if message.report.HasField("level")]
    told = [attempt.fence for message in listener.heard[: at + 1] for attempt in message.report.attempts]
    assert told == [fence for fence, _ in before]
    assert (listener.heard[at].report.level.last_command, listener.heard[at].report.level.whole) == (5, True)
    assert len(ended) == 1
