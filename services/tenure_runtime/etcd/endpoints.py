"""Which member of etcd does a call go to, and what happens when that member does not answer?

All calls go to one member until it fails; then to the next one. A call is repeated here only when nothing can
have been applied: reads, refused tokens, members that could not be reached. Everything else is the caller's.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc.aio

from tenure_runtime.etcd.auth import Metadata, Token
from tenure_runtime.etcd.channel import Tls, open_channel
from tenure_runtime.etcd.errors import (
    EtcdError,
    EtcdTokenExpired,
    EtcdUnavailable,
    EtcdUnknownOutcome,
    classify,
)
from tenure_runtime.etcd.stubs import Stubs, rpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

EOF: Final[Any] = vars(grpc.aio)["EOF"]  # Not in the type stubs.
_TOKEN_ATTEMPTS: Final = 3
_LEAST_ATTEMPT: Final = 0.5
_CLOSE_TIMEOUT: Final = 1.0
_SETTLE: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """The way to one endpoint."""

    endpoint: str
    channel: grpc.aio.Channel
    stubs: Stubs


class Stream:
    """An open stream, with the link and the token that it uses."""

    __slots__ = ("_reading", "call", "link", "metadata")

    def __init__(self, call: Any, link: Link, metadata: Metadata) -> None:
        self.call = call
        self.link = link
        self.metadata = metadata
        self._reading: asyncio.Future[Any] | None = None

    async def read(self) -> Any:
        """The next message, or EOF. Cancelling it loses the message: close the stream then."""
        self._reading = asyncio.ensure_future(self.call.read())
        return await asyncio.shield(self._reading)

    async def close(self) -> None:
        """Cancel the stream and let gRPC finish the read that is pending.

        A pending read that nobody awaits keeps the connection open for as long as the process lives.
        """
        self.call.cancel()
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=_CLOSE_TIMEOUT)
            if self._reading.done() and not self._reading.cancelled():
                self._reading.exception()  # Looked at, so that nobody is told of an end that we wanted.
            self._reading = None


class Endpoints:
    """The members of one etcd cluster, one of them current."""

    def __init__(
        self, endpoints: Sequence[str], tls: Tls | None, user: str | None, password: str | None
    ) -> None:
        if not endpoints:
            raise ValueError("no etcd endpoint is configured")
        self._user, self._password = user, password
        self.links = tuple(
            Link(endpoint, channel, Stubs(channel))
            for endpoint in endpoints
            for channel in (open_channel(endpoint, tls),)
        )
        self._current = random.randrange(len(self.links))
        self._abandoned = False
        self._token = Token(self._authenticate if user else None)

    @property
    def current(self) -> Link:
        """The member that calls go to."""
        return self.links[self._current]

    def leave(self, link: Link) -> None:
        """Make the next member current, unless somebody has left `link` already."""
        if self.current is link:
            self._current = (self._current + 1) % len(self.links)

    def failed(
        self, link: Link, metadata: Metadata, error: grpc.aio.AioRpcError, *, write: bool
    ) -> EtcdError:
        """Classify a failure and draw the consequences: another member, another token."""
        failure = classify(error, write=write, endpoint=link.endpoint)
        if isinstance(failure, EtcdTokenExpired):
            self._token.discard(metadata)
        elif isinstance(failure, EtcdUnavailable | EtcdUnknownOutcome):
            self.leave(link)
        return failure

    async def call(
        self,
        method: Callable[[Stubs], Any],
        request: Any,
        *,
        timeout: float,
        write: bool,
        link: Link | None = None,
    ) -> Any:
        """One unary call; repeated on other members while nothing was applied and `timeout` seconds last."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        tries = tokens = 0
        while True:
            target = link or self.current
            metadata = await self._token.metadata()
            remaining = deadline - loop.time()
            attempt = remaining if write or link or tries else self._first_attempt(remaining)
            try:
                return await method(target.stubs)(request, timeout=max(attempt, 0.001), metadata=metadata)
            except grpc.aio.AioRpcError as error:
                failure = self.failed(target, metadata, error, write=write)
            except asyncio.CancelledError:
                self._abandoned = True
                raise
            if isinstance(failure, EtcdTokenExpired) and self._token.renewable and tokens < _TOKEN_ATTEMPTS:
                tokens += 1
                continue
            tries += 1
            exhausted = link is not None or tries >= len(self.links) or loop.time() >= deadline
            if exhausted or not isinstance(failure, EtcdUnavailable):
                raise failure

    def _first_attempt(self, remaining: float) -> float:
        # A read may leave a member that hangs while there is time to ask another.
        return remaining if len(self.links) == 1 else max(min(_LEAST_ATTEMPT, remaining), remaining / 3)

    async def stream(self, method: Callable[[Stubs], Any]) -> Stream:
        """Open a bidirectional stream to the current member; errors show when it is read."""
        metadata = await self._token.metadata()
        link = self.current
        self._abandoned = True
        return Stream(method(link.stubs)(metadata=metadata), link, metadata)

    async def responses(self, method: Callable[[Stubs], Any], request: Any) -> AsyncGenerator[Any, None]:
        """What the current member answers to one request, message by message; errors as of a read."""
        metadata = await self._token.metadata()
        link = self.current
        self._abandoned = True
        stream = Stream(method(link.stubs)(request, metadata=metadata), link, metadata)
        try:
            while (response := await stream.read()) is not EOF:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self.stream_failed(stream, error) from None
        finally:
            await stream.close()

    def stream_failed(self, stream: Stream, error: grpc.aio.AioRpcError) -> EtcdError:
        """What the end of a stream means; the streams that we use change nothing."""
        return self.failed(stream.link, stream.metadata, error, write=False)

    async def _authenticate(self) -> str:
        request = rpc.AuthenticateRequest(name=self._user, password=self._password or "")
        failure: EtcdError | None = None
        for _ in self.links:
            link = self.current
            try:
                response = await link.stubs.auth.Authenticate(request, timeout=5.0)
                return str(response.token)
            except grpc.aio.AioRpcError as error:
                failure = self.failed(link, (), error, write=False)
                if not isinstance(failure, EtcdUnavailable):
                    break
        assert failure is not None
        raise failure

    async def close(self) -> None:
        """Close every channel; open calls end as cancelled."""
        if self._abandoned:
            # gRPC frees a cancelled call, and its connection, only when the loop has run for a moment.
            await asyncio.sleep(_SETTLE)
        for link in self.links:
            await link.channel.close(grace=None)
