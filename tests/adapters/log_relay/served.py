"""A relay's log behind a real socket, in this process: a test can age it, and read it as clients do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from tenure.v1 import log_service_pb2
from tenure_core.fence import Fence
from tenure_log_relay.adapters.log_service import Logs
from tenure_log_relay.adapters.scheduler import SchedulerTasks
from tenure_log_relay.adapters.storage import retention, seal
from tenure_log_relay.adapters.storage.log import SegmentLog, StorageLimits
from tenure_log_relay.adapters.storage.records import State
from tenure_log_relay.adapters.storage.restore import restore
from tenure_runtime.rpc.server import Server
from tests.adapters.log_relay.spools import Spool

SMALL = StorageLimits(hot_bytes=0, segment_bytes=20_000, retain_bytes=40_000)
"""Nothing stays in memory, and old output goes soon."""
OTHER = "zzzz" + "0" * 16


@dataclass
class ServedLog:
    """Segments on the disk, and the port at which they are read."""

    log: SegmentLog
    address: str
    _filler: Spool

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            yield channel

    async def take(self, spool: Spool, *, final: bool = False, start: int = 0) -> None:
        """Commit the frames of a spool, each in a record of its own."""
        attempt = self.log.attempt(Fence.parse(spool.fence))
        for frame in spool.frames[start:]:
            self.log.push(attempt, frame)
            await self.log.flush()
        if final:
            await self.finish(spool)

    async def finish(self, spool: Spool) -> None:
        """What the agent says when it has sent everything."""
        attempt = self.log.attempts[spool.fence]
        self.log.note(attempt, State(len(spool.frames), reported=True))
        await self.log.flush()

    async def fill(self, size: int) -> None:
        """Output of another task, behind which the log's own becomes old."""
        attempt = self.log.attempt(Fence.parse(self._filler.fence))
        for _ in range(size // 1_000):
            self.log.push(attempt, self._filler.write(b"y" * 1_000))
            await self.log.flush()

    async def forget_old(self) -> None:
        """What retention does from time to time."""
        await self.fill(100_000)
        await retention.enforce(self.log)

    def rot(self, spool: Spool, frame: int) -> None:
        """Flip a bit of one committed frame, on the disk."""
        content = spool.frames[frame]
        (path,) = (p for p in self.log.folder.glob("*.tlr") if content in p.read_bytes())
        data = bytearray(path.read_bytes())
        data[data.index(content) + len(content) - 2] ^= 4
        path.write_bytes(data)


@contextlib.asynccontextmanager
async def served(
    folder: Path, scheduler: str, limits: StorageLimits = SMALL, *, filler: Spool | None = None
) -> AsyncIterator[ServedLog]:
    """Restore what is in `folder` and serve it."""
    log = SegmentLog(folder, limits)
    restore(log)
    async with grpc.aio.insecure_channel(scheduler) as channel:
        tasks = SchedulerTasks(channel)
        running = [asyncio.create_task(work) for work in (log.run(), seal.run(log), tasks.run())]
        server = Server()
        server.add(log_service_pb2.DESCRIPTOR.services_by_name["LogService"], Logs(log, tasks))
        (port,) = await server.start(["127.0.0.1:0"])
        try:
            yield ServedLog(log, f"127.0.0.1:{port}", filler or Spool(f"1.{OTHER}.1"))
        finally:
            await server.stop(grace=0.0)
            await log.flush()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            log.close()
