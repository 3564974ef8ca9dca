"""How does a simulated process call another by gRPC, as far as the real code can tell?

Channels and calls with the methods of grpc.aio that are used, over the streams of `network`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from tests.simulation.network import REFUSED, End, Link, Network, rpc_error
from tests.simulation.world import Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator

EOF: Final[Any] = vars(grpc.aio)["EOF"]
OVERDUE: Final = (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


class Channel:
    """What a process holds to talk to a server at an address; like grpc.aio.Channel as far as it is used."""

    def __init__(self, network: Network, process: Process, address: str) -> None:
        self._network = network
        self._process = process
        self._address = address
        process.loop.connect = network.dial

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any
    ) -> Any:
        def call(request: Any, timeout: float | None = None, metadata: Any = ()) -> Any:
            data = request_serializer(request) if request_serializer is not None else request
            answer = unary(self._network, self._process, self._address, method, data, timeout, metadata)
            return UnaryCall(answer, response_deserializer)

        return call

    def stream_stream(self, method: str, response_deserializer: Any = None, **_: Any) -> Any:
        def call(requests: Any = None, timeout: float | None = None, metadata: Any = ()) -> StreamCall:
            stream = self._stream(method, metadata, response_deserializer, None)
            if requests is not None:
                self._network.handed_on += 1
                self._process.start(stream.feed(requests))
            return stream

        return call

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any
    ) -> Any:
        def call(request: Any, timeout: float | None = None, metadata: Any = ()) -> StreamCall:
            data = request_serializer(request) if request_serializer is not None else request
            return self._stream(method, metadata, response_deserializer, data)

        return call

    def _stream(self, method: str, metadata: Any, decode: Any, request: Any) -> StreamCall:
        return StreamCall(self._network, self._process, self._address, method, metadata, decode, request)

    async def close(self, grace: float | None = None) -> None:
        """Nothing is held."""


class UnaryCall:
    """One call under way; like grpc.aio.UnaryUnaryCall as far as it is used."""

    def __init__(self, answer: Coroutine[Any, Any, Any], decode: Any = None) -> None:
        self._answer = answer
        self._decode = decode

    def __await__(self) -> Generator[Any, None, Any]:
        return (self._answer if self._decode is None else self._decoded()).__await__()

    async def _decoded(self) -> Any:
        return self._decode(await self._answer)

    async def trailing_metadata(self) -> tuple[()]:
        return ()


async def unary(
    network: Network,
    process: Process,
    address: str,
    method: str,
    request: Any,
    timeout: float | None,
    metadata: Any = (),
) -> Any:
    """One call; raises AioRpcError as gRPC would."""
    future: asyncio.Future[Any] = process.loop.create_future()
    server = network.at(address)
    if server is None:
        await asyncio.sleep(network.latency)
        raise rpc_error(grpc.StatusCode.UNAVAILABLE, REFUSED)
    link = Link(network, process, server.process)
    mine, its = link.ends[process], link.ends[server.process]

    def answered(kind: str, payload: Any) -> None:
        if future.done():
            return
        if kind == "answer":
            future.set_result(payload)
        elif kind == "error":
            future.set_exception(rpc_error(*payload))
        else:
            future.set_exception(rpc_error(grpc.StatusCode.UNAVAILABLE, payload))

    its.receive = answered
    mine.receive = server.unary(method, its, timeout, metadata)
    mine.send("request", request)
    # Not asyncio.timeout: when both an answer and the deadline came while the process was stopped, gRPC may
    # report either of them.
    timer = process.loop.call_later(timeout, answered, "error", OVERDUE) if timeout is not None else None
    try:
        return await future
    finally:
        if timer is not None:
            timer.cancel()
        if not its.heard:
            mine.send("cancel")
        link.close()


class StreamCall:
    """The client's side of a stream; like grpc.aio.StreamStreamCall as far as it is used."""

    def __init__(
        self,
        network: Network,
        process: Process,
        address: str,
        method: str,
        metadata: Any,
        decode: Any,
        request: Any = None,
    ) -> None:
        self._process = process
        self._decode = decode
        self._received: deque[Any] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._status: tuple[grpc.StatusCode, str, Any] | None = None
        self._cancelled = False
        self._mine: End | None = None
        self._link: Link | None = None
        server = network.at(address)
        if server is None:
            self._ended(grpc.StatusCode.UNAVAILABLE, REFUSED)
            return
        self._link = link = Link(network, process, server.process)
        self._mine, its = link.ends[process], link.ends[server.process]
        its.receive = self._answered
        self._mine.receive = server.stream(method, its, metadata)
        self._mine.send("open", request)
        link.keep_alive()

    def _answered(self, kind: str, payload: Any) -> None:
        if kind == "message":
            self._received.append(payload)
        elif kind == "error":
            self._ended(*payload)
        elif kind == "end":
            self._ended(grpc.StatusCode.OK, "")
        else:
            self._ended(grpc.StatusCode.UNAVAILABLE, payload)
        self._awake()

    def _ended(self, code: grpc.StatusCode, details: str, trailers: Any = ()) -> None:
        if self._status is None:
            self._status = (code, details, trailers)
            if self._link is not None:
                self._link.close()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def read(self) -> Any:
        while not self._received:
            if self._cancelled:
                raise asyncio.CancelledError
            if self._status is not None:
                if self._status[0] is grpc.StatusCode.OK:
                    return EOF
                raise rpc_error(*self._status)
            self._wake = self._process.loop.create_future()
            await self._wake
        message = self._received.popleft()
        return self._decode(message) if self._decode is not None else message

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not EOF:
            yield message

    async def write(self, message: Any) -> None:
        if self._over:
            raise asyncio.InvalidStateError("the call is over")
        assert self._mine is not None
        self._mine.send("message", message)
        await asyncio.sleep(0)

    async def feed(self, requests: AsyncIterator[Any]) -> None:
        """Write what an iterator gives, as long as the call lasts."""
        async for message in requests:
            if not self._over:
                await self.write(message)
        if not self._over:
            await self.done_writing()

    @property
    def _over(self) -> bool:
        return self._cancelled or self._status is not None

    async def done_writing(self) -> None:
        if self._mine is not None:
            self._mine.send("half")

    def cancel(self) -> bool:
        if self._over:
            return False
        self._cancelled = True
        if self._mine is not None:
            self._mine.send("cancel")
        if self._link is not None:
            self._link.close()
        self._awake()
        return True

    async def initial_metadata(self) -> tuple[()]:
        return ()

    async def trailing_metadata(self) -> tuple[()]:
        return ()

    async def code(self) -> grpc.StatusCode:
        return self._status[0] if self._status is not None else grpc.StatusCode.CANCELLED

    async def details(self) -> str:
        return self._status[1] if self._status is not None else ""
