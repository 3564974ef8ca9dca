"""A real relay process, and clients that talk to it as agents and readers do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Protocol

import grpc
import psutil

from tenure.dispatch.v1.log_ingest_service_pb2 import PushAck, PushChunk, PushRequest
from tenure.dispatch.v1.log_ingest_service_pb2_grpc import LogIngestServiceStub
from tenure.v1.log_service_pb2 import LOG_FORMAT_CHUNKS, TailLogsRequest, TailLogsResponse
from tenure.v1.log_service_pb2_grpc import LogServiceStub
from tests.adapters.log_relay.spools import Spool

START_SECONDS = 20.0
END: Any = grpc.aio.EOF  # type: ignore[attr-defined]
BATCH = 512 * 1024


class RelayProcess:
    """`tenure-log-relay` as an operator starts it."""

    def __init__(self, folder: Path, scheduler: str, etcd: str, *options: str) -> None:
        self.folder = folder
        self._arguments = (
            *("--listen", "127.0.0.1:0", "--data-dir", str(folder / "data"), "--log-format", "json"),
            *("--schedulers", scheduler, "--etcd-endpoints", etcd, *options),
        )
        self.process: asyncio.subprocess.Process | None = None
        self.address = ""
        self.relay = ""
        self.events: list[dict[str, Any]] = []
        self._reading: asyncio.Task[None] | None = None

    async def start(self, **spawn: Any) -> None:
        """Start and wait until it serves."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tenure_log_relay",
            *self._arguments,
            stderr=asyncio.subprocess.PIPE,
            **spawn,
        )
        self._ready = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())
        async with asyncio.timeout(START_SECONDS):
            facts = await self._ready
        self.address, self.relay = facts["address"], facts["relay"]

    async def _read(self) -> None:
        assert self.process is not None and self.process.stderr is not None
        others = []
        async for line in self.process.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                others.append(line.decode())
                continue
            self.events.append(event)
            if "address" in event and not self._ready.done():
                self._ready.set_result(event)
        if not self._ready.done():
            self._ready.set_exception(RuntimeError(f"the relay ended: {others} {self.events[-3:]}"))

    def said(self, text: str) -> bool:
        return any(text in event.get("event", "") for event in self.events)

    @property
    def rss(self) -> int:
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None and self._reading is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = await self.process.wait()
        await self._reading
        self.process = None
        return code

    async def kill(self) -> None:
        """As a power cut would, but for the page cache."""
        await self.end(signal.SIGKILL)

    @property
    def segments(self) -> list[Path]:
        return sorted((self.folder / "data" / "segments").glob("*.tlr"))

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            yield channel


class Reachable(Protocol):
    """Whatever serves logs."""

    def channel(self) -> contextlib.AbstractAsyncContextManager[grpc.aio.Channel]:
        """A connection to it."""


class Pusher:
    """One push stream; what is acknowledged is kept by fence."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub: Any = LogIngestServiceStub(channel)
        self._call = stub.Push()
        self.acks: dict[str, PushAck] = {}
        self.refusals: list[str] = []

    async def send(self, fence: str, frames: bytes = b"", final: int | None = None) -> None:
        await self._call.write(
            PushRequest(worker="w1", chunks=[PushChunk(fence=fence, frames=frames, final_frames=final)])
        )

    async def next_acks(self) -> list[PushAck]:
        answer = await self._call.read()
        if answer is END:
            raise EOFError(f"{await self._call.code()}: {await self._call.details()}")
        for ack in answer.acks:
            self.acks[ack.fence] = ack
            if ack.refused:
                self.refusals.append(ack.refused)
        return list(answer.acks)

    async def ask(self, fence: str, frames: bytes = b"", final: int | None = None) -> PushAck:
        """Send and wait for the answer to it; for one request at a time."""
        await self.send(fence, frames, final)
        (ack,) = await self.next_acks()
        return ack

    async def close(self) -> None:
        await self._call.done_writing()
        while await self._call.read() is not END:
            pass


async def push_all(relay: RelayProcess, spool: Spool, *, final: bool = True, batch: int = BATCH) -> PushAck:
    """Push a spool as an agent does: ask for the position, send from there, wait for all the acks."""
    async with relay.channel() as channel:
        pusher = Pusher(channel)
        position = (await pusher.ask(spool.fence)).next_frame
        for frames in batches(spool.frames[position:], batch):
            await pusher.send(spool.fence, frames)
        if final:
            await pusher.send(spool.fence, final=len(spool.frames))
        ack = pusher.acks[spool.fence]
        while ack.next_frame < len(spool.frames) or (final and not ack.complete):
            ack = next(a for a in await pusher.next_acks() if a.fence == spool.fence)
        await pusher.close()
        return ack


def batches(frames: Iterable[bytes], size: int) -> Iterable[bytes]:
    """Frames joined to messages of at least `size` bytes but for the last."""
    waiting: list[bytes] = []
    for frame in frames:
        waiting.append(frame)
        if sum(map(len, waiting)) >= size:
            yield b"".join(waiting)
            waiting = []
    if waiting:
        yield b"".join(waiting)


async def tail(relay: Reachable, task_id: str, **fields: Any) -> list[TailLogsResponse]:
    """All messages of one tail."""
    async with relay.channel() as channel:
        stub: Any = LogServiceStub(channel)
        return [message async for message in stub.TailLogs(TailLogsRequest(task_id=task_id, **fields))]


async def read_bytes(relay: Reachable, task_id: str, **fields: Any) -> dict[int, bytes]:
    """The bytes of each channel as CHUNKS deliver them; gaps are left out."""
    found: dict[int, bytearray] = {1: bytearray(), 2: bytearray(), 3: bytearray()}
    for message in await tail(relay, task_id, format=LOG_FORMAT_CHUNKS, **fields):
        if message.HasField("chunk"):
            assert message.chunk.offset >= len(found[message.chunk.channel])
            found[message.chunk.channel] += message.chunk.data
    return {channel: bytes(data) for channel, data in found.items()}
