"""How does a replica hand a call to another one without reading it?

Messages pass as bytes in both directions; the caller's metadata, deadline, identity and trace go along, and
what the other replica answers (errors with their details, trailers) comes back unchanged. A hop count ends
forwarding loops between replicas that each believe that the other leads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc

from tenure_core.errors import Unavailable
from tenure_runtime.rpc.call import HOPS_KEY, IDENTITY_KEY, TRACEPARENT_KEY, Call, Metadata
from tenure_runtime.rpc.status import DETAILS_KEY

Router = Callable[[str], Awaitable[grpc.aio.Channel | None]]
"""Where a method (full name) is served: None here, else the channel of the replica that serves it."""

MAX_HOPS: Final = 3
RETRY_AFTER_SECONDS: Final = 0.2
_TRANSPORT: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_OWN_KEYS: Final = frozenset({IDENTITY_KEY, HOPS_KEY, TRACEPARENT_KEY, "user-agent"})


class ForwardedError(Exception):
    """Another replica answered with an error, which the caller gets as it is."""

    def __init__(self, code: grpc.StatusCode, details: str, trailers: Metadata) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details
        self.trailers = trailers


def outgoing_metadata(call: Call) -> Metadata:
    """The caller's metadata as the next replica shall see it; raises Unavailable after too many hops."""
    if call.hops >= MAX_HOPS:
        raise Unavailable(
            f"no replica accepts the lead: the call was forwarded {call.hops} times",
            retry_after=RETRY_AFTER_SECONDS,
        )
    kept = [
        pair for pair in call.metadata if pair[0] not in _OWN_KEYS and not pair[0].startswith(("grpc-", ":"))
    ]
    kept.append((HOPS_KEY, str(call.hops + 1)))
    if not call.identity.anonymous:
        kept.append((IDENTITY_KEY, str(call.identity)))
    if call.traceparent is not None:
        kept.append((TRACEPARENT_KEY, call.traceparent))
    return tuple(kept)


async def forward_one(channel: grpc.aio.Channel, call: Call, requests: bytes | AsyncIterator[bytes]) -> bytes:
    """Ask another replica for one answer; its answer and trailers, or ForwardedError."""
    unary = isinstance(requests, bytes)
    raw: Any = channel
    stub = raw.unary_unary(call.method) if unary else raw.stream_unary(call.method)
    ahead = stub(requests, timeout=call.remaining(), metadata=outgoing_metadata(call))
    try:
        answer: bytes = await ahead
        trailers = await ahead.trailing_metadata()
    except grpc.aio.AioRpcError as error:
        raise answer_of(error) from None
    if trailers:
        call.set_trailers(tuple(trailers))
    return answer


async def forward_many(
    channel: grpc.aio.Channel, call: Call, requests: bytes | AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    """Pass a stream of answers on; `requests` is one message, or a stream for bidirectional calls.

    Headers that the other replica sends ahead of its first message go ahead here too: a caller may wait for
    them.
    """
    unary = isinstance(requests, bytes)
    raw: Any = channel
    stub = raw.unary_stream(call.method) if unary else raw.stream_stream(call.method)
    ahead = stub(requests, timeout=call.remaining(), metadata=outgoing_metadata(call))
    try:
        await call.send_headers(tuple(await ahead.initial_metadata()))
        async for answer in ahead:
            yield answer
        trailers = await ahead.trailing_metadata()
    except grpc.aio.AioRpcError as error:
        raise answer_of(error) from None
    finally:
        ahead.cancel()
    if trailers:
        call.set_trailers(tuple(trailers))


def answer_of(error: grpc.aio.AioRpcError) -> Exception:
    """What the caller is told: the other replica's own error, or that it could not be reached.

    Our servers send details with every error, so UNAVAILABLE without any is the transport's, and CANCELLED
    that of a server which ended before it took the call up.
    """
    received: Any = error.trailing_metadata()
    trailers: Metadata = tuple(received or ())
    if error.code() in _TRANSPORT and all(key != DETAILS_KEY for key, _ in trailers):
        return Unavailable(
            f"the leading replica could not be reached: {error.details()}", retry_after=RETRY_AFTER_SECONDS
        )
    return ForwardedError(error.code(), error.details() or "", trailers)
