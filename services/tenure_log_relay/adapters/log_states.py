"""How does the scheduler learn that an attempt's output is complete?

Levels, not edges: whatever has not been acknowledged is reported again, also after a restart, since the log
keeps what was. Reports gather for a moment, so that thousands of small tasks cost few calls.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc

from tenure.dispatch.v1.log_ingest_service_pb2 import AttemptLogState, ReportLogStateRequest
from tenure.dispatch.v1.log_ingest_service_pb2_grpc import LogStateServiceStub
from tenure_log_relay.adapters.storage.records import State
from tenure_log_relay.domain.ending import LogState
from tenure_runtime.logging_setup import get_logger

if TYPE_CHECKING:
    from tenure_log_relay.adapters.storage.attempt import AttemptLog
    from tenure_log_relay.adapters.storage.log import SegmentLog

MOST_REPORTED: Final = 1_000
GATHER_SECONDS: Final = 0.01
CALL_SECONDS: Final = 5.0
LONGEST_PAUSE: Final = 2.0
MOST_EMPTY: Final = 20_000
_log = get_logger("log_states")


class LogStates:
    """Reports the states of finished logs until the scheduler has acknowledged them."""

    def __init__(self, log: SegmentLog, channel: grpc.aio.Channel, relay: str) -> None:
        self._log = log
        self._stub: Any = LogStateServiceStub(channel)
        self._relay = relay
        self._due: dict[str, AttemptLog | None] = {}
        self._empty: dict[str, None] = {}
        self._wake = asyncio.Event()
        log.on_complete = self.completed

    def completed(self, attempt: AttemptLog) -> None:
        """Everything that this attempt wrote is on disk."""
        self._due[attempt.key] = attempt
        self._wake.set()

    def wrote_nothing(self, fence: str) -> None:
        """This attempt has no output at all: nothing is kept of it, but the scheduler shall know."""
        self._empty[fence] = None
        while len(self._empty) > MOST_EMPTY:
            del self._empty[next(iter(self._empty))]
        self._due[fence] = None
        self._wake.set()

    def is_empty(self, fence: str) -> bool:
        """Whether the agent said lately that this attempt wrote nothing."""
        return fence in self._empty

    def resume(self) -> None:
        """After a restart: report what was not acknowledged before it."""
        for attempt in self._log.attempts.values():
            if attempt.complete and not attempt.reported:
                self.completed(attempt)

    async def run(self) -> None:
        """Report, for ever."""
        pause = 0.1
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            try:
                while self._due:
                    await self._report(dict(list(self._due.items())[:MOST_REPORTED]))
                pause = 0.1
            except grpc.aio.AioRpcError as error:
                _log.debug("the scheduler does not take log states", code=error.code().name)
                self._wake.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _report(self, due: dict[str, AttemptLog | None]) -> None:
        states = [_state(fence, attempt) for fence, attempt in due.items()]
        request = ReportLogStateRequest(relay=self._relay, attempts=states)
        await self._stub.ReportLogState(request, timeout=CALL_SECONDS)
        for fence, attempt in due.items():
            self._due.pop(fence, None)
            if attempt is not None and attempt.final_frames is not None:
                self._log.note(attempt, State(attempt.final_frames, reported=True))


def _state(fence: str, attempt: AttemptLog | None) -> AttemptLogState:
    missing = attempt.missing_bytes if attempt is not None else 0
    state = LogState.INCOMPLETE if missing else LogState.COMPLETE
    return AttemptLogState(fence=fence, log_state=int(state), missing_bytes=missing)  # type: ignore[arg-type]
