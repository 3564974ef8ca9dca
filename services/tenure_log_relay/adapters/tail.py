"""What does one call of TailLogs answer, message by message?

Every attempt in turn, each from its first committed byte to its last, live as soon as history is delivered.
The end of an attempt and of the task come from the scheduler's record; `domain.ending` says when to wait no
longer.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tenure.v1.log_service_pb2 import LogAttemptBegin, LogAttemptEnd, LogEnd, TailLogsResponse
from tenure_core.errors import DeadlineExceeded, NotFound, OutOfRange, Unavailable
from tenure_core.fence import Fence
from tenure_core.frames import CHANNEL_NAMES
from tenure_log_relay.adapters import starting
from tenure_log_relay.adapters.attempt_reader import AttemptReader
from tenure_log_relay.adapters.storage.attempt import Signal, any_of
from tenure_log_relay.domain.cursor import Cursor, Stage
from tenure_log_relay.domain.ending import Around, LogState, ending, shortfall
from tenure_log_relay.domain.turns import Turn, next_turn, turns
from tenure_log_relay.domain.view import LOST_HERE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tenure_log_relay.adapters.scheduler import FollowedTask, SchedulerTasks
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_log_relay.adapters.tail_request import TailRequest
    from tenure_log_relay.domain.ending import AttemptFacts

RETRY_SECONDS: Final = 1.0
"""Pause before the scheduler is asked again, when it could not be reached."""
DUE_SECONDS: Final = 1.0
"""How often a reader that waits for due output looks at the clock."""
NEVER_CAME: Final = "these bytes did not arrive from the node"
UNREACHABLE: Final = (Unavailable, DeadlineExceeded)


class Tail:
    """One reader of one task."""

    def __init__(self, log: SegmentLog, scheduler: SchedulerTasks, request: TailRequest) -> None:
        self._log = log
        self._scheduler = scheduler
        self._request = request
        self._followed: FollowedTask | None = None
        self._task = request.task
        self._state = LogState.COMPLETE
        self._tailed: Fence | None = None
        """The attempt of which only the last lines are wanted."""
        self._ended_seen = 0.0

    async def messages(self) -> AsyncIterator[bytes]:
        """The encoded answers."""
        cursor = self._request.cursor
        if cursor is not None and cursor.stage is Stage.FINISHED:
            return
        await self._identify()
        try:
            async for message in self._turns(cursor):
                yield message
        finally:
            if self._followed is not None and self._request.follow:
                self._scheduler.unfollow(self._followed)

    # The task

    async def _identify(self) -> None:
        """Find out which task is meant; raises NotFound, or Unavailable when nobody can say."""
        try:
            await self._look_up()
        except NotFound:
            if not self._local():
                raise
        except UNREACHABLE:
            if not self._local():
                raise

    async def _look_up(self) -> None:
        found = await self._scheduler.look_up(self._request.task)
        self._task = found.task.id
        self._followed = self._scheduler.follow(found) if self._request.follow else found

    def _local(self) -> bool:
        """Whether the relay's own log has this one task."""
        if self._request.task in self._log.tasks:
            return True
        matching = [task for task in self._log.tasks if task.startswith(self._request.task)]
        if len(matching) == 1:
            self._task = matching[0]
        return len(matching) == 1

    @property
    def _terminal(self) -> bool:
        return self._followed is not None and self._followed.terminal

    def _order(self) -> list[Turn]:
        known = self._followed.attempts if self._followed is not None else []
        return turns(known, [attempt.fence for attempt in self._log.tasks.get(self._task, ())])

    # Turns

    async def _turns(self, cursor: Cursor | None) -> AsyncIterator[bytes]:
        after: Fence | None = None
        if cursor is not None:
            after = cursor.fence
            if cursor.stage is Stage.ENDED:
                self._state = cursor.told if cursor.told is not LogState.OPEN else LogState.COMPLETE
            else:
                async for message in self._attempt(cursor.fence, cursor):
                    yield message
        elif self._request.last_lines is not None:
            # Only of the attempt that is the newest now: of a later one everything is wanted.
            order = self._order()
            if not self._request.attempt:
                after = order[-2].fence if len(order) > 1 else None
            newest = next_turn(order, after, self._request.attempt)
            self._tailed = newest.fence if newest is not None else None
        while True:
            turn = next_turn(self._order(), after, self._request.attempt)
            if turn is not None:
                async for message in self._attempt(turn.fence, None):
                    yield message
                after = turn.fence
            elif self._done(after):
                break
            else:
                await self._changed()
        if self._terminal and after_all(self._order(), after, self._request.attempt):
            yield self._end(after)

    def _done(self, after: Fence | None) -> bool:
        """Whether no further attempt can come for this reader."""
        if self._terminal or not self._request.follow:
            return True
        return bool(self._request.attempt) and after is not None

    async def _attempt(self, fence: Fence, cursor: Cursor | None) -> AsyncIterator[bytes]:
        start = await self._start(fence, cursor)
        told = cursor.told if cursor is not None else LogState.OPEN
        reader = AttemptReader(self._log, fence, self._request, start, told)
        self._ended_seen = 0.0
        try:
            if cursor is None:
                if self._request.offset is not None:
                    await self._reach(self._request.offset, fence, reader)
                yield self._begin(fence, reader)
            while True:
                async for message in reader.messages():
                    yield message
                state = self._ending(fence, reader)
                if state is not None:
                    if reader.goes_on():
                        continue
                    break
                if not self._request.follow:
                    for message in reader.rest(()):
                        yield message
                    return
                await self._changed(reader)
            for message in self._rest(fence, reader, state):
                yield message
            if state is LogState.COMPLETE and reader.has_hole:
                state = LogState.INCOMPLETE
            self._state = state
            yield self._attempt_end(fence, reader, state)
        finally:
            reader.close()

    def _rest(self, fence: Fence, reader: AttemptReader, state: LogState) -> list[bytes]:
        turn = self._turn(fence)
        if turn is None or state is not LogState.INCOMPLETE:
            return reader.rest(())
        reason = LOST_HERE if self._declared(fence) is LogState.COMPLETE else NEVER_CAME
        return reader.rest(shortfall(reader.facts, turn.facts), reason)

    async def _reach(self, offset: int, fence: Fence, reader: AttemptReader) -> None:
        """Wait until the attempt's output has got as far as the reader wants to begin.

        Nothing is sent before, so that no cursor names a place that may never be. Raises OutOfRange when the
        output ends before it.
        """
        (channel,) = self._request.channels
        while (have := reader.facts.committed[channel - 1]) < offset:
            state = self._ending(fence, reader)
            turn = self._turn(fence)
            if turn is not None and turn.facts is not None and state is not None:
                have = max(have, turn.facts.finals[channel - 1])
            if have >= offset:
                return
            name = f"{CHANNEL_NAMES[channel]} of attempt {fence.attempt}"
            if state is not None:
                raise OutOfRange(f"{name} ends at byte {have:,}: byte {offset:,} does not exist")
            if not self._request.follow:
                raise OutOfRange(f"{name} has {have:,} bytes so far: follow it to wait for byte {offset:,}")
            await self._changed(reader)

    async def _start(self, fence: Fence, cursor: Cursor | None) -> starting.Start:
        request, attempt = self._request, self._log.attempts.get(str(fence))
        if cursor is not None:
            since_ns = cursor.since_ns if cursor.stage is Stage.SEEKING else 0
            return starting.at_offsets(attempt, cursor.offsets, request.channels, since_ns)
        if request.offset is not None:
            (channel,) = request.channels
            offsets = [0, 0, 0]
            offsets[channel - 1] = request.offset
            return starting.at_offsets(attempt, (offsets[0], offsets[1], offsets[2]), request.channels)
        if request.last_lines is not None and fence == self._tailed:
            return await starting.at_last_lines(self._log, attempt, request.last_lines, request.channels)
        if request.since_ns:
            return starting.at_time(attempt, request.since_ns)
        return starting.Start()

    def _turn(self, fence: Fence) -> Turn | None:
        return next((turn for turn in self._order() if turn.fence == fence), None)

    def _ending(self, fence: Fence, reader: AttemptReader) -> LogState | None:
        """Whether the attempt's output ends here; without `follow` nothing is waited for."""
        now = asyncio.get_running_loop().time()
        order = self._order()
        superseded = bool(order) and order[-1].fence > fence
        facts = next((turn.facts for turn in order if turn.fence == fence), None)
        ended = superseded or self._terminal or (facts is not None and facts.ended)
        if ended and not self._ended_seen:
            self._ended_seen = now - self._lost_for(facts)
        declared = self._declared(fence)
        quiet = now - max(reader.moved_at, self._ended_seen)
        around = Around(quiet, superseded, self._terminal, declared)
        found = ending(reader.facts, facts, around)
        if found is None and ended and not self._request.follow:
            return LogState.INCOMPLETE if declared is LogState.COMPLETE else declared
        return found

    def _declared(self, fence: Fence) -> LogState:
        """The scheduler's word on the log of this attempt, if it is the last one of a task that has ended."""
        order = self._order()
        if self._followed is None or not self._terminal or (order and order[-1].fence > fence):
            return LogState.OPEN
        return LogState(self._followed.task.log_state or LogState.OPEN)

    def _lost_for(self, facts: AttemptFacts | None) -> float:
        """Seconds for which a lost attempt could have sent what it still had, before this reader came."""
        if facts is None or not facts.lost or not facts.ended_ns:
            return 0.0
        since_loss = (time.time_ns() - facts.ended_ns) / 1e9
        return max(0.0, min(since_loss, time.monotonic() - self._log.opened_at))

    async def _changed(self, reader: AttemptReader | None = None) -> None:
        """Wait until something happened that may let the reader go on."""
        signals: list[Signal] = []
        timeout: float | None = None
        attempt = reader.attempt if reader is not None else None
        signals.append(self._log.arrival(self._task) if attempt is None else attempt.changed)
        if self._followed is not None:
            signals.append(self._followed.changed)
        else:
            timeout = RETRY_SECONDS
        if reader is not None and self._ended_seen:
            timeout = DUE_SECONDS
        await any_of(signals, timeout)
        if self._followed is None:
            await self._retry()

    async def _retry(self) -> None:
        try:
            await self._look_up()
        except (*UNREACHABLE, NotFound):
            return

    # Markers

    def _begin(self, fence: Fence, reader: AttemptReader) -> bytes:
        turn = self._turn(fence)
        worker = turn.facts.worker if turn is not None and turn.facts is not None else ""
        begin = LogAttemptBegin(attempt=fence.attempt, fence=str(fence), worker=worker)
        return TailLogsResponse(cursor=str(reader.cursor), attempt_begin=begin).SerializeToString()

    def _attempt_end(self, fence: Fence, reader: AttemptReader, state: LogState) -> bytes:
        turn = self._turn(fence)
        outcome = turn.facts.outcome if turn is not None and turn.facts is not None else 0
        end = LogAttemptEnd(
            attempt=fence.attempt,
            outcome=outcome,  # type: ignore[arg-type]
            log_state=int(state),  # type: ignore[arg-type]
        )
        told = LogState.OPEN if state is LogState.COMPLETE else state
        cursor = reader.cursor._replace(stage=Stage.ENDED, told=told)
        return TailLogsResponse(cursor=str(cursor), attempt_end=end).SerializeToString()

    def _end(self, after: Fence | None) -> bytes:
        assert self._followed is not None, "only a task that the scheduler knows is terminal"
        task = self._followed.task
        end = LogEnd(
            state=task.state,
            outcome=task.outcome,
            log_state=int(self._state),  # type: ignore[arg-type]
            reason=task.reason,
        )
        if task.HasField("exit_code"):
            end.exit_code = task.exit_code
        if task.HasField("signal"):
            end.signal = task.signal
        fence = after or Fence(1, task.id, 1)
        cursor = Cursor(fence, stage=Stage.FINISHED)
        return TailLogsResponse(cursor=str(cursor), end=end).SerializeToString()


def after_all(order: list[Turn], after: Fence | None, only: int) -> bool:
    """Whether the reader has been through the last attempt, or asked for one alone."""
    return not order or bool(only) or (after is not None and order[-1].fence <= after)
