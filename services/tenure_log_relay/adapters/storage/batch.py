"""What goes to the disk in one write and one fsync?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tenure_core.frames import PORTION
from tenure_log_relay.adapters.storage.direct import Buffer
from tenure_log_relay.adapters.storage.records import (
    HEADER_SIZE,
    Kind,
    Name,
    State,
    header,
    name_record,
    state_record,
)
from tenure_log_relay.adapters.storage.segment import Named, Segment

if TYPE_CHECKING:
    import asyncio

    from tenure_core.frames import Frame
    from tenure_log_relay.adapters.storage.attempt import AttemptLog

MAX_BATCH: Final = 8 << 20
RENAME: Final = 1 << 20


@dataclass(slots=True, eq=False)
class Item:
    """Neighbouring frames of one attempt, or a fact about it."""

    attempt: AttemptLog
    pieces: list[Buffer] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    size: int = 0
    state: State | None = None
    start: int = -1
    """Where the FRAMES record begins in the segment, once it is laid out."""

    @property
    def record_size(self) -> int:
        return HEADER_SIZE + self.size


class Batch:
    """Items that are committed together; `done` completes when they are on disk."""

    __slots__ = ("done", "items", "segment", "size")

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.items: list[Item] = []
        self.size = 0
        self.segment: Segment | None = None
        """The segment that it was written to."""
        self.done = done

    def add(self, item: Item) -> None:
        """Take an item; frames that continue the item before join its record."""
        self.size += item.size
        last = self.items[-1] if self.items else None
        if (
            last is not None
            and last.attempt is item.attempt
            and last.state is None
            and item.state is None
            and last.frames
            and last.size + item.size <= PORTION
        ):
            last.pieces += item.pieces
            last.frames += item.frames
            last.size += item.size
        else:
            self.items.append(item)

    @property
    def full(self) -> bool:
        return self.size >= MAX_BATCH

    def lay_out(
        self, segment: Segment, *, placement: int, now_ns: int
    ) -> tuple[list[Buffer], dict[str, Named]]:
        """The buffers to append to `segment`, and the fences that they name.

        Everything before this batch must have been applied: an attempt is named with its committed position.
        """
        buffers: list[Buffer] = []
        named: dict[str, Named] = {}
        at = segment.size
        fresh = 0
        for item in self.items:
            key = item.attempt.key
            known = named.get(key) or segment.named.get(key)
            slot = known.slot if known else len(segment.named) + fresh
            if known is None or (key not in named and at - known.at > RENAME):
                fresh += known is None
                named[key] = Named(slot, at)
                name = Name(key, item.attempt.committed, item.attempt.missing)
                at += _append(buffers, name_record(slot, name, placement=placement, written_ns=now_ns))
            if item.frames:
                item.start = at
                at += item.record_size
                buffers.append(
                    header(
                        Kind.FRAMES,
                        slot,
                        item.size,
                        frames=len(item.frames),
                        placement=placement,
                        written_ns=now_ns,
                    )
                )
                buffers += item.pieces
            if item.state is not None:
                state = state_record(slot, item.state, placement=placement, written_ns=now_ns)
                at += _append(buffers, state)
        return buffers, named


def _append(buffers: list[Buffer], data: bytes) -> int:
    buffers.append(data)
    return len(data)
