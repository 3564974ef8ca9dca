"""How does an agent's session stream become events, and how does its end?

The leader reads Hello, then reports; what it writes comes from the core through the stream's outbox. A
follower answers with the leader's address, or hands the stream on when the agent cannot reach the leader.
Why a stream ended matters: a reset connection is how a killed node is noticed within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, Protocol

import grpc.aio

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure_core.errors import InvalidArgument, PermissionDenied, SessionLost, TenureError
from tenure_runtime.rpc.access import require_worker
from tenure_runtime.rpc.call import Call
from tenure_runtime.rpc.forward import forward_many
from tenure_scheduler.adapters.beats import Beats
from tenure_scheduler.adapters.dispatch_codec import hello_of, level_of, reports_of
from tenure_scheduler.adapters.streams import Stream, Streams
from tenure_scheduler.domain import events as e

_RESET_SHOWS_WITHIN: Final = 0.05
"""A reset ends the request stream first, as if in order; the cancellation of the call follows at once."""


class SessionHost(Protocol):
    """What this service needs of the replica."""

    streams: Streams
    beats: Beats

    def poster(self) -> Poster | None:
        """Where the leading core takes events; None: this replica does not lead."""

    def leader_address(self) -> str:
        """Where the leader is, as far as it is known."""

    def leader_channel(self) -> grpc.aio.Channel | None:
        """The way to the leader; None: it is here, or nobody is known to lead."""


class Poster(Protocol):
    """Takes events for the core of one leadership."""

    def post(self, event: e.Event) -> None:
        """Hand an event to the core."""


class SessionService:
    """tenure.dispatch.v1.WorkerSessionService."""

    def __init__(self, host: SessionHost) -> None:
        self._host = host

    async def Session(  # noqa: N802
        self, requests: AsyncIterator[pb.SessionRequest], call: Call
    ) -> AsyncIterator[pb.SessionResponse | bytes]:
        """One agent's conversation with the leader."""
        # The Hello is read first in any case: a stream that ends while it is being sent looks like a failure.
        hello = await _first(requests)
        poster = self._host.poster()
        if poster is None:
            async with aclosing(self._elsewhere(hello, requests, call)) as answers:
                async for answer in answers:
                    yield answer
            return
        if refusal := _not_its_name(hello, call):
            yield pb.SessionResponse(refusal=refusal)
            return
        stream = self._host.streams.open(hello.worker)
        how = e.StreamEnd.RESET
        reader = asyncio.create_task(_read(requests, poster, stream), name="session reader")
        try:
            poster.post(e.HelloReceived(stream.number, not call.forwarded, hello_of(hello)))
            async for message in _written(stream):
                yield message
            how = e.StreamEnd.CLOSED if stream.closing else e.StreamEnd.ENDED
        finally:
            self._host.streams.remove(stream)
            reader.cancel()
            poster.post(e.StreamClosed(hello.worker, stream.number, how))
        if stream.error is not None:
            raise stream.error

    async def _elsewhere(
        self, hello: pb.Hello, requests: AsyncIterator[pb.SessionRequest], call: Call
    ) -> AsyncGenerator[pb.SessionResponse | bytes, None]:
        """The answers to an agent that came to a replica which does not lead."""
        channel = self._host.leader_channel() if hello.forward and not call.forwarded else None
        if channel is None:
            redirect = pb.Redirect(leader_address=self._host.leader_address())
            yield pb.SessionResponse(redirect=redirect)
            return
        async with aclosing(forward_many(channel, call, _encoded(hello, requests))) as answers:
            async for answer in answers:
                yield answer

    async def Beat(self, request: pb.BeatRequest, call: Call) -> pb.BeatResponse:  # noqa: N802
        """Renew a worker's lease and prove that its session holds."""
        require_worker(call.identity, request.worker)
        renewed = await self._host.beats.beat(request.worker, request.lease_id, request.live_revision)
        if renewed is None:
            raise SessionLost()
        return pb.BeatResponse(
            ttl_ms=renewed.ttl_ms,
            exclusive=renewed.exclusive,
            leader_address=self._host.leader_address(),
        )


async def _encoded(hello: pb.Hello, rest: AsyncIterator[pb.SessionRequest]) -> AsyncIterator[bytes]:
    yield pb.SessionRequest(hello=hello).SerializeToString()
    async for request in rest:
        yield request.SerializeToString()


async def _first(requests: AsyncIterator[pb.SessionRequest]) -> pb.Hello:
    async for request in requests:
        if request.WhichOneof("kind") == "hello":
            return request.hello
        break
    raise InvalidArgument("a session begins with a hello")


def _not_its_name(hello: pb.Hello, call: Call) -> pb.Refusal | None:
    try:
        require_worker(call.identity, hello.worker)
    except PermissionDenied as error:
        return pb.Refusal(reason="INVALID_HELLO", message=error.message)
    return None


async def _read(requests: AsyncIterator[pb.SessionRequest], poster: Poster, stream: Stream) -> None:
    """Hand reports to the core until the agent ends the stream or says nonsense."""
    try:
        async for request in requests:
            kind = request.WhichOneof("kind")
            if kind == "hold":
                poster.post(e.HoldAnnounced(stream.worker, stream.number, request.hold.hold_ms / 1000))
                continue
            if kind != "report":
                raise InvalidArgument("only reports and holds follow a hello")
            report = request.report
            news = reports_of(report.attempts)
            poster.post(
                e.ReportsReceived(stream.worker, stream.number, report.last_command, news, report.phase)
            )
            if report.HasField("level"):
                # After the news: what they say is in the level already.
                poster.post(level_of(stream.worker, stream.number, report.level, report.phase))
    except TenureError as error:
        stream.close(error)
    else:
        stream.agent_ended()


async def _written(stream: Stream) -> AsyncIterator[bytes]:
    """What the core writes, until either side ends the stream; cancelled by a reset."""
    while True:
        await stream.news()
        while stream.outbox:
            yield stream.outbox.popleft()
        if stream.closing:
            return
        if stream.reader_ended:
            await asyncio.sleep(_RESET_SHOWS_WITHIN)
            return
