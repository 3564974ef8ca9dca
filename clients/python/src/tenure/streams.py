"""How does a reader keep its place when the server that it reads from goes away?

Watches resume by token, tails by cursor, on whichever server answers. What was yielded is never yielded
again; a watch whose token is too old begins anew with the current state, which is all that levels need.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import grpc

from tenure import methods
from tenure.calls import Caller
from tenure.channels import Server, Servers
from tenure.errors import OutOfRange, TenureError, Unavailable
from tenure.tracing import trace_metadata
from tenure.v1.cluster_service_pb2 import GetServerInfoRequest
from tenure.v1.task_pb2 import TASK_VIEW_BRIEF
from tenure.v1.task_service_pb2 import GetTaskRequest, WatchTasksRequest, WatchTasksResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tenure.contexts import Tls
    from tenure.v1.log_service_pb2 import TailLogsRequest, TailLogsResponse
    from tenure.v1.worker_admin_service_pb2 import DrainWorkersRequest, DrainWorkersResponse

_NO_RELAY: Final = "no log relay is registered; the output is kept on its node until one is"


async def watch(caller: Caller, request: WatchTasksRequest) -> AsyncIterator[WatchTasksResponse]:
    """The messages of WatchTasks for as long as the reader reads."""
    servers = caller.servers
    persistence = caller.persistence()
    while True:
        server = servers.current
        call = server.method(methods.WATCH)(request, metadata=trace_metadata())
        error: TenureError = Unavailable("the server ended the watch")
        try:
            async for message in call:
                caller.answered(persistence)
                persistence.progressed()
                request.resume_token = message.resume_token
                yield message
        except grpc.aio.AioRpcError as failure:
            error = caller.failed(failure, persistence)
        finally:
            call.cancel()
        if isinstance(error, OutOfRange) and request.resume_token:
            request.resume_token = ""
            request.changes_only = False
            continue
        servers.failed(server)
        await persistence.pause(error, ", ".join(servers.addresses), server)


async def drain(caller: Caller, request: DrainWorkersRequest) -> AsyncIterator[DrainWorkersResponse]:
    """The views of a drain until it is done; it is joined again, not begun anew, when a server goes away."""
    servers = caller.servers
    persistence = caller.persistence()
    while True:
        server = servers.current
        call = server.method(methods.DRAIN)(request, metadata=trace_metadata())
        error: TenureError = Unavailable("the server ended the view of the drain")
        try:
            async for message in call:
                caller.answered(persistence)
                persistence.progressed()
                request.ClearField("deadline")
                yield message
                if message.done:
                    return
        except grpc.aio.AioRpcError as failure:
            error = caller.failed(failure, persistence)
        finally:
            call.cancel()
        if error.retryable:
            servers.failed(server)
        await persistence.pause(error, ", ".join(servers.addresses), server)


class Relays:
    """The log relays of the cluster, as the schedulers know them."""

    def __init__(self, caller: Caller, tls: Tls | None) -> None:
        self._caller = caller
        self._tls = tls
        self._known: list[str] = []
        self._servers: Servers | None = None

    async def one_for(self, task_id: str, *, ask_again: bool) -> Server:
        """A relay to read `task_id` from: the one that has it where there is a choice.

        Raises:
            Unavailable: no relay is registered.
        """
        if ask_again or not self._known:
            await self._look_up()
        if not self._known:
            raise Unavailable(_NO_RELAY)
        address = self._known[0]
        if len(self._known) > 1:
            address = await self._having(task_id)
        return self._server(address)

    def failed(self) -> None:
        """Ask the schedulers again before the next tail: other relays may be there by now.

        The relay that failed is not passed over: for the tasks whose output it has, no other can stand in.
        """
        self._known = []

    async def _look_up(self) -> None:
        info = await self._caller(methods.SERVER_INFO, GetServerInfoRequest())
        self._known = [relay.address for relay in info.log_relays]

    async def close(self) -> None:
        """Close the connections."""
        if self._servers is not None:
            await self._servers.close()

    async def _having(self, task_id: str) -> str:
        request = GetTaskRequest(task_id=task_id, view=TASK_VIEW_BRIEF)
        address = str((await self._caller(methods.GET, request)).task.log_relay_address)
        if address and address not in self._known:
            await self._look_up()  # it may have come back since
        if address in self._known:
            return address
        if not self._known:
            raise Unavailable(_NO_RELAY)
        return random.choice(self._known)

    def _server(self, address: str) -> Server:
        if self._servers is None:
            self._servers = Servers((address,), self._tls)
        self._servers.prefer(address)
        return self._servers.current


async def tail(caller: Caller, relays: Relays, request: TailLogsRequest) -> AsyncIterator[TailLogsResponse]:
    """The messages of TailLogs, each once and in order, to the end of the task's output.

    Without `follow` it ends where the committed output ends.
    """
    persistence = caller.persistence()
    ask_again = False
    while True:
        server: Server | None = None
        ended_attempt = False
        error: TenureError = Unavailable("the log relay ended the stream early")
        try:
            server = await relays.one_for(request.task_id, ask_again=ask_again)
            call = server.method(methods.TAIL)(request, metadata=trace_metadata())
            try:
                async for message in call:
                    caller.answered(persistence)
                    persistence.progressed()
                    if message.cursor:
                        request.cursor = message.cursor
                    yield message
                    kind = message.WhichOneof("item")
                    if kind == "end":
                        return
                    ended_attempt = kind == "attempt_end"
            finally:
                call.cancel()
            if not request.follow or (request.attempt and ended_attempt):
                return
        except grpc.aio.AioRpcError as failure:
            error = caller.failed(failure, persistence)
        except Unavailable as failure:
            error = failure
        if server is not None and error.retryable:
            relays.failed()
        ask_again = True
        await persistence.pause(error, server.address if server else "the log relay", server)
