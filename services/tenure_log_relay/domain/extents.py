"""Where in the segments do the frames of one attempt lie?

An extent is a stretch of one segment that begins with a record of the attempt; records of other attempts
may lie in between and are skipped when it is read. Neighbouring records are joined, so that a quiet task
costs a few numbers per 256 KiB of its output; the more extents an attempt has, the larger the foreign
stretches it accepts inside one. Everything is kept in one array of machine words: a hundred thousand
attempts must fit into memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tenure_log_relay.domain.position import Offsets, Position

SPAN: Final = 256 * 1024
HOLE: Final = 4 * 1024
WIDEST: Final = 4
CROWDED: Final = 256
WIDTH: Final = 8


class Extent(NamedTuple):
    """A stretch of one segment and the place in the attempt's output at which it begins."""

    segment: int
    start: int
    length: int
    number: int
    stdout: int
    stderr: int
    records: int
    wall_ns: int

    @property
    def offsets(self) -> Offsets:
        return self.stdout, self.stderr, self.records


class Extents:
    """The extents of one attempt, in order."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words = array("q")

    def __len__(self) -> int:
        return len(self._words) // WIDTH

    def __getitem__(self, index: int) -> Extent:
        at = index * WIDTH
        return Extent(*self._words[at : at + WIDTH])

    def add(self, segment: int, start: int, length: int, position: Position, wall_ns: int) -> None:
        """A record with frames from `position` on was written behind all that are known."""
        words = self._words
        if words and words[-8] == segment:
            end = words[-7] + words[-6]
            crowd = 1 + len(words) // (WIDTH * CROWDED)
            if start - end <= HOLE * crowd and start + length - words[-7] <= SPAN * min(crowd, WIDEST):
                words[-6] = start + length - words[-7]
                return
        words.extend((segment, start, length, position.number, *position.offsets, wall_ns))

    def of_number(self, number: int) -> int:
        """Index of the extent that has frame `number`, if any has: the last that begins at or before it."""
        return max(0, bisect_right(range(len(self)), number, key=lambda i: self._words[i * WIDTH + 3]) - 1)

    def of_offset(self, channel: int, offset: int) -> int:
        """Index of the extent that has this byte of a channel, or would have it."""
        return max(
            0, bisect_right(range(len(self)), offset, key=lambda i: self._words[i * WIDTH + 3 + channel]) - 1
        )

    def of_time(self, wall_ns: int) -> int:
        """Index of the extent in which the first frame at or after this time may lie."""
        return max(0, bisect_left(range(len(self)), wall_ns, key=lambda i: self._words[i * WIDTH + 7]) - 1)

    def drop_segment(self, segment: int) -> None:
        """Forget what lies in a segment that is about to be deleted; it is the oldest."""
        words = self._words
        kept = 0
        while kept < len(words) and words[kept] <= segment:
            kept += WIDTH
        del words[:kept]

    def words_of(self, segment: int) -> array[int]:
        """What `add_words` takes to have the extents of one segment again."""
        words = self._words
        found = array("q")
        for at in range(0, len(words), WIDTH):
            if words[at] == segment:
                found.extend(words[at : at + WIDTH])
        return found

    def add_words(self, words: array[int]) -> None:
        """Append extents that lie behind all that are known."""
        self._words.extend(words)
