"""What goes over one stream to one log relay, and what comes back?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from tenure.dispatch.v1.log_ingest_service_pb2 import PushAck, PushResponse
from tenure_core.frames import PORTION
from tenure_runtime.logging_setup import get_logger
from tenure_worker_agent.adapters import push_wire
from tenure_worker_agent.adapters.push_output import Output
from tenure_worker_agent.adapters.spool_reader import Place

CHUNKS: Final = 500
WINDOW: Final = 24 << 20
"""Bytes on their way without an acknowledgement: covers the relay's fsync, bounds memory on both sides."""
_log = get_logger("log pusher")


class Line:
    """The attempts whose output goes to one relay."""

    def __init__(
        self,
        worker: str,
        on_acked: Callable[[dict[str, int]], None],
        on_complete: Callable[[str], None],
    ) -> None:
        self._opening = push_wire.opening(worker)
        self._on_acked = on_acked
        self._on_complete = on_complete
        self._outputs: dict[str, Output] = {}
        self._ready: dict[str, Output] = {}
        self._wanted = asyncio.Event()
        self._room = asyncio.Event()
        self._flying = 0
        self._refusal = False
        self.acknowledged = False
        """Whether the newest stream brought an acknowledgement."""

    def add(self, output: Output) -> None:
        """This attempt's output goes here from now on."""
        self._outputs[output.fence] = output
        self.wake(output)

    def remove(self, output: Output) -> None:
        """Nothing more is to be sent of it."""
        if self._outputs.pop(output.fence, None) is not None:
            self._moved(-output.flying)
        self._ready.pop(output.fence, None)

    def wake(self, output: Output) -> None:
        """There may be something to send of this attempt."""
        if output.has_work():
            self._ready[output.fence] = output
            self._wanted.set()

    async def something_to_do(self) -> None:
        """Return when there is something to push."""
        await self._wanted.wait()

    async def converse(self, channel: Any) -> bool:
        """Push over one stream until it ends; whether anything was acknowledged.

        Raises:
            grpc.aio.AioRpcError: the relay is away.
        """
        self.acknowledged = self._refusal = False
        call = channel.stream_stream(push_wire.METHOD, response_deserializer=PushResponse.FromString)()
        writing = asyncio.create_task(self._write(call), name="push output")
        try:
            async for response in call:
                self._acks(response)
                if self._refusal:
                    break
        finally:
            call.cancel()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            self._restart()
        return self.acknowledged

    def _restart(self) -> None:
        """Nothing is on its way any more; the relay has to be asked where every attempt stands."""
        self._flying = 0
        self._room.set()
        for output in self._outputs.values():
            output.restart()
            self.wake(output)

    async def _write(self, call: Any) -> None:
        while True:
            await self._wanted.wait()
            while self._flying >= WINDOW:
                self._room.clear()
                await self._room.wait()
            message = self._message()
            if message:
                await call.write(message)
            else:
                self._wanted.clear()

    def _message(self) -> bytes:
        """The next request: a piece of every attempt that has something, in turn; empty: none has."""
        parts = [self._opening]
        size = chunks = 0
        while self._ready and size < PORTION and chunks < CHUNKS:
            fence = next(iter(self._ready))
            output = self._ready.pop(fence)
            if not output.has_work():
                continue
            before = output.flying
            if output.known:
                pieces, final = output.take(PORTION - size)
                if output.known and output.has_work():
                    self._ready[fence] = output
            else:
                output.asked = True
                pieces, final = (), None
            self._moved(output.flying - before)
            parts += push_wire.chunk(output.key, pieces, final)
            size += sum(map(len, pieces))
            chunks += 1
        return b"".join(parts) if chunks else b""

    def _acks(self, response: PushResponse) -> None:
        acked: dict[str, int] = {}
        for ack in response.acks:
            output = self._outputs.get(ack.fence)
            if output is not None and self._ack(output, ack):
                acked[ack.fence] = output.acked
        self.acknowledged = True
        if acked:
            self._on_acked(acked)

    def _ack(self, output: Output, ack: PushAck) -> bool:
        place = Place(ack.next_frame, (ack.stdout, ack.stderr, ack.records))
        if ack.refused:
            # The stream begins anew: what is on its way behind the refused frames would be refused as well.
            _log.warning("the log relay refused output", fence=ack.fence, reason=ack.refused)
            output.refused(place)
            self._refusal = True
            return False
        before = output.flying
        moved = output.acknowledged(place)
        self._moved(output.flying - before)
        if ack.complete and output.final is not None and ack.next_frame >= output.final:
            self._on_complete(ack.fence)
        else:
            self.wake(output)
        return moved

    def _moved(self, change: int) -> None:
        """More, or less, is on its way without an acknowledgement."""
        self._flying += change
        if self._flying < WINDOW:
            self._room.set()
