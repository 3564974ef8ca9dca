"""Which error does a failed call carry?

The reverse of what the servers send: a gRPC status with `google.rpc` details becomes an instance of
`tenure.errors`. The reason in ErrorInfo (domain "tenure.dev") decides the class, the status code only where
there is none, for example for a status that a proxy or the local transport made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tenure import errors as e

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.any_pb2 import Any

DOMAIN: Final = "tenure.dev"
DETAILS_KEY: Final = "grpc-status-details-bin"

M = TypeVar("M", bound=Message)

CODES: Final[dict[grpc.StatusCode, type[e.TenureError]]] = {
    grpc.StatusCode.UNKNOWN: e.TenureError,
    grpc.StatusCode.INVALID_ARGUMENT: e.InvalidArgument,
    grpc.StatusCode.NOT_FOUND: e.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: e.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: e.FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: e.OutOfRange,
    grpc.StatusCode.PERMISSION_DENIED: e.PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: e.Unauthenticated,
    grpc.StatusCode.UNIMPLEMENTED: e.Unimplemented,
    grpc.StatusCode.DEADLINE_EXCEEDED: e.DeadlineExceeded,
    grpc.StatusCode.CANCELLED: e.Cancelled,
    grpc.StatusCode.ABORTED: e.Aborted,
    grpc.StatusCode.UNAVAILABLE: e.Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: e.ResourceExhausted,
    grpc.StatusCode.DATA_LOSS: e.DataLoss,
    grpc.StatusCode.INTERNAL: e.Internal,
}
_BY_NUMBER: Final = {code.value[0]: cls for code, cls in CODES.items()}
_FINER: Final[tuple[type[e.TenureError], ...]] = (e.Fenced, e.SessionLost, e.NotLeader)
_BY_REASON: Final = {cls.reason: cls for cls in (*CODES.values(), *_FINER)}


def from_status(status: Status) -> e.TenureError:
    """The error that a status says; one of another origin becomes the class of its code."""
    info = _find(status.details, ErrorInfo) or ErrorInfo()
    cls = _BY_NUMBER.get(status.code, e.TenureError)
    if info.domain == DOMAIN:
        cls = _BY_REASON.get(info.reason, cls)
    if issubclass(cls, e.InvalidArgument):
        found = _find(status.details, BadRequest) or BadRequest()
        return cls(status.message, tuple(e.Violation(v.field, v.description) for v in found.field_violations))
    if issubclass(cls, (e.NotFound, e.AlreadyExists)):
        return _about_resource(cls, status)
    if issubclass(cls, e.NotLeader):
        return cls(status.message, leader=info.metadata.get("leader", ""), retry_after=_retry_after(status))
    if issubclass(cls, (e.Unavailable, e.ResourceExhausted)):
        return cls(status.message, retry_after=_retry_after(status))
    return cls(status.message)


def from_rpc_error(error: grpc.aio.AioRpcError) -> e.TenureError:
    """The error that a failed call carries, its details included where they can be read."""
    trailers: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(Status.FromString(value))
            except DecodeError:
                break
    if error.code() is grpc.StatusCode.CANCELLED:
        # We cancel by exception: this is a server that ended before it took the call up.
        return e.Unavailable("the server ended before it answered")
    return from_status(Status(code=error.code().value[0], message=error.details() or ""))


def _about_resource(cls: type[e.NotFound] | type[e.AlreadyExists], status: Status) -> e.TenureError:
    resource = _find(status.details, ResourceInfo) or ResourceInfo()
    kind, name = resource.resource_type, resource.resource_name
    if issubclass(cls, e.AlreadyExists):
        failure = _find(status.details, PreconditionFailure) or PreconditionFailure()
        return cls(
            status.message, kind=kind, name=name, differing=tuple(v.subject for v in failure.violations)
        )
    return cls(status.message, kind=kind, name=name)


def _retry_after(status: Status) -> float | None:
    retry = _find(status.details, RetryInfo)
    return retry.retry_delay.ToNanoseconds() / 1e9 if retry else None


def _find(details: Iterable[Any], cls: type[M]) -> M | None:
    for detail in details:
        if detail.Is(cls.DESCRIPTOR):  # type: ignore[arg-type]
            message = cls()
            detail.Unpack(message)
            return message
    return None
