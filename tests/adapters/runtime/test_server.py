"""Does a server decode, refuse, answer and stop as its callers were promised?"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tenure_core import errors
from tenure_runtime.rpc.rules import number, text
from tenure_runtime.rpc.server import Server, UndeclaredMethod
from tenure_runtime.rpc.status import from_rpc_error
from tenure_runtime.rpc.validation import Validator
from tests.adapters.runtime.probe import (
    PROBE,
    SENTENCE,
    UNDECLARED,
    Probe,
    calling,
    failure_of,
    pb,
    serving,
    stream_of,
)
from tests.support.waiting import eventually

UNDECODABLE = b"\x0a\xff\xff\xff"
RULES = Validator({pb.EchoRequest: {"text": text(max=8), "count": number(max=10)}})


async def test_all_four_kinds_of_calls_are_answered() -> None:
    async with serving() as address, calling(address) as client:
        assert (await client.unary("Echo", pb.EchoRequest(text="hello"))).text == "hello"
        counted = client.stream("Count", pb.EchoRequest(count=3))
        assert [m.text async for m in counted] == ["0", "1", "2"]
        said = [pb.EchoRequest(text=t) for t in "abc"]
        assert [m.text async for m in client.chat("Chat", stream_of(said))] == ["a", "b", "c"]
        assert (await client.collect("Collect", stream_of(said))).text == "a,b,c"


async def test_undecodable_bytes_are_an_invalid_argument_that_names_the_message() -> None:
    async with serving() as address, calling(address) as client:
        for call in (
            client.unary("Echo", UNDECODABLE),
            client.stream("Count", UNDECODABLE),
            client.chat("Chat", stream_of([UNDECODABLE])),
            client.collect("Collect", stream_of([UNDECODABLE])),
        ):
            error = await failure_of(call)
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "tenure.probe.v1.EchoRequest" in (error.details() or "")


async def test_invalid_utf8_in_a_text_is_an_invalid_argument() -> None:
    async with serving() as address, calling(address) as client:
        error = await failure_of(client.unary("Echo", b"\x0a\x01\xff"))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_all_violations_come_at_once() -> None:
    async with serving(rules=RULES) as address, calling(address) as client:
        request = pb.EchoRequest(text="far too long", count=11)
        for call in (client.unary("Echo", request), client.stream("Count", request)):
            error = from_rpc_error(await failure_of(call))
            assert isinstance(error, errors.InvalidArgument)
            assert [v.path for v in error.violations] == ["text", "count"]


async def test_unknown_fields_of_newer_clients_are_ignored() -> None:
    async with serving(rules=RULES) as address, calling(address) as client:
        newer = pb.EchoRequest(text="hi").SerializeToString() + b"\xfa\x3f\x02ab"
        assert (await client.unary("Echo", newer)).text == "hi"


async def test_what_is_not_implemented_says_so_in_a_sentence() -> None:
    async with serving() as address, calling(address) as client:
        for call in (
            client.unary("Later", pb.EchoRequest()),
            client.stream("LaterStream", pb.EchoRequest()),
        ):
            error = await failure_of(call)
            assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, SENTENCE)


async def test_a_method_without_permission_is_not_served() -> None:
    with pytest.raises(UndeclaredMethod, match="declares no permission"):
        Server().add(UNDECLARED, Probe())


async def test_a_method_neither_implemented_nor_explained_is_not_served() -> None:
    with pytest.raises(UndeclaredMethod, match="Later is neither"):
        Server().add(PROBE, Probe())


@pytest.mark.parametrize("kind", ["NotFound", "Fenced", "Unavailable", "OutOfRange"])
async def test_errors_of_the_tree_reach_the_caller_by_class(kind: str) -> None:
    async with serving() as address, calling(address) as client:
        for call in (
            client.unary("Echo", pb.EchoRequest(fail=kind)),
            client.stream("Count", pb.EchoRequest(fail=kind, count=2)),
            client.chat("Chat", stream_of([pb.EchoRequest(fail=kind)])),
        ):
            assert type(from_rpc_error(await failure_of(call))).__name__ == kind


async def test_a_bug_is_internal_and_tells_nothing_of_the_inside() -> None:
    async with serving() as address, calling(address) as client:
        error = await failure_of(client.unary("Echo", pb.EchoRequest(fail="secret text")))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in (error.details() or "")


async def test_the_deadline_is_known_and_cancels_the_handler() -> None:
    probe = Probe()
    async with serving(probe) as address, calling(address) as client:
        answer = await client.unary("Echo", pb.EchoRequest(), timeout=60.0)
        assert 30.0 < float(answer.facts["remaining"]) <= 60.5
        assert (await client.unary("Echo", pb.EchoRequest())).facts["remaining"] == "None"
        error = await failure_of(client.unary("Echo", pb.EchoRequest(text="hang"), timeout=0.2))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(probe.ended.wait(), 20)


async def test_a_cancelled_stream_closes_the_method() -> None:
    probe = Probe()
    async with serving(probe) as address, calling(address) as client:
        call = client.stream("Count", pb.EchoRequest(text="hang", count=1))
        assert (await call.read()).text == "0"
        call.cancel()
        await asyncio.wait_for(probe.ended.wait(), 20)


async def test_a_stopping_server_tells_its_callers_to_retry() -> None:
    probe = Probe()
    server = Server()
    server.add(PROBE, probe, unimplemented=SENTENCE)
    (port,) = await server.start(["127.0.0.1:0"])
    async with calling(f"127.0.0.1:{port}") as client:
        stream = client.stream("Count", pb.EchoRequest(text="hang", count=1))
        assert (await stream.read()).text == "0"
        unary = client.unary("Echo", pb.EchoRequest(text="hang"))
        await asyncio.wait_for(probe.hanging.wait(), 20)
        ends = asyncio.gather(failure_of(stream.read()), failure_of(unary))
        await server.stop(grace=0.2)
        for error in await asyncio.wait_for(ends, 20):
            told = from_rpc_error(error)
            assert isinstance(told, errors.Unavailable)
            assert (told.message, told.retry_after) == ("this server is stopping", 0.1)


async def test_a_call_that_ends_within_the_grace_is_answered_by_a_stopping_server() -> None:
    probe = Probe()
    server = Server()
    server.add(PROBE, probe, unimplemented=SENTENCE)
    (port,) = await server.start(["127.0.0.1:0"])
    async with calling(f"127.0.0.1:{port}") as client:
        answer = asyncio.ensure_future(client.unary("Echo", pb.EchoRequest(text="slow")))
        await asyncio.wait_for(probe.hanging.wait(), 5)
        stopping = asyncio.create_task(server.stop(grace=10.0))
        await eventually(lambda: server.stopping)
        probe.go_on.set()
        assert (await answer).text == "slow"
        await asyncio.wait_for(stopping, 5)


async def test_callers_are_refused_in_words_before_connections_close() -> None:
    server = Server()
    server.add(PROBE, Probe(), unimplemented=SENTENCE)
    (port,) = await server.start(["127.0.0.1:0"])
    async with calling(f"127.0.0.1:{port}") as client:

        async def keep_calling() -> grpc.aio.AioRpcError:
            while True:
                try:
                    await client.unary("Echo", pb.EchoRequest(text="on"))
                except grpc.aio.AioRpcError as error:
                    return error

        callers = [asyncio.create_task(keep_calling()) for _ in range(32)]
        assert (await client.unary("Echo", pb.EchoRequest(text="first"))).text == "first"
        await asyncio.wait_for(server.stop(), 20)
        for error in await asyncio.wait_for(asyncio.gather(*callers), 20):
            assert (error.code(), error.details()) == (
                grpc.StatusCode.UNAVAILABLE,
                "this server is stopping",
            )


async def drained(call: Any) -> None:
    while await call.read():
        pass


async def test_a_reader_that_does_not_read_does_not_hold_up_the_stop() -> None:
    probe = Probe()
    server = Server()
    server.add(PROBE, probe, unimplemented=SENTENCE)
    (port,) = await server.start(["127.0.0.1:0"])
    async with calling(f"127.0.0.1:{port}") as client:
        call = client.stream("Count", pb.EchoRequest(count=1_000_000))
        assert (await call.read()).text == "0"
        await asyncio.wait_for(server.stop(grace=0.2), 20)
        await asyncio.wait_for(probe.ended.wait(), 20)
        error = await failure_of(drained(call))
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_a_request_over_the_limit_is_refused() -> None:
    async with serving() as address, calling(address) as client:
        error = await failure_of(client.unary("Echo", pb.EchoRequest(text="x" * (4 << 20))))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
