"""How do the parts of a log relay run together?

One loop: the segment log commits in turns with a thread, the log states are reported, followed tasks are
watched, old segments are deleted. Shutdown goes from the outside in: registration, readers and pushers,
then the log is flushed, so that nothing acknowledged is in memory only at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from tenure.dispatch.v1 import log_ingest_service_pb2
from tenure.v1 import log_service_pb2
from tenure_core.frames import CHANNEL_NAMES
from tenure_log_relay.adapters.ingest_service import LogIngest
from tenure_log_relay.adapters.log_service import Logs
from tenure_log_relay.adapters.log_states import LogStates
from tenure_log_relay.adapters.scheduler import SchedulerTasks
from tenure_log_relay.adapters.storage import retention, seal
from tenure_log_relay.adapters.storage.log import SegmentLog, StorageLimits
from tenure_log_relay.adapters.storage.restore import restore
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.rpc.transport import DISPATCH_MESSAGE_BYTES, PUBLIC_MESSAGE_BYTES
from tenure_runtime.startup import CannotStart
from tenure_runtime.telemetry_metrics import LOG_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import grpc

    from tenure_runtime.rpc.server import Server
    from tenure_runtime.supervise import Process
    from tenure_runtime.telemetry import Telemetry

RETENTION_SECONDS: Final = 10.0
FLUSH_SECONDS: Final = 1.0
_log = get_logger("relay")


class Relay:
    """One log relay without its surroundings: a log, a way to the schedulers, two services."""

    def __init__(
        self,
        folder: Path,
        limits: StorageLimits,
        scheduler: grpc.aio.Channel,
        relay: str,
        telemetry: Telemetry | None = None,
    ) -> None:
        measures = None if telemetry is None or not telemetry.on else Measures(telemetry).durable
        self.log = SegmentLog(folder, limits, on_refusal=self._refusal, on_durable=measures)
        self.takes_output = True
        """Whether the disk takes what agents push."""
        self.on_takes_output: Callable[[bool], object] = lambda takes: None
        self.tasks = SchedulerTasks(scheduler)
        self.states = LogStates(self.log, scheduler, relay)

    def open(self) -> None:
        """Restore the log. Blocks."""
        try:
            restore(self.log)
        except OSError as error:
            raise CannotStart(f"cannot read the segments in {self.log.folder}: {error.strerror}") from None
        self.states.resume()
        _log.info(
            "log restored",
            segments=len(self.log.segments),
            attempts=len(self.log.attempts),
            bytes=self.log.bytes,
            damaged_bytes=self.log.rotten_bytes,
        )

    def start(self, process: Process) -> None:
        """Begin to work beside the services."""
        process.at_shutdown("flush the log", self._flush)
        process.spawn("commit batches", self.log.run())
        process.spawn("report log states", self.states.run())
        process.spawn("watch followed tasks", self.tasks.run())
        process.spawn("index finished segments", seal.run(self.log))
        process.spawn("delete old segments", self._retain())

    def serve_on(self, server: Server) -> None:
        """Register the services."""
        ingest = log_ingest_service_pb2.DESCRIPTOR.services_by_name["LogIngestService"]
        server.add(ingest, LogIngest(self.log, self.states), max_message_bytes=DISPATCH_MESSAGE_BYTES)
        logs = log_service_pb2.DESCRIPTOR.services_by_name["LogService"]
        server.add(logs, Logs(self.log, self.tasks), max_message_bytes=PUBLIC_MESSAGE_BYTES)

    async def _flush(self) -> None:
        """Write what waits; a disk that refuses does not hold up the end: nothing was acknowledged."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.log.flush(), FLUSH_SECONDS)

    async def _retain(self) -> None:
        while True:
            await asyncio.sleep(RETENTION_SECONDS)
            freed = await retention.enforce(self.log)
            if freed:
                _log.info("old segments deleted", bytes=freed)

    def _refusal(self, reason: str | None) -> None:
        if reason is None:
            _log.info("the disk takes writes again")
        else:
            _log.error("the disk refuses writes: nothing is acknowledged until it takes them", reason=reason)
        self.takes_output = reason is None
        self.on_takes_output(self.takes_output)


class Measures:
    """The metrics of a relay."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def durable(self, channel: int, size: int) -> None:
        """So many bytes of a channel are on disk."""
        self._telemetry.add(LOG_BYTES, size, channel=CHANNEL_NAMES.get(channel, "other"))
