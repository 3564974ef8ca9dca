"""Does a call that a follower forwards look the same to its caller and to the leader?"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from tenure_core import errors
from tenure_runtime.rpc.call import HOPS_KEY
from tenure_runtime.rpc.rules import text
from tenure_runtime.rpc.status import from_rpc_error
from tenure_runtime.rpc.transport import create_channel
from tenure_runtime.rpc.validation import Validator
from tests.adapters.runtime.probe import Client, Probe, calling, failure_of, pb, serving, stream_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@asynccontextmanager
async def follower_of(leader: str) -> AsyncIterator[Client]:
    """A client of a server that forwards everything to `leader`."""
    async with create_channel(leader) as ahead:

        async def route(method: str) -> grpc.aio.Channel | None:
            return ahead

        async with serving(Probe("follower"), router=route) as address, calling(address) as client:
            yield client


async def test_every_kind_of_call_is_served_by_the_leader() -> None:
    async with serving(Probe("leader")) as leader, follower_of(leader) as client:
        answer = await client.unary("Echo", pb.EchoRequest(text="hi"))
        assert (answer.text, answer.facts["server"], answer.facts["hops"]) == ("hi", "leader", "1")
        assert [m.text async for m in client.stream("Count", pb.EchoRequest(count=3))] == ["0", "1", "2"]
        said = [pb.EchoRequest(text=t) for t in "abc"]
        assert [m.facts["server"] async for m in client.chat("Chat", stream_of(said))] == ["leader"] * 3
        assert (await client.collect("Collect", stream_of(said))).text == "a,b,c"


async def test_metadata_trace_and_deadline_go_along() -> None:
    async with serving(Probe("leader")) as leader, follower_of(leader) as client:
        metadata = (("x-custom", "mine"), ("traceparent", TRACE))
        answer = await client.unary("Echo", pb.EchoRequest(), metadata=metadata, timeout=60.0)
        assert answer.facts["custom"] == "mine"
        assert answer.facts["traceparent"] == TRACE
        assert 30.0 < float(answer.facts["remaining"]) <= 60.5


async def test_headers_and_trailers_come_back() -> None:
    async with serving(Probe("leader")) as leader, follower_of(leader) as client:
        call = client.unary("Echo", pb.EchoRequest(text="trailers"))
        await call
        assert ("x-trailer", "leader") in tuple(await call.trailing_metadata())
        stream = client.stream("Count", pb.EchoRequest(text="hang"))
        assert ("x-header", "leader") in tuple(await asyncio.wait_for(stream.initial_metadata(), 20))
        stream.cancel()


@pytest.mark.parametrize("kind", ["AlreadyExists", "Fenced", "NotLeader", "DeadlineExceeded"])
async def test_errors_pass_unchanged(kind: str) -> None:
    async with serving(Probe("leader")) as leader:
        async with calling(leader) as direct, follower_of(leader) as client:
            for name in ("Echo", "Count"):
                request = pb.EchoRequest(fail=kind)
                how = "unary" if name == "Echo" else "stream"
                plain = await failure_of(getattr(direct, how)(name, request))
                passed = await failure_of(getattr(client, how)(name, request))
                assert (passed.code(), passed.details()) == (plain.code(), plain.details())
                assert type(from_rpc_error(passed)).__name__ == kind


async def test_the_follower_does_not_read_what_it_forwards() -> None:
    rules = Validator({pb.EchoRequest: {"text": text(max=3)}})
    async with serving(Probe("leader"), rules=rules) as leader, follower_of(leader) as client:
        error = from_rpc_error(await failure_of(client.unary("Echo", pb.EchoRequest(text="long"))))
        assert isinstance(error, errors.InvalidArgument)
        assert error.violations[0].path == "text"
        assert "EchoRequest" in ((await failure_of(client.unary("Echo", b"\xff"))).details() or "")


async def test_a_cancel_reaches_the_leader() -> None:
    probe = Probe("leader")
    async with serving(probe) as leader, follower_of(leader) as client:
        call = client.stream("Count", pb.EchoRequest(text="hang", count=1))
        assert (await call.read()).text == "0"
        call.cancel()
        await asyncio.wait_for(probe.ended.wait(), 20)


async def test_a_forwarded_conversation_goes_back_and_forth() -> None:
    async with serving(Probe("leader")) as leader, follower_of(leader) as client:
        call = client.chat("Chat")
        for word in ("one", "two", "three"):
            await call.write(pb.EchoRequest(text=word))
            assert (await asyncio.wait_for(call.read(), 20)).text == word
        await call.done_writing()
        assert await asyncio.wait_for(call.code(), 20) is grpc.StatusCode.OK


async def test_replicas_that_point_at_each_other_do_not_loop() -> None:
    ahead: list[grpc.aio.Channel] = []

    async def route(method: str) -> grpc.aio.Channel | None:
        return ahead[0]

    async with serving(router=route) as address, create_channel(address) as channel:
        ahead.append(channel)
        async with calling(address) as client:
            error = from_rpc_error(await failure_of(client.unary("Echo", pb.EchoRequest())))
            assert isinstance(error, errors.Unavailable)
            assert "forwarded 3 times" in error.message
            assert error.retry_after is not None


async def test_a_malformed_hop_count_is_harmless() -> None:
    async with serving() as address, calling(address) as client:
        for value in ("x", "-1", "²", "9" * 30):
            if value.isascii():
                answer = await client.unary("Echo", pb.EchoRequest(), metadata=((HOPS_KEY, value),))
                assert answer.facts["server"] == "probe"


async def test_a_leader_that_cannot_be_reached_is_unavailable_with_advice() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{unused.getsockname()[1]}"
        async with follower_of(dead) as client:
            error = from_rpc_error(await failure_of(client.unary("Echo", pb.EchoRequest(), timeout=20)))
            assert isinstance(error, errors.Unavailable)
            assert "leading replica could not be reached" in error.message
            assert error.retry_after is not None
