"""What happens between the bytes of a request and the method that answers it?

In this order: identity, permission, routing (a forwarded call is not decoded), size, decoding, validation,
the method, encoding; and every error through the one table. One function per kind of call is all that
stands in the hot path; what is switched off (router, observer, rules) costs a comparison.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError, Message

from tenure_core.errors import (
    Internal,
    InvalidArgument,
    ResourceExhausted,
    TenureError,
    Unavailable,
    Violation,
)
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.rpc.access import Access, Identity, identity_of, parse_identity
from tenure_runtime.rpc.call import HOPS_KEY, IDENTITY_KEY, TRACEPARENT_KEY, Call
from tenure_runtime.rpc.forward import ForwardedError, Router, forward_many, forward_one
from tenure_runtime.rpc.status import to_abort
from tenure_runtime.trace_context import parse_traceparent

Context = grpc.aio.ServicerContext[Any, Any]
Check = Callable[[Message], tuple[Violation, ...]]
Answer = Message | bytes
"""Methods may answer bytes that are encoded already."""

STOPPING: Final = "this server is stopping"
_OK: Final = grpc.StatusCode.OK
_log = get_logger("rpc")


class CallObserver(Protocol):
    """Is told of every call: traces, metrics, the log line."""

    def begin(self, call: Call) -> object:
        """A call was admitted; may replace `call.traceparent`. The result comes back in `end`."""

    def end(self, token: object, call: Call, code: grpc.StatusCode) -> None:
        """The call ended with this code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC of one service, as it was registered."""

    name: str
    request: type[Message]
    permission: str
    implementation: Callable[..., Any]
    check: Check | None
    max_bytes: int


class Pipeline:
    """What all methods of one server share on the way in and out."""

    __slots__ = ("_access", "_identities", "_observer", "_router", "stopping", "streams", "unaries")

    def __init__(self, access: Access, router: Router | None, observer: CallObserver | None) -> None:
        self._access = access
        self._router = router
        self._observer = observer
        self._identities: dict[tuple[bytes, ...], Identity] = {}
        self.stopping = False
        self.streams: set[asyncio.Task[Any]] = set()
        self.unaries: set[asyncio.Task[Any]] = set()

    def admit(self, method: Method, context: Context) -> Call:
        """Who calls, and may it? Raises Unauthenticated or PermissionDenied; Unavailable while stopping."""
        if self.stopping:
            raise Unavailable(STOPPING, retry_after=0.1)
        metadata: Any = context.invocation_metadata()
        call = Call(method.name, context, metadata)
        claimed: str | None = None
        for key, value in metadata:
            if key == TRACEPARENT_KEY:
                call.traceparent = value if parse_traceparent(value) else None
            elif key == HOPS_KEY:
                call.hops = int(value) if value.isdecimal() and len(value) < 4 else 0
            elif key == IDENTITY_KEY:
                claimed = value
        if self._access.client_certificates:
            call.identity = self._identify(context)
            if claimed is None or not self._access.may_forward(call.identity, method.permission):
                self._access.require(call.identity, method.permission)
                return call
        if claimed is not None:
            call.identity = parse_identity(claimed)
        self._access.require(call.identity, method.permission)
        return call

    def _identify(self, context: Context) -> Identity:
        auth = context.auth_context()
        key = (*auth.get("x509_subject_alternative_name", ()), b"", *auth.get("x509_common_name", ()))
        identity = self._identities.get(key)
        if identity is None:
            if len(self._identities) > 10_000:
                self._identities.clear()
            identity = self._identities[key] = identity_of(auth)
        return identity

    async def elsewhere(self, method: Method) -> grpc.aio.Channel | None:
        """The replica that serves this method, None when it is this one."""
        return None if self._router is None else await self._router(method.name)

    def begin(self, call: Call) -> object:
        """Tell the observer, if there is one."""
        return None if self._observer is None else self._observer.begin(call)

    def end(self, token: object, call: Call | None, code: grpc.StatusCode) -> None:
        """Tell the observer, if there is one and the call was admitted."""
        if self._observer is not None and call is not None:
            self._observer.end(token, call, code)


def read(method: Method, data: bytes) -> Message:
    """Decode and validate one request; ResourceExhausted or InvalidArgument say all that is wrong."""
    if len(data) > method.max_bytes:
        raise ResourceExhausted(f"the request has {len(data)} bytes, at most {method.max_bytes} are taken")
    try:
        request = method.request.FromString(data)
    except DecodeError:
        raise InvalidArgument(f"the bytes sent are not a {method.request.DESCRIPTOR.full_name}") from None
    if method.check is not None:
        violations = method.check(request)
        if violations:
            raise InvalidArgument(violations=violations)
    return request


def encode(answer: Answer) -> bytes:
    """The bytes of an answer; what a method encoded itself passes as it is."""
    return answer if type(answer) is bytes else answer.SerializeToString()  # type: ignore[union-attr]


async def _requests(method: Method, stream: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for data in stream:
        yield read(method, data)


def _told(error: BaseException, method: Method) -> tuple[grpc.StatusCode, str, Any]:
    """What the caller is told of an exception; one that no caller should see is logged with its traceback."""
    if isinstance(error, ForwardedError):
        return error.code, error.details, error.trailers
    if not isinstance(error, TenureError):
        _log.error("rpc failed", method=method.name, exc_info=error)
        error = Internal()
    return to_abort(error)


async def _refuse(
    pipeline: Pipeline, method: Method, seen: tuple[Any, Any], context: Context, error: Exception
) -> NoReturn:
    code, details, trailers = _told(error, method)
    token, call = seen
    pipeline.end(token, call, code)
    if context.done():
        raise asyncio.CancelledError  # the caller is gone: there is nobody to tell
    await context.abort(code, details, trailers)
    raise AssertionError("abort returned")


def one_answer(pipeline: Pipeline, method: Method, incoming_is_stream: bool) -> Callable[..., Any]:
    """The handler of an RPC with one answer."""
    implementation = method.implementation
    running = pipeline.streams if incoming_is_stream else pipeline.unaries

    async def answer_here(incoming: Any, call: Call) -> bytes:
        request = _requests(method, incoming) if incoming_is_stream else read(method, incoming)
        return encode(await implementation(request, call))

    async def handle(incoming: Any, context: Context) -> bytes:
        token = call = None
        task: Any = asyncio.current_task()
        running.add(task)
        try:
            call = pipeline.admit(method, context)
            token = pipeline.begin(call)
            channel = await pipeline.elsewhere(method)
            if channel is None:
                answer = await answer_here(incoming, call)
            else:
                answer = await forward_one(channel, call, incoming)
        except asyncio.CancelledError:
            await _cancelled(pipeline, method, (token, call), context)
            raise
        except Exception as error:  # noqa: BLE001  (every error reaches the caller through one table)
            await _refuse(pipeline, method, (token, call), context, error)
        finally:
            running.discard(task)
        pipeline.end(token, call, _OK)
        return answer

    return handle


def many_answers(pipeline: Pipeline, method: Method, incoming_is_stream: bool) -> Callable[..., Any]:
    """The handler of an RPC with a stream of answers; the method's generator is closed at any end."""

    async def answers(incoming: Any, call: Call) -> AsyncGenerator[Answer, None]:
        channel = await pipeline.elsewhere(method)
        if channel is not None:
            return forward_many(channel, call, incoming)
        request = _requests(method, incoming) if incoming_is_stream else read(method, incoming)
        stream: AsyncGenerator[Answer, None] = method.implementation(request, call)
        return stream

    async def handle(incoming: Any, context: Context) -> AsyncIterator[bytes]:
        token = call = None
        task: Any = asyncio.current_task()
        pipeline.streams.add(task)
        try:
            call = pipeline.admit(method, context)
            token = pipeline.begin(call)
            async with aclosing(await answers(incoming, call)) as stream:
                async for answer in stream:
                    yield encode(answer)
        except asyncio.CancelledError:
            await _cancelled(pipeline, method, (token, call), context)
            raise
        except GeneratorExit:
            pipeline.end(token, call, grpc.StatusCode.CANCELLED)
            raise
        except Exception as error:  # noqa: BLE001  (every error reaches the caller through one table)
            await _refuse(pipeline, method, (token, call), context, error)
        finally:
            pipeline.streams.discard(task)
        pipeline.end(token, call, _OK)

    return handle


async def _cancelled(pipeline: Pipeline, method: Method, seen: tuple[Any, Any], context: Context) -> None:
    """Tell a caller whose call this server's stop ended that it may retry."""
    if pipeline.stopping and not context.done():
        await _refuse(pipeline, method, seen, context, Unavailable(STOPPING, retry_after=0.1))
    pipeline.end(*seen, grpc.StatusCode.CANCELLED)


def handler_of(pipeline: Pipeline, method: Method, *, takes_stream: bool, gives_stream: bool) -> Any:
    """The gRPC handler of a method, for raw bytes."""
    answering = many_answers if gives_stream else one_answer
    return _REGISTER[takes_stream, gives_stream](answering(pipeline, method, takes_stream))


_REGISTER: Final[Mapping[tuple[bool, bool], Callable[..., Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
