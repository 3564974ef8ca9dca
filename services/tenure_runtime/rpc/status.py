"""How does an error of Tenure travel as a gRPC status, and how is it read back?

One two-way table. Every status carries `google.rpc.ErrorInfo` in the domain "tenure.dev" with the class's
reason, so that programs never parse messages; BadRequest, RetryInfo, ResourceInfo and PreconditionFailure
carry what the class holds besides. A class missing in the table is sent as its nearest ancestor's code with
its own reason.

The whole status stays below `MAX_STATUS_BYTES`: gRPC peers refuse trailers over 8 KiB by default (Java, C
core), and a refused trailer would turn a readable error into RESOURCE_EXHAUSTED. What is cut is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tenure_core import errors as e

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf import any_pb2

DOMAIN: Final = "tenure.dev"
DETAILS_KEY: Final = "grpc-status-details-bin"
MAX_STATUS_BYTES: Final = 5000
MAX_MESSAGE_CHARACTERS: Final = 600

M = TypeVar("M", bound=Message)

CODES: Final[dict[type[e.TenureError], grpc.StatusCode]] = {
    e.TenureError: grpc.StatusCode.UNKNOWN,
    e.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    e.NotFound: grpc.StatusCode.NOT_FOUND,
    e.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    e.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    e.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    e.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    e.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    e.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    e.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    e.Cancelled: grpc.StatusCode.CANCELLED,
    e.Aborted: grpc.StatusCode.ABORTED,
    e.Unavailable: grpc.StatusCode.UNAVAILABLE,
    e.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    e.DataLoss: grpc.StatusCode.DATA_LOSS,
    e.Internal: grpc.StatusCode.INTERNAL,
}
_CLASS_OF_CODE: Final = {code.value[0]: cls for cls, code in CODES.items()}
_CODE_OF_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}


def code_of(cls: type[e.TenureError]) -> grpc.StatusCode:
    """The gRPC code of a class: its own or its nearest ancestor's."""
    return next(CODES[base] for base in cls.__mro__ if base in CODES)


def to_status(error: e.TenureError) -> Status:
    """The error as google.rpc.Status, small enough for any peer's trailers."""
    status = Status(code=code_of(type(error)).value[0], message=_shortened(error.message))
    for detail in _details(error):
        status.details.add().Pack(detail)
    if isinstance(error, e.InvalidArgument) and error.violations:
        _add_violations(status, error.violations)
    return status


def to_abort(error: e.TenureError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """The arguments of `context.abort` that send this error with its details."""
    status = to_status(error)
    return _CODE_OF_NUMBER[status.code], status.message, ((DETAILS_KEY, status.SerializeToString()),)


def from_status(status: Status) -> e.TenureError:
    """The error that a status says; one of another origin becomes the class of its code."""
    info = _find(status.details, ErrorInfo) or ErrorInfo()
    cls = _CLASS_OF_CODE.get(status.code, e.TenureError)
    if info.domain == DOMAIN:
        cls = _classes_by_reason().get(info.reason, cls)
    return _build(cls, status, info)


def from_rpc_error(error: grpc.aio.AioRpcError) -> e.TenureError:
    """The error that a failed call of grpc.aio carries, its details included where they can be read."""
    trailers: Any = error.trailing_metadata()
    for key, value in trailers or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(Status.FromString(value))
            except DecodeError:
                break
    return from_status(Status(code=error.code().value[0], message=error.details() or ""))


def _shortened(message: str) -> str:
    if len(message) <= MAX_MESSAGE_CHARACTERS:
        return message
    return message[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def _details(error: e.TenureError) -> Iterator[Message]:
    info = ErrorInfo(reason=error.reason, domain=DOMAIN)
    if isinstance(error, e.NotLeader) and error.leader:
        info.metadata["leader"] = error.leader
    yield info
    if isinstance(error, (e.NotFound, e.AlreadyExists)) and error.kind:
        yield ResourceInfo(resource_type=error.kind, resource_name=error.name)
    if isinstance(error, e.AlreadyExists) and error.differing:
        yield PreconditionFailure(
            violations=[
                PreconditionFailure.Violation(type="DIFFERS", subject=path) for path in error.differing[:50]
            ]
        )
    if isinstance(error, (e.Unavailable, e.ResourceExhausted)) and error.retry_after is not None:
        retry = RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after * 1e9))
        yield retry


def _add_violations(status: Status, violations: tuple[e.Violation, ...]) -> None:
    """Add as many violations as fit; a last one without a path counts those that did not."""
    room = MAX_STATUS_BYTES - status.ByteSize() - 120
    request = BadRequest()
    for number, violation in enumerate(violations):
        entry = BadRequest.FieldViolation(field=violation.path, description=violation.description)
        room -= entry.ByteSize() + 4
        if room < 0:
            rest = len(violations) - number
            request.field_violations.add(description=f"and {rest} more violations, which do not fit here")
            break
        request.field_violations.append(entry)
    status.details.add().Pack(request)


def _find(details: Iterable[any_pb2.Any], cls: type[M]) -> M | None:
    for detail in details:
        message = cls()
        if detail.Unpack(message):
            return message
    return None


def _classes_by_reason() -> dict[str, type[e.TenureError]]:
    """Every class with a reason of its own; of several with one reason the tree's own class travels."""
    found: dict[str, type[e.TenureError]] = {}
    waiting: list[type[e.TenureError]] = [e.TenureError]
    while waiting:
        cls = waiting.pop()
        if cls.__module__ == e.__name__ or cls.reason not in found:
            found[cls.reason] = cls
        waiting.extend(cls.__subclasses__())
    return found


def _build(cls: type[e.TenureError], status: Status, info: ErrorInfo) -> e.TenureError:
    if issubclass(cls, e.InvalidArgument):
        found = _find(status.details, BadRequest) or BadRequest()
        entries = tuple(e.Violation(v.field, v.description) for v in found.field_violations)
        return cls(status.message, entries)
    if issubclass(cls, (e.NotFound, e.AlreadyExists)):
        return _build_resource(cls, status)
    retry = _find(status.details, RetryInfo)
    after = retry.retry_delay.ToNanoseconds() / 1e9 if retry else None
    if issubclass(cls, e.NotLeader):
        return cls(status.message, leader=info.metadata.get("leader", ""), retry_after=after)
    if issubclass(cls, (e.Unavailable, e.ResourceExhausted)):
        return cls(status.message, retry_after=after)
    return cls(status.message)


def _build_resource(cls: type[e.NotFound] | type[e.AlreadyExists], status: Status) -> e.TenureError:
    resource = _find(status.details, ResourceInfo) or ResourceInfo()
    kind, name = resource.resource_type, resource.resource_name
    if issubclass(cls, e.AlreadyExists):
        failure = _find(status.details, PreconditionFailure) or PreconditionFailure()
        differing = tuple(v.subject for v in failure.violations)
        return cls(status.message, kind=kind, name=name, differing=differing)
    return cls(status.message, kind=kind, name=name)
