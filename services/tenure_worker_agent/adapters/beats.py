"""How is the lease renewed through any replica?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure_core.errors import SessionLost
from tenure_runtime.rpc.status import from_rpc_error
from tenure_runtime.watchdog import LoopWatch, boottime
from tenure_worker_agent.domain.commands import SendBeat
from tenure_worker_agent.domain.events import BeatAcked, BeatFailed

BEAT: Final = "/tenure.dispatch.v1.WorkerSessionService/Beat"
ALIVE_WITHIN: Final = 1.0
RECHECK: Final = 0.05


class Beats:
    """Unary calls, each on the channel of its replica."""

    def __init__(
        self, worker: str, open_channel: Callable[[str], grpc.aio.Channel], watch: LoopWatch
    ) -> None:
        self._worker = worker
        self._open = open_channel
        self._watch = watch
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def send(self, command: SendBeat) -> BeatAcked | BeatFailed:
        """Renew the lease once."""
        # A loop that stood still may have missed the news that its session is over.
        while not self._watch.ticked_within(ALIVE_WITHIN):  # noqa: ASYNC110
            await asyncio.sleep(RECHECK)
        request = pb.BeatRequest(
            worker=self._worker,
            session=command.session,
            lease_id=command.lease_id,
            live_revision=command.live_revision,
        )
        channel: Any = self._channel(command.address)
        call = channel.unary_unary(BEAT)
        sent_at = boottime()
        try:
            data = await call(request.SerializeToString(), timeout=command.timeout)
        except grpc.aio.AioRpcError as error:
            cause = from_rpc_error(error)
            return BeatFailed(command.ticket, isinstance(cause, SessionLost), cause.message)
        answer = pb.BeatResponse.FromString(data)
        return BeatAcked(
            command.ticket, sent_at, answer.ttl_ms / 1000, list(answer.exclusive), answer.leader_address
        )

    def _channel(self, address: str) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._open(address)
        return channel

    async def close(self) -> None:
        """Give the connections back."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close(None)
