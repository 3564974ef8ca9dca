"""How often is a call that fails made again?

Only what may succeed later is tried again (`retryable`), with a pause that doubles and is random in its lower
half, so that many clients do not return in step; a RetryInfo of the server is the least pause. Trying ends
when `patience` is used up: seconds without any progress. Until a Tenure server has answered anything
at all, the shorter `connect_timeout` holds instead, so that a wrong address is told soon.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any, Final

import grpc

from tenure import methods
from tenure.errors import DeadlineExceeded, TenureError, Unavailable
from tenure.statuses import DETAILS_KEY, from_rpc_error
from tenure.tracing import client_span, trace_metadata
from tenure.v1.cluster_service_pb2 import GetServerInfoRequest

if TYPE_CHECKING:
    from tenure.channels import Request, Response, Rpc, Server, Servers

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
ATTEMPT_TIMEOUT: Final = 5.0


class Persistence:
    """The trying again of one call or one stream."""

    def __init__(self, patience: float, deadline: float | None = None) -> None:
        self._patience = patience
        self._deadline = deadline
        self._pause = FIRST_PAUSE
        self._failing_since: float | None = None

    def reached(self, patience: float) -> None:
        """A server of ours answered: no shorter limit holds any more."""
        self._patience = patience

    def progressed(self) -> None:
        """The call came forward: patience starts anew."""
        self._failing_since = None
        self._pause = FIRST_PAUSE

    async def pause(self, error: TenureError, asked: str, server: Server | None) -> None:
        """Sleep before the next try, or raise when there must be none; `server` is the one that failed."""
        now = time.monotonic()
        if not error.retryable:
            raise error
        if self._failing_since is None:
            self._failing_since = now
        wait = self._pause * random.uniform(0.5, 1.0)
        wait = max(wait, getattr(error, "retry_after", None) or 0.0)
        if self._deadline is not None and now + wait >= self._deadline:
            raise error
        if now + wait > self._failing_since + self._patience:
            raise await _given_up(error, asked, now - self._failing_since, server) from error
        self._pause = min(LONGEST_PAUSE, self._pause * 2)
        await asyncio.sleep(wait)


class Caller:
    """Unary calls to whichever scheduler answers."""

    def __init__(self, servers: Servers, *, patience: float, connect_timeout: float) -> None:
        self.servers = servers
        self._patience = patience
        self._connect_timeout = connect_timeout
        self._answered = False
        self._leader_unknown = len(servers.addresses) > 1
        self._looking: asyncio.Task[None] | None = None
        self.made = 0
        """Calls sent so far, repeated ones included."""

    def persistence(self, deadline: float | None = None) -> Persistence:
        """The limits for a call that begins now."""
        return Persistence(self._patience if self._answered else self._connect_timeout, deadline)

    def answered(self, persistence: Persistence) -> None:
        """A server of ours answered: the address is right, and from now on the whole patience holds."""
        self._answered = True
        persistence.reached(self._patience)

    def failed(self, failure: grpc.aio.AioRpcError, persistence: Persistence) -> TenureError:
        """What a call failed with. That a server of ours cannot help now is an answer as well."""
        if is_ours(failure):
            self.answered(persistence)
        return from_rpc_error(failure)

    async def __call__(
        self,
        rpc: Rpc[Request, Response],
        request: Request,
        *,
        timeout: float | None = None,
        attempt_timeout: float = ATTEMPT_TIMEOUT,
    ) -> Response:
        """The response. `timeout` bounds the whole call; each try has `attempt_timeout`.

        Raises:
            TenureError: what the server answered, or why there was no answer.
        """
        with client_span(rpc.path):
            return await self._insist(rpc, request, timeout, attempt_timeout)

    async def _insist(
        self, rpc: Rpc[Request, Response], request: Request, timeout: float | None, attempt_timeout: float
    ) -> Response:
        deadline = None if timeout is None else time.monotonic() + timeout
        persistence = self.persistence(deadline)
        while True:
            left = attempt_timeout if deadline is None else min(attempt_timeout, deadline - time.monotonic())
            if left <= 0:
                raise DeadlineExceeded(f"no answer within {timeout:g} s")
            server = self.servers.current
            self.made += 1
            try:
                response: Response = await server.method(rpc)(
                    request, timeout=left, metadata=trace_metadata()
                )
                self.answered(persistence)
                if self._leader_unknown:
                    self._look_for_leader()
                return response
            except grpc.aio.AioRpcError as failure:
                error = self.failed(failure, persistence)
            if error.retryable:
                self.servers.failed(server)
                self._leader_unknown = len(self.servers.addresses) > 1
            await persistence.pause(error, ", ".join(self.servers.addresses), server)

    def _look_for_leader(self) -> None:
        """Ask the leader from now on: every replica answers, but the others only pass the call on."""
        self._leader_unknown = False
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._prefer_leader(), name="look for the leader")

    async def _prefer_leader(self) -> None:
        ask = self.servers.current.method(methods.SERVER_INFO)
        with contextlib.suppress(grpc.aio.AioRpcError):
            info = await ask(GetServerInfoRequest(), timeout=ATTEMPT_TIMEOUT)
            if info.leader_address in self.servers.addresses:
                self.servers.prefer(info.leader_address)

    async def close(self) -> None:
        """End what was begun on the side."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)


def is_ours(failure: grpc.aio.AioRpcError) -> bool:
    """Whether a Tenure server sent this error: all of them carry details, the transport's own do not."""
    trailers: Any = failure.trailing_metadata()
    return any(key == DETAILS_KEY for key, _ in trailers or ())


async def _given_up(error: TenureError, asked: str, seconds: float, server: Server | None) -> TenureError:
    tried = f" (tried for {seconds:.0f} s)" if seconds >= 1 else ""
    if isinstance(error, Unavailable) and "failed to connect" in error.message.lower():
        reason = await server.obstacle() if server is not None else ""
        return Unavailable(reason or f"nothing answers at {asked}{tried}")
    if isinstance(error, Unavailable) and "errors resolving" in error.message.lower():
        return Unavailable(f"nothing answers at {asked}{tried}: the host name cannot be resolved")
    if isinstance(error, Unavailable):
        return Unavailable(f"{asked} cannot answer{tried}: {error.message}", retry_after=error.retry_after)
    return error
