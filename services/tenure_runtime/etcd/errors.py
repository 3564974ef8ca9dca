"""What can go wrong with etcd, as its callers have to tell it apart?

Three kinds: nothing was applied and a retry may help (`EtcdUnavailable`), nobody knows whether it was applied
(`EtcdUnknownOutcome`), and etcd has decided against it (`EtcdRefused`). gRPC says UNAVAILABLE for the first
and the second alike, so the text of the status decides, and what is not known to be safe counts as unknown.
"""

from __future__ import annotations

import re
from typing import Any, Final

import grpc
import grpc.aio

from tenure_core.errors import (
    DeadlineExceeded,
    Internal,
    OutOfRange,
    ResourceExhausted,
    TenureError,
    Unavailable,
)


class EtcdError(TenureError):
    """etcd did not do what was asked."""


class EtcdUnavailable(EtcdError, Unavailable):
    """etcd cannot be reached or has no quorum; nothing was applied."""


class EtcdUnknownOutcome(EtcdError, DeadlineExceeded):
    """etcd did not answer in time; the request may have been applied, or may still be."""


class EtcdRefused(EtcdError, Internal):
    """etcd refused the request; nothing was applied."""


class EtcdNoSpace(EtcdRefused, ResourceExhausted):
    """etcd is out of space: free some (compact, defragment, disarm the alarm) or raise its quota."""

    reason = "RESOURCE_EXHAUSTED"
    retryable = True


class EtcdTooLarge(EtcdRefused):
    """The request is larger than etcd takes (--max-request-bytes)."""


class EtcdTooManyOps(EtcdRefused):
    """The transaction has more operations than etcd takes (--max-txn-ops)."""


class EtcdDuplicateKey(EtcdRefused):
    """The transaction writes one key twice."""


class EtcdLeaseNotFound(EtcdRefused):
    """The lease has expired or was revoked."""


class EtcdCompacted(EtcdRefused, OutOfRange):
    """The revision asked for is no longer kept."""

    reason = "OUT_OF_RANGE"

    def __init__(self, message: str = "", *, revision: int = 0) -> None:
        super().__init__(message)
        self.revision = revision
        """The oldest revision that is still kept; 0 when etcd did not say."""


class EtcdFutureRevision(EtcdRefused):
    """The revision asked for has not happened yet: the store went back, or belongs to another cluster."""


class EtcdAuthRefused(EtcdRefused):
    """etcd does not accept this user, password or certificate, or does not allow the user to do this."""


class EtcdTokenExpired(EtcdAuthRefused):
    """The authentication token is not valid (any more)."""


# Statuses that say that the call never reached etcd's consensus, whatever the code.
_NOT_APPLIED: Final = re.compile(
    r"failed to connect to all addresses|connections to all backends failing|connection refused"
    r"|name resolution|DNS resolution failed|etcdserver: no leader|etcdserver: too many requests"
    r"|etcdserver: not capable|not supported for learner",
    re.IGNORECASE,
)

_REFUSALS: Final[tuple[tuple[re.Pattern[str], type[EtcdRefused]], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), error)
    for pattern, error in (
        (r"database space exceeded", EtcdNoSpace),
        (r"request is too large|received message larger than max|sent message larger", EtcdTooLarge),
        (r"too many operations", EtcdTooManyOps),
        (r"duplicate key given", EtcdDuplicateKey),
        (r"requested lease not found", EtcdLeaseNotFound),
        (r"required revision has been compacted", EtcdCompacted),
        (r"required revision is a future", EtcdFutureRevision),
        (
            r"invalid auth token|revision (of|in) (auth|header|the request) .*old|revision in header is old",
            EtcdTokenExpired,
        ),
        (
            r"user name is empty|permission denied|authentication failed|invalid user"
            r"|authentication is not enabled",
            EtcdAuthRefused,
        ),
    )
)

_REFUSING_CODES: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)

_AUTH_CODES: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


def refusal(details: str) -> EtcdRefused | None:
    """The refusal that this text of etcd's stands for, if it is one."""
    for pattern, error in _REFUSALS:
        if pattern.search(details):
            return error(_sentence(error, details))
    return None


def classify(error: grpc.aio.AioRpcError, *, write: bool, endpoint: str = "") -> EtcdError:
    """Which of our errors is this status? A read changes nothing, so its outcome is never unknown."""
    code, details = error.code(), error.details() or ""
    where = f" (etcd at {endpoint})" if endpoint else ""
    if (refused := refusal(details)) is not None:
        return refused
    if code in _AUTH_CODES:
        return EtcdAuthRefused(_sentence(EtcdAuthRefused, details))
    if code in _REFUSING_CODES:
        return EtcdRefused(_sentence(EtcdRefused, f"{code.name}: {details}"))
    if not write or _NOT_APPLIED.search(details):
        return EtcdUnavailable(f"etcd cannot be reached{where}: {details or code.name}")
    return EtcdUnknownOutcome(
        f"etcd gave no answer{where}, the change may have been applied: {details or code.name}"
    )


def _sentence(error: type[EtcdError], details: Any) -> str:
    return f"{(error.__doc__ or '').strip().splitlines()[0].rstrip('.')}: {details}"
