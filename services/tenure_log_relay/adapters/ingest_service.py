"""How are an agent's frames taken and acknowledged?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tenure.dispatch.v1.log_ingest_service_pb2 import PushAck, PushResponse
from tenure_core.errors import InvalidArgument, Violation
from tenure_core.fence import Fence, MalformedFence
from tenure_core.frames import DamagedFrame
from tenure_log_relay.adapters.push_request import Push as PushMessage
from tenure_log_relay.adapters.storage.records import State
from tenure_log_relay.domain.ingest import UnknownChannel
from tenure_runtime.rpc.access import require_worker

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator

    from tenure_log_relay.adapters.log_states import LogStates
    from tenure_log_relay.adapters.push_request import Chunk
    from tenure_log_relay.adapters.storage.attempt import AttemptLog
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_runtime.rpc.call import Call

NOT_THE_NEXT: Final = "not the next frame: go on from the position in this ack"


@dataclass(slots=True)
class _Pushed:
    """One request on its way to the disk."""

    durable: asyncio.Future[None] | None
    attempts: dict[str, str] = field(default_factory=dict)
    """Fences, with the reason where something was refused."""
    ended: bool = False


class LogIngest:
    """`tenure.dispatch.v1.LogIngestService`."""

    def __init__(self, log: SegmentLog, states: LogStates) -> None:
        self._log = log
        self._states = states

    async def Push(self, requests: AsyncIterator[PushMessage], call: Call) -> AsyncIterator[PushResponse]:  # noqa: N802
        """Take frames as long as the agent sends them; an ack follows each request once it is on disk."""
        pushed: asyncio.Queue[_Pushed | BaseException | None] = asyncio.Queue()
        taking = asyncio.create_task(self._take_all(requests, call, pushed), name="take pushes")
        try:
            while True:
                first = await pushed.get()
                if isinstance(first, BaseException):
                    raise first
                if first is None:
                    return
                yield await self._acks(first, pushed)
        finally:
            taking.cancel()

    Push.request_type = PushMessage  # type: ignore[attr-defined]

    async def _take_all(
        self, requests: AsyncIterator[PushMessage], call: Call, pushed: asyncio.Queue[Any]
    ) -> None:
        try:
            async for request in requests:
                require_worker(call.identity, request.worker)
                await self._log.room()
                pushed.put_nowait(self._take(request))
        except Exception as error:  # noqa: BLE001  (the answering side raises it)
            pushed.put_nowait(error)
        else:
            pushed.put_nowait(None)

    def _take(self, request: PushMessage) -> _Pushed:
        attempts: dict[str, str] = {}
        for chunk in request.chunks:
            refused = self._take_chunk(chunk)
            attempts[chunk.fence] = refused or attempts.get(chunk.fence, "")
        return _Pushed(self._log.settled(), attempts)

    def _take_chunk(self, chunk: Chunk) -> str:
        """Take one attempt's frames; the reason when some were refused."""
        try:
            fence = Fence.parse(chunk.fence)
        except MalformedFence as error:
            raise InvalidArgument(violations=(Violation("chunks.fence", str(error)),)) from None
        frames, final = chunk.frames, chunk.final_frames
        attempt = self._log.attempts.get(chunk.fence)
        if attempt is None:
            if not frames:
                if final == 0:
                    self._states.wrote_nothing(chunk.fence)
                return ""
            attempt = self._log.attempt(fence)
        refused = self._push(attempt, frames) if frames else ""
        self._finish(attempt, final)
        return refused

    def _push(self, attempt: AttemptLog, frames: memoryview) -> str:
        try:
            return NOT_THE_NEXT if self._log.push(attempt, frames).behind else ""
        except (DamagedFrame, UnknownChannel) as error:
            return str(error)

    def _finish(self, attempt: AttemptLog, final: int | None) -> None:
        """Note the end of an attempt in the log once everything before it is taken."""
        if final is None or attempt.declared_final is not None or attempt.ingest.position.number < final:
            return
        attempt.declared_final = final
        self._log.note(attempt, State(final, reported=False))

    async def _acks(self, first: _Pushed, pushed: asyncio.Queue[Any]) -> PushResponse:
        """One answer for a request and for all behind it that are on disk as well by then."""
        refused = dict(first.attempts)
        if first.durable is not None:
            await asyncio.shield(first.durable)
        waiting: deque[Any] = pushed._queue  # type: ignore[attr-defined]
        while waiting and type(waiting[0]) is _Pushed and _durable(waiting[0]):
            for fence, reason in pushed.get_nowait().attempts.items():
                refused[fence] = reason or refused.get(fence, "")
        return PushResponse(acks=[self._ack(fence, reason) for fence, reason in refused.items()])

    def _ack(self, fence: str, refused: str) -> PushAck:
        attempt = self._log.attempts.get(fence)
        if attempt is None:
            return PushAck(fence=fence, complete=self._states.is_empty(fence), refused=refused)
        stdout, stderr, records = attempt.committed.offsets
        return PushAck(
            fence=fence,
            next_frame=attempt.committed.number,
            stdout=stdout,
            stderr=stderr,
            records=records,
            complete=attempt.complete,
            refused=refused,
        )


def _durable(pushed: _Pushed) -> bool:
    return pushed.durable is None or pushed.durable.done()
