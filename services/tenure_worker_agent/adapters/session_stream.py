"""How does one session stream live?

A connection of its own: when this process dies, it is reset, and the leader knows at once. Reports that are
made while another one is being written leave together in one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import grpc

from tenure_core.timing import Duration
from tenure_runtime import failpoints
from tenure_runtime.rpc.status import from_rpc_error
from tenure_worker_agent.adapters.dispatch_codec import Reader, hold_bytes, report_bytes
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.commands import Level, News, SendReport

SESSION: Final = "/tenure.dispatch.v1.WorkerSessionService/Session"
END: Final[Any] = getattr(grpc.aio, "EOF")  # noqa: B009  (the stubs do not know it)
PER_MESSAGE: Final = 2_000
GOODBYE_SECONDS: Final = 1.0
PACE: Final = 0.002
"""Pause after a report: the first one never waits, and under load more news leaves in one message."""


class SessionStream:
    """One stream, from its Hello to its end."""

    def __init__(self, number: int, channel: Any, reader: Reader, post: Callable[[e.Event], None]) -> None:
        self.number = number
        self._channel = channel
        self._reader = reader
        self._post = post
        self._news: list[tuple[str, News]] = []
        self._level: Level | None = None
        self._level_after = 0
        """How much of the news the level takes for told."""
        self._last_command = 0
        self._hold: Duration = 0.0
        self._unsaid = False
        self._stopping = False
        self._closing = False
        self._wake = asyncio.Event()

    def send(self, report: SendReport) -> None:
        """Tell the leader, together with whatever else waits to be told."""
        self._news += report.news
        if report.level is not None:
            self._level, self._level_after = report.level, len(self._news)
        self._last_command = report.last_command
        self._stopping |= report.stopping
        self._unsaid = True
        self._wake.set()

    def announce_hold(self, seconds: Duration) -> None:
        """Tell the leader how long this process may be away."""
        self._hold = seconds
        self._wake.set()

    def close(self) -> None:
        """End the stream in order, after what was to be said."""
        self._closing = True
        self._wake.set()

    async def run(self, hello: bytes) -> None:
        """Hold the conversation; StreamEnded is posted when the connection is gone."""
        reason = "the scheduler ended the stream"
        call = self._channel.stream_stream(SESSION)()
        writer = asyncio.create_task(self._write(call, hello), name="session writer")
        try:
            while (data := await call.read()) is not END:
                event = self._reader.event(data)
                if failpoints.ACTIVE:
                    event = _without_what_is_lost(event)
                if event is not None:
                    self._post(event)
            # A status other than OK is raised by the call itself once it is asked for.
            code = await call.code()
            if code is not grpc.StatusCode.OK:
                reason = await call.details() or code.name
        except grpc.aio.AioRpcError as error:
            reason = from_rpc_error(error).message or error.code().name
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            reason = "ended by this agent"
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            call.cancel()
            await self._channel.close(None)
            self._post(e.StreamEnded(self.number, reason))

    async def _write(self, call: Any, hello: bytes) -> None:
        try:
            await call.write(hello)
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._unsaid:
                    await call.write(self._next_report())
                    await asyncio.sleep(PACE)
                if self._hold:
                    seconds, self._hold = self._hold, 0.0
                    await call.write(hold_bytes(seconds))
                if self._closing:
                    break
            await call.done_writing()
            await asyncio.sleep(GOODBYE_SECONDS)
            call.cancel()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The reading half tells why the stream ended.
            return

    def _next_report(self) -> bytes:
        """What fits into one message; a level comes right after the news that it takes for told."""
        size = PER_MESSAGE if self._level is None else min(PER_MESSAGE, self._level_after)
        news, self._news = self._news[:size], self._news[size:]
        level = None
        if self._level is not None:
            self._level_after -= len(news)
            if not self._level_after:
                level, self._level = self._level, None
        self._unsaid = bool(self._news or self._level)
        if failpoints.ACTIVE and news and failpoints.drops("agent.reports"):
            news = []
        return report_bytes(self._last_command, news, stopping=self._stopping, level=level)


def _without_what_is_lost(event: e.Event | None) -> e.Event | None:
    """What a test has get lost on the way: all Starts, Stops or accepts of one message."""
    if isinstance(event, e.Commanded):
        for name in ("starts", "stops", "accepted"):
            if getattr(event, name) and failpoints.drops(f"agent.{name}"):
                lost: dict[str, Any] = {name: []}
                event = replace(event, **lost)
    return event
