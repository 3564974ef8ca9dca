"""What lies below a prefix, and what changes there?

A watch lists first and then follows: whole state, then deltas in the order of revisions. Members that die,
hang or lose their quorum cost a reconnect that resumes at the next revision, so no event is missed or
repeated. Only what etcd has compacted away meanwhile cannot be resumed: then the state comes anew as a
Snapshot. It is a hint all the same; what decides is a linearizable read.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import grpc.aio

from tenure_runtime.etcd.endpoints import EOF
from tenure_runtime.etcd.errors import (
    EtcdAuthRefused,
    EtcdCompacted,
    EtcdError,
    EtcdFutureRevision,
    EtcdTokenExpired,
    EtcdUnavailable,
    refusal,
)
from tenure_runtime.etcd.ops import prefix_end
from tenure_runtime.etcd.stubs import Stubs, rpc
from tenure_runtime.etcd.values import Event, KeyValue, events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.endpoints import Stream

_CREATED_TIMEOUT: Final = 3.0
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


class Snapshot(NamedTuple):
    """Everything below the prefix at this revision; what was known before is void."""

    kvs: list[KeyValue]
    revision: int


class Delta(NamedTuple):
    """The changes up to and including this revision since the last Snapshot or Delta; may be none."""

    events: list[Event]
    revision: int


Change: TypeAlias = Snapshot | Delta


def _method(stubs: Stubs) -> Any:
    return stubs.watch.Watch


class PrefixWatch:
    """One prefix, followed for ever. `reconnects` and `snapshots` count what went on underneath."""

    def __init__(
        self,
        client: EtcdClient,
        prefix: bytes,
        *,
        resync_interval: float | None = None,
        on_live: Callable[[bool], None] = lambda live: None,
    ) -> None:
        self._client = client
        self._on_live = on_live
        """Told whenever a stream stands, and whenever one breaks: what is known may be old from then on."""
        self._prefix = prefix
        self._resync_interval = resync_interval
        self.revision = 0
        """The revision up to which everything has been delivered."""
        self.reconnects = 0
        self.snapshots = 0

    async def changes(self, start_revision: int = 0) -> AsyncGenerator[Change, None]:
        """Snapshot, then Deltas; with `start_revision`, Deltas from that revision on without a Snapshot.

        Never ends. Raises only what a retry cannot help, as EtcdAuthRefused. Close it with
        `contextlib.aclosing` when leaving the loop early.
        """
        self.revision = start_revision - 1 if start_revision else 0
        pause = _FIRST_PAUSE
        while True:
            try:
                if not self.revision:
                    yield await self._snapshot()
                async with contextlib.aclosing(self._follow()) as deltas:
                    async for delta in deltas:
                        self.revision = delta.revision
                        pause = _FIRST_PAUSE
                        yield delta
                self.revision = 0  # The interval is over: list again.
                continue
            except (EtcdCompacted, EtcdFutureRevision):
                self.revision = 0
            except EtcdTokenExpired:
                pass
            except EtcdUnavailable:
                self._on_live(False)
                self.reconnects += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _snapshot(self) -> Snapshot:
        found = await self._client.range(self._prefix, prefix=True)
        self.revision = found.revision
        self.snapshots += 1
        return Snapshot(found.kvs, found.revision)

    async def _follow(self) -> AsyncGenerator[Delta, None]:
        """One stream's deltas; returns when it is time to resync, raises when the stream breaks."""
        loop = asyncio.get_running_loop()
        resync_at = loop.time() + self._resync_interval if self._resync_interval else None
        endpoints = self._client.endpoints
        stream = await endpoints.stream(_method)
        try:
            await self._create(stream)
            self._on_live(True)
            gathered: list[Event] = []
            while True:
                try:
                    async with asyncio.timeout_at(resync_at):
                        response = await stream.read()
                except TimeoutError:
                    return
                if response is EOF:
                    raise EtcdUnavailable(f"etcd at {stream.link.endpoint} ended the watch")
                if response.canceled:
                    raise await self._canceled(stream, response)
                gathered += events(response.events)
                if response.fragment:
                    continue
                if gathered:
                    yield Delta(gathered, gathered[-1].mod_revision)
                    gathered = []
                elif response.header.revision > self.revision:
                    yield Delta([], response.header.revision)  # A progress notification.
        except grpc.aio.AioRpcError as error:
            raise endpoints.stream_failed(stream, error) from None
        finally:
            await stream.close()

    async def _create(self, stream: Stream) -> None:
        request = rpc.WatchCreateRequest(
            key=self._prefix,
            range_end=prefix_end(self._prefix),
            start_revision=self.revision + 1,
            progress_notify=True,
            fragment=True,
        )
        try:
            async with asyncio.timeout(_CREATED_TIMEOUT):
                await stream.call.write(rpc.WatchRequest(create_request=request))
                response = await stream.read()
        except (TimeoutError, asyncio.InvalidStateError):
            self._client.endpoints.leave(stream.link)
            raise EtcdUnavailable(f"etcd at {stream.link.endpoint} does not open a watch") from None
        if response is EOF:
            raise EtcdUnavailable(f"etcd at {stream.link.endpoint} ended the watch")
        if response.canceled:
            raise await self._canceled(stream, response)
        if response.header.revision < self.revision:
            await self._check_store_went_back()

    async def _check_store_went_back(self) -> None:
        """A member that is behind catches up; a restored store would be silent for a long time."""
        now = await self._client.range(self._prefix, count_only=True)
        if now.revision < self.revision:
            raise EtcdFutureRevision(f"etcd is at revision {now.revision}, we have seen {self.revision}")

    async def _canceled(self, stream: Stream, response: Any) -> EtcdError:
        """What etcd's refusal to go on with the watch means."""
        if response.compact_revision:
            return EtcdCompacted(revision=response.compact_revision)
        reason = refusal(response.cancel_reason)
        if isinstance(reason, EtcdAuthRefused):
            # A watch with a forgotten token is refused like one that is not permitted. A read, which needs
            # the same permission, tells them apart and gets a new token.
            await self._client.count(self._prefix)
            return EtcdUnavailable(str(reason))
        if isinstance(reason, EtcdCompacted | EtcdFutureRevision):
            return reason
        self._client.endpoints.leave(stream.link)
        return EtcdUnavailable(f"etcd cancelled the watch: {response.cancel_reason or 'it does not say why'}")
