"""What can go wrong when a program uses Tenure?

Every error of the client is a `TenureError`. `reason` is stable text for programs, `retryable` says whether
the same request may succeed later without anybody changing anything (the client has then already tried again
for as long as its `patience` lasts). The tree is the servers' own: what a server raises arrives as the class
of that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of a request: where it is, as `items[3].spec.process.argv[0]`, and what is wrong there."""

    path: str
    description: str

    def __str__(self) -> str:
        return f"{self.path}: {self.description}" if self.path else self.description


class TenureError(Exception):
    """The request could not be served."""

    reason: ClassVar[str] = "UNKNOWN"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip().partition("\n")[0]
        """One sentence for people."""
        super().__init__(self.message)


class InvalidArgument(TenureError):
    """The request is not valid."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, message: str = "", violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message or "; ".join(map(str, violations)))
        self.violations = violations
        """Every fault that the server found, not only the first."""


class NotFound(TenureError):
    """There is no such thing."""

    reason = "NOT_FOUND"

    def __init__(self, message: str = "", *, kind: str = "", name: str = "") -> None:
        super().__init__(message or (f"no {kind} {name!r}" if kind else ""))
        self.kind = kind
        self.name = name


class AlreadyExists(TenureError):
    """Something else exists under this name."""

    reason = "ALREADY_EXISTS"

    def __init__(
        self, message: str = "", *, kind: str = "", name: str = "", differing: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name
        self.differing = differing
        """Paths in which the existing thing and the request differ."""


class FailedPrecondition(TenureError):
    """The present state does not allow this."""

    reason = "FAILED_PRECONDITION"


class Fenced(FailedPrecondition):
    """The holder's tenure of this task has ended; its reports are refused."""

    reason = "FENCED"


class SessionLost(FailedPrecondition):
    """This worker session has ended; say Hello again."""

    reason = "SESSION_LOST"


class OutOfRange(TenureError):
    """The position asked for is no longer kept."""

    reason = "OUT_OF_RANGE"


class PermissionDenied(TenureError):
    """The caller may not do this."""

    reason = "PERMISSION_DENIED"


class Unauthenticated(TenureError):
    """The caller did not show who it is."""

    reason = "UNAUTHENTICATED"


class Unimplemented(TenureError):
    """This server does not offer that yet."""

    reason = "UNIMPLEMENTED"


class DeadlineExceeded(TenureError):
    """The deadline passed before an answer was known; the request may have been carried out."""

    reason = "DEADLINE_EXCEEDED"
    retryable = True


class Cancelled(TenureError):
    """The caller gave up the request."""

    reason = "CANCELLED"


class Aborted(TenureError):
    """Another change came first; read again and retry."""

    reason = "ABORTED"
    retryable = True


class Unavailable(TenureError):
    """The service cannot answer right now."""

    reason = "UNAVAILABLE"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which a retry is worth while; None when nothing is known."""


class NotLeader(Unavailable):
    """This replica does not lead and knows no leader that could answer."""

    reason = "NOT_LEADER"

    def __init__(self, message: str = "", *, leader: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.leader = leader


class ResourceExhausted(TenureError):
    """A limit is reached."""

    reason = "RESOURCE_EXHAUSTED"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DataLoss(TenureError):
    """Stored data is damaged or missing."""

    reason = "DATA_LOSS"


class Internal(TenureError):
    """The server failed; its log says why."""

    reason = "INTERNAL"


class BadConfiguration(TenureError):
    """The client's own settings cannot be used. Never sent by a server."""

    reason = "BAD_CONFIGURATION"


class SpecFileError(TenureError):
    """A spec file has faults. Never sent by a server."""

    reason = "SPEC_FILE"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        """Every fault, as `file:line:column: what is wrong`."""
