"""What do the tests of the runtime talk to? A service of their own, compiled when the tests start."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import shutil
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_tools import protoc

import tenure.v1.options_pb2  # noqa: F401  (registers the permission option that the probe uses)
from tenure_core import errors
from tenure_runtime.rpc.server import Server
from tenure_runtime.rpc.transport import create_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tenure_runtime.rpc.call import Call

HERE = Path(__file__).parent
PROTOS = HERE.parents[2] / "protos"


def _compiled() -> Any:
    folder = tempfile.mkdtemp(prefix="tenure-probe-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    google = Path(protoc.__file__).parent / "_proto"
    includes = [f"-I{HERE}", f"-I{PROTOS}", f"-I{google}"]
    assert protoc.main(["protoc", *includes, f"--python_out={folder}", str(HERE / "probe.proto")]) == 0
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("probe_pb2")
    finally:
        sys.path.remove(folder)


pb: Any = _compiled()
PROBE = pb.DESCRIPTOR.services_by_name["Probe"]
UNDECLARED = pb.DESCRIPTOR.services_by_name["Undeclared"]
SENTENCE = "RPCs of a later time are not served yet"


class Probe:
    """Answers with what it saw of the call; `fail` names an error of the tree to raise."""

    def __init__(self, name: str = "probe") -> None:
        self.name = name
        self.calls: list[Call] = []
        self.hanging = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()

    def _answer(self, request: Any, call: Call) -> Any:
        self.calls.append(call)
        if request.fail:
            cls = getattr(errors, request.fail, None)
            raise cls() if cls else RuntimeError(request.fail)
        facts = {
            "server": self.name,
            "identity": str(call.identity),
            "hops": str(call.hops),
            "remaining": str(call.remaining()),
            "traceparent": str(call.traceparent),
            "custom": str(call.value("x-custom")),
        }
        return pb.EchoResponse(text=request.text, facts=facts)

    async def Echo(self, request: Any, call: Call) -> Any:
        if request.text == "hang":
            self.hanging.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.ended.set()
        if request.text == "slow":
            self.hanging.set()
            await self.go_on.wait()
        if request.text == "trailers":
            call.set_trailers((("x-trailer", self.name),))
        return self._answer(request, call)

    Work = Echo

    async def Count(self, request: Any, call: Call) -> AsyncIterator[Any]:
        try:
            await call.send_headers((("x-header", self.name),))
            for number in range(request.count):
                yield pb.EchoResponse(text=str(number))
            self._answer(request, call)
            if request.text == "hang":
                await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()

    async def Chat(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for request in requests:
            yield self._answer(request, call).SerializeToString()

    async def Collect(self, requests: AsyncIterator[Any], call: Call) -> Any:
        return pb.EchoResponse(text=",".join([request.text async for request in requests]))


class Client:
    """Calls the probe; messages may be given as bytes."""

    def __init__(self, channel: grpc.aio.Channel, prefix: str = "/tenure.probe.v1.Probe/") -> None:
        self.channel: Any = channel
        self._prefix = prefix

    def _kinds(self) -> dict[str, Any]:
        return {
            "request_serializer": lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
            "response_deserializer": pb.EchoResponse.FromString,
        }

    def unary(self, name: str, request: Any, **options: Any) -> Any:
        return self.channel.unary_unary(self._prefix + name, **self._kinds())(request, **options)

    def stream(self, name: str, request: Any, **options: Any) -> Any:
        return self.channel.unary_stream(self._prefix + name, **self._kinds())(request, **options)

    def chat(self, name: str, requests: Any = None, **options: Any) -> Any:
        return self.channel.stream_stream(self._prefix + name, **self._kinds())(requests, **options)

    def collect(self, name: str, requests: Any, **options: Any) -> Any:
        return self.channel.stream_unary(self._prefix + name, **self._kinds())(requests, **options)


@asynccontextmanager
async def serving(implementation: Any = None, *, tls: Any = None, **options: Any) -> AsyncIterator[str]:
    """The address of a running probe server."""
    server = Server(tls=tls, **options)
    server.add(PROBE, implementation or Probe(), unimplemented=SENTENCE)
    (port,) = await server.start(["127.0.0.1:0"])
    await server.set_serving(True)
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(grace=0.2)


@asynccontextmanager
async def calling(address: str, tls: Any = None) -> AsyncIterator[Client]:
    """A client of that server."""
    async with create_channel(address, tls) as channel:
        yield Client(channel)


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    """The error that a call ends with."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call succeeded")


def stream_of(items: Iterable[Any]) -> AsyncIterator[Any]:
    """The items as an async iterator."""

    async def each() -> AsyncIterator[Any]:
        for item in items:
            yield item

    return each()
