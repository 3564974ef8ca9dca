"""How fast is this machine at this minute, without Tenure?

Every floor of `make bench` is a ratio to one of these figures, measured in the same run: absolute numbers of
a shared machine drift by a factor of two. Server and client are two processes on loopback, as Tenure's are.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import grpc
import grpc.aio

UNARY = "/reference.Reference/Unary"
STREAM = "/reference.Reference/Stream"
STREAM_MESSAGE_BYTES = 256 * 1024
STREAM_MESSAGES = 4000
OPTIONS = [("grpc.max_receive_message_length", 8 << 20)]


class _Reference(grpc.GenericRpcHandler):
    """A server that does nothing: a unary call that answers its request, and a stream of 256 KiB messages."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if handler_call_details.method == UNARY:
            return grpc.unary_unary_rpc_method_handler(self._unary)
        if handler_call_details.method == STREAM:
            return grpc.unary_stream_rpc_method_handler(self._stream)
        return None

    async def _unary(self, request: bytes, context: object) -> bytes:
        return request

    async def _stream(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        message = bytes(STREAM_MESSAGE_BYTES)
        for _ in range(int(request)):
            yield message


async def _serve() -> None:
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((_Reference(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


async def unary_per_second(channel: grpc.aio.Channel, *, in_flight: int = 64, seconds: float = 3.0) -> float:
    """No-op unary calls per second with `in_flight` of them outstanding."""
    call = channel.unary_unary(UNARY)
    await call(b"warm")
    done = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call(b"0123456789")
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return done / (time.perf_counter() - began)


async def unary_p50_ms(channel: grpc.aio.Channel, *, samples: int = 1000) -> float:
    """Median milliseconds of a no-op unary call that is alone."""
    call = channel.unary_unary(UNARY)
    for _ in range(50):
        await call(b"warm")
    took = []
    for _ in range(samples):
        began = time.perf_counter()
        await call(b"0123456789")
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


async def stream_mb_per_second(channel: grpc.aio.Channel) -> float:
    """Megabytes (10^6) per second of one server stream of 256 KiB messages."""
    call = channel.unary_stream(STREAM)
    async for _ in call(b"100"):
        pass
    began = time.perf_counter()
    received = 0
    async for message in call(str(STREAM_MESSAGES).encode()):
        received += len(message)
    return received / (time.perf_counter() - began) / 1e6


def xargs_per_second(*, count: int = 3000) -> float:
    """Processes per second of `xargs -P4 -n1 /bin/true`."""
    arguments = "\n".join(str(number) for number in range(count))
    began = time.perf_counter()
    subprocess.run(["xargs", "-P4", "-n1", "/bin/true"], input=arguments.encode(), check=True)
    return count / (time.perf_counter() - began)


async def measure() -> dict[str, float]:
    """All references, by their key in the results."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.references", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None and server.stdout is not None
    port = int(await server.stdout.readline())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            return {
                "ref_unary_per_s": await unary_per_second(channel),
                "ref_unary_p50_ms": await unary_p50_ms(channel),
                "ref_stream_mb_per_s": await stream_mb_per_second(channel),
                "xargs_per_s": await asyncio.to_thread(xargs_per_second),
            }
    finally:
        server.stdin.close()
        await server.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
