"""How does one reader get through the output of one attempt?

It takes chunk after chunk from memory or disk, turns them into messages, and says when it has delivered all
that is committed. It holds one chunk at a time, however slow its reader is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tenure_core.frames import PORTION
from tenure_log_relay.adapters.storage.reading import next_chunk
from tenure_log_relay.adapters.wire import LARGEST, ChunkMessages, LineMessages
from tenure_log_relay.domain.cursor import Cursor, Stage
from tenure_log_relay.domain.ending import NO_LOG, LogFacts, LogState
from tenure_log_relay.domain.position import START, Offsets, Position, advanced
from tenure_log_relay.domain.view import Hole, Item, ViewState, chunks, flush, lines, missed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tenure_core.fence import Fence
    from tenure_core.frames import Frame
    from tenure_log_relay.adapters.starting import Start
    from tenure_log_relay.adapters.storage.attempt import AttemptLog, Chunk
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_log_relay.adapters.tail_request import TailRequest

FEW: Final = 8
"""Readers of one attempt of which each may have a message of the largest size in memory."""
Shortfall = tuple[tuple[int, int, int], ...]


class AttemptReader:
    """The place of one reader in one attempt."""

    def __init__(
        self,
        log: SegmentLog,
        fence: Fence,
        request: TailRequest,
        start: Start,
        told: LogState = LogState.OPEN,
    ) -> None:
        self._log = log
        self._fence = fence
        self._request = request
        self._number = start.number
        self._state = start.state
        self._since_ns = start.since_ns
        """What was read before this instant is skipped until something comes that was not; 0: nothing is."""
        self._told = told
        self._attempt: AttemptLog | None = None
        now = self.attempt
        self._until = None if request.follow else now.committed if now is not None else START
        """Without `follow`, what comes later is not wanted."""
        self.moved_at = 0.0
        """When it last delivered something; 0: it has not."""

    @property
    def attempt(self) -> AttemptLog | None:
        """The attempt's log, once there is any."""
        if self._attempt is None:
            self._attempt = self._log.attempts.get(str(self._fence))
            if self._attempt is not None:
                self._attempt.readers += 1
        return self._attempt

    @property
    def cursor(self) -> Cursor:
        """The place behind everything that was delivered."""
        stage = Stage.SEEKING if self._since_ns else Stage.READING
        return Cursor(self._fence, self._state.delivered, stage, self._told, self._request.since_ns)

    @property
    def has_hole(self) -> bool:
        """Whether its reader was told of missing bytes, now or before its cursor."""
        return self._told is LogState.INCOMPLETE

    @property
    def facts(self) -> LogFacts:
        """What the relay has of the attempt at this moment."""
        attempt = self.attempt
        if attempt is None:
            return NO_LOG
        return LogFacts(attempt.committed.offsets, attempt.complete, attempt.missing_bytes)

    def close(self) -> None:
        """The reader leaves this attempt."""
        if self._attempt is not None:
            self._attempt.readers -= 1
            if self._attempt.readers == 0:
                self._attempt.shared.clear()
            self._attempt = None

    async def messages(self) -> AsyncIterator[bytes]:
        """All that is committed now and was not delivered; may be called again when there is more.

        At its end, bytes that no frame had are told as missing: the relay's disk lost them, or they grew old.
        """
        while (attempt := self.attempt) is not None:
            end = self._end(attempt)
            if self._number >= end.number:
                missing = self._missing(end.offsets)
                if not missing:
                    return
                for message in missing:
                    yield message
                continue
            chunk = await next_chunk(self._log, attempt, self._number, self._most(attempt))
            if chunk is None:
                return
            for message in self._encoded(attempt, chunk):
                yield message
            if chunk.reached is not None:
                for message in self._missing(chunk.reached):
                    yield message
            self._number = chunk.after
            self.moved_at = asyncio.get_running_loop().time()

    def _most(self, attempt: AttemptLog) -> int:
        """How many bytes it takes at once where there is more: one of few readers catches up by that.

        Not with lines: so many would hold up everybody else on the loop while they are encoded.
        """
        return PORTION if self._request.as_lines or attempt.readers > FEW else LARGEST

    def goes_on(self) -> bool:
        """Whether there is more than this reader wanted at its beginning; it will read on until there.

        For an attempt that has ended: its end is told only to who has got all of it.
        """
        attempt = self.attempt
        if attempt is None or self._until is None or self._until.number >= attempt.committed.number:
            return False
        self._until = attempt.committed
        return True

    def _end(self, attempt: AttemptLog) -> Position:
        return attempt.committed if self._until is None else self._until

    def _missing(self, end: Offsets) -> list[bytes]:
        """Holes up to `end`, unless what is missing may have come before the instant that is wanted."""
        if self._since_ns:
            return []
        before = self.cursor
        items, self._state = missed(self._state, end, self._request.channels)
        return self._packed(items, before) if items else []

    def rest(self, shortfall: Shortfall, reason: str = "") -> list[bytes]:
        """The open lines, and holes for what was promised and did not come: nothing more is expected."""
        before = self.cursor
        items: list[Item] = []
        if self._attempt is not None:
            committed = self._end(self._attempt).offsets
            items, self._state = missed(self._state, committed, self._request.channels)
        if self._request.as_lines:
            opened, self._state = flush(self._state)
            items += opened
        seen = self._state.seen
        for channel, start, end in shortfall:
            start = max(start, seen[channel - 1])
            if channel in self._request.channels and end > start:
                items.append(Hole(channel, start, end, reason))
                seen = advanced(seen, channel, end)
        self._state = ViewState(seen)
        return self._packed(items, before)

    def _encoded(self, attempt: AttemptLog, chunk: Chunk) -> Iterable[bytes]:
        frames = self._sought(chunk.frames) if self._since_ns else chunk.frames
        request = self._request
        if request.as_lines and request.entry_cursors:
            return self._each(frames)
        if attempt.readers < 2 or frames is not chunk.frames:
            return self._viewed(frames)
        key = (self._number, chunk.after, request.as_lines, request.channels, self._state.seen, self.cursor)
        found = attempt.shared.get(key)
        if found is None:
            messages = self._viewed(chunk.frames)
            attempt.shared.put(key, messages, (self._state, self._told))
        else:
            messages, (self._state, self._told) = found
        return messages

    def _sought(self, frames: list[Frame]) -> list[Frame]:
        """The frames from the first on that is late enough."""
        wanted = next((i for i, f in enumerate(frames) if f.wall_ns >= self._since_ns), len(frames))
        _, self._state = chunks(frames[:wanted], self._state, self._request.channels)
        if wanted < len(frames):
            self._since_ns = 0
        return frames[wanted:]

    def _viewed(self, frames: list[Frame]) -> list[bytes]:
        before = self.cursor
        view = lines if self._request.as_lines else chunks
        items, self._state = view(frames, self._state, self._request.channels)
        return self._packed(items, before)

    def _each(self, frames: list[Frame]) -> Iterator[bytes]:
        """Message by message: with a cursor for each line, a chunk of many lines takes its time."""
        packer = LineMessages(self.cursor, entry_cursors=True)
        items, self._state = lines(frames, self._state, self._request.channels)
        yield from packer.each(items)
        self._told = packer.cursor.told

    def _packed(self, items: list[Item], before: Cursor) -> list[bytes]:
        request = self._request
        packer: LineMessages | ChunkMessages = (
            LineMessages(before, entry_cursors=request.entry_cursors)
            if request.as_lines
            else ChunkMessages(before)
        )
        packer.add(items)
        packer.close()
        self._told = packer.cursor.told
        return packer.messages
