"""What does a servicer method know about the call that it serves?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tenure_runtime.rpc.access import ANONYMOUS, Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

IDENTITY_KEY: Final = "tenure-identity"
HOPS_KEY: Final = "tenure-hops"
TRACEPARENT_KEY: Final = "traceparent"

Metadata = tuple[tuple[str, str | bytes], ...]


class Call:
    """One call as its handler sees it.

    When the caller cancels, or its deadline passes, the handler's task is cancelled.
    """

    __slots__ = ("context", "hops", "identity", "metadata", "method", "traceparent")

    def __init__(self, method: str, context: grpc.aio.ServicerContext[Any, Any], metadata: Metadata) -> None:
        self.method = method
        """Full name: `/tenure.v1.TaskService/GetTask`."""
        self.context = context
        self.metadata = metadata
        """What the caller sent, keys in lower case."""
        self.identity: Identity = ANONYMOUS
        """The original caller, also when a replica forwarded the call."""
        self.traceparent: str | None = None
        """W3C trace context to hand on to what this call causes."""
        self.hops = 0
        """How many replicas forwarded this call before it came here."""

    @property
    def forwarded(self) -> bool:
        """Whether a replica stands between the caller and this server."""
        return self.hops > 0

    @property
    def peer(self) -> str:
        """Network address of the other end of the connection: a replica's when the call was forwarded."""
        return self.context.peer()

    def remaining(self) -> float | None:
        """Seconds until the caller's deadline; None without a deadline."""
        remaining: float | None = self.context.time_remaining()
        return remaining

    def cancelled(self) -> bool:
        """Whether the caller is gone: it cancelled, its deadline passed or its connection broke."""
        return bool(self.context.cancelled())

    def on_end(self, callback: Callable[[], None]) -> None:
        """Run `callback` once the call has ended, in whichever way."""
        context: Any = self.context
        context.add_done_callback(lambda _context: callback())

    def value(self, key: str) -> str | None:
        """One text value of the caller's metadata."""
        for name, value in self.metadata:
            if name == key and isinstance(value, str):
                return value
        return None

    async def send_headers(self, headers: Metadata = ()) -> None:
        """Answer with headers before the first message: the caller of a stream learns that it is accepted."""
        await self.context.send_initial_metadata(headers)

    def set_trailers(self, trailers: Metadata) -> None:
        """Metadata that follows the last message of a successful answer."""
        self.context.set_trailing_metadata(trailers)
