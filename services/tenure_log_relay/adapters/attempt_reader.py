"""How does one reader get through the output of one attempt?

It takes chunk after chunk from memory or disk, turns them into messages, and says when it has delivered all
that is committed. It holds one chunk at a time, however slow its reader is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tenure_core.frames import PORTION
from tenure_log_relay.adapters.starting import Start, without_first_lines
from tenure_log_relay.adapters.storage.reading import next_chunk
from tenure_log_relay.adapters.wire import LARGEST, ChunkMessages, LineMessages
from tenure_log_relay.domain.ending import NO_LOG, LogFacts
from tenure_log_relay.domain.position import Offsets, advanced
from tenure_log_relay.domain.view import Hole, Item, ViewState, chunks, flush, lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tenure_core.fence import Fence
    from tenure_core.frames import Frame
    from tenure_log_relay.adapters.storage.attempt import AttemptLog, Chunk
    from tenure_log_relay.adapters.storage.log import SegmentLog
    from tenure_log_relay.adapters.tail_request import TailRequest

FEW: Final = 8
"""Readers of one attempt of which each may have a message of the largest size in memory."""
Shortfall = tuple[tuple[int, int, int], ...]


class AttemptReader:
    """The place of one reader in one attempt."""

    def __init__(self, log: SegmentLog, fence: Fence, request: TailRequest, start: Start) -> None:
        self._log = log
        self._fence = fence
        self._request = request
        self._number = start.number
        self._state = start.state
        self._skip_lines = start.skip_lines
        self._since_ns = start.since_ns
        self._attempt: AttemptLog | None = None
        now = self.attempt
        self._until = None if request.follow else now.committed.number if now is not None else 0
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
    def delivered(self) -> Offsets:
        return self._state.delivered

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
        """All that is committed now and was not delivered; may be called again when there is more."""
        while (attempt := self.attempt) is not None:
            if self._until is not None and self._number >= self._until:
                return
            chunk = await next_chunk(self._log, attempt, self._number, self._most(attempt))
            if chunk is None:
                return
            for message in self._encoded(attempt, chunk):
                yield message
            self._number = chunk.after
            self.moved_at = asyncio.get_running_loop().time()

    def _most(self, attempt: AttemptLog) -> int:
        """How many bytes it takes at once where there is more: one of few readers catches up by that.

        Not with lines: so many would hold up everybody else on the loop while they are encoded.
        """
        return PORTION if self._request.as_lines or attempt.readers > FEW else LARGEST

    def rest(self, shortfall: Shortfall) -> list[bytes]:
        """The open lines, and holes for what was promised and did not come: nothing more is expected."""
        items: list[Item] = []
        before = self._state
        if self._request.as_lines:
            items, self._state = flush(self._state)
            if self._skip_lines:
                items = []
        seen = self._state.seen
        for channel, start, end in shortfall:
            start = max(start, seen[channel - 1])
            if channel in self._request.channels and end > start:
                items.append(Hole(channel, start, end, "these bytes did not arrive from the node"))
                seen = advanced(seen, channel, end)
        self._state = ViewState(seen)
        return self._packed(items, before)

    def _encoded(self, attempt: AttemptLog, chunk: Chunk) -> list[bytes]:
        if self._skip_lines or self._since_ns is not None:
            return self._encoded_start(chunk)
        if attempt.readers < 2:
            messages, self._state = self._viewed(chunk.frames)
            return messages
        request, state = self._request, self._state
        key = (self._number, chunk.after, request.as_lines, request.channels, state.seen, state.delivered)
        found = attempt.shared.get(key)
        if found is None:
            found = self._viewed(chunk.frames)
            attempt.shared.put(key, *found)
        messages, self._state = found
        return messages

    def _viewed(self, frames: list[Frame]) -> tuple[list[bytes], ViewState]:
        view = lines if self._request.as_lines else chunks
        items, state = view(frames, self._state, self._request.channels)
        return self._packed(items, self._state), state

    def _packed(self, items: list[Item], before: ViewState) -> list[bytes]:
        packer = (LineMessages if self._request.as_lines else ChunkMessages)(self._fence, before.delivered)
        packer.add(items)
        packer.close()
        return packer.messages

    def _encoded_start(self, chunk: Chunk) -> list[bytes]:
        """The first chunks of a reader that begins in the middle."""
        frames = chunk.frames
        if self._since_ns is not None:
            wanted = next((i for i, f in enumerate(frames) if f.wall_ns >= self._since_ns), len(frames))
            _, self._state = chunks(frames[:wanted], self._state, self._request.channels)
            if wanted == len(frames):
                return []
            frames, self._since_ns = frames[wanted:], None
        before = self._state
        view = lines if self._request.as_lines or self._skip_lines else chunks
        items, self._state = view(frames, before, self._request.channels)
        if self._skip_lines:
            items, self._skip_lines = without_first_lines(items, self._skip_lines)
        return self._packed(items, before)
