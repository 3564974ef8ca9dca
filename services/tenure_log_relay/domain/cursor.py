"""From where does a reader go on?

A cursor names the attempt by its whole fence and says how many bytes of each channel were delivered. It
says nothing about files, so it is valid on any relay that has the attempt. Readers treat it as opaque.

Who goes on from it names no beginning, so it also carries what of the first request still matters: the
instant before which nothing is wanted, of later attempts as well. And it carries what its reader was told of
the log, so that a hole before it is remembered at the end.
"""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_core.fence import Fence, MalformedFence
from tenure_log_relay.domain.ending import LogState
from tenure_log_relay.domain.position import NO_OFFSETS, Offsets, advanced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tenure_core.timing import UtcNs

VERSION: Final = "1"
MAX_LENGTH: Final = 300


class Stage(IntEnum):
    """What of an attempt was delivered besides its bytes."""

    READING = 0
    """Its begin marker."""
    ENDED = 1
    """Its end marker: go on with the next attempt."""
    FINISHED = 2
    """The end of the whole task: nothing follows."""
    SEEKING = 3
    """Its begin marker; what is wanted of it begins at an instant that its output has not reached."""


class MalformedCursor(ValueError):
    """The text is not a cursor of a tail."""


class Cursor(NamedTuple):
    """A place in the output of one task."""

    fence: Fence
    offsets: Offsets = NO_OFFSETS
    stage: Stage = Stage.READING
    told: LogState = LogState.OPEN
    """What the reader knows of the attempt's log: INCOMPLETE behind a hole, the final word behind its end."""
    since_ns: UtcNs = 0
    """Output before this instant is not wanted; 0: all is."""

    def __str__(self) -> str:
        return _opaque(self._plain())

    def _plain(self) -> str:
        plain = f"{VERSION} {self.fence} {self.offsets[0]} {self.offsets[1]} {self.offsets[2]} {self.stage:d}"
        if self.told is not LogState.OPEN or self.since_ns:
            plain += f" {self.told:d} {self.since_ns}"
        return plain

    def texts_behind(self, channel: int, ends: Iterable[int]) -> list[str]:
        """The texts of many places that differ in how much of one channel is behind them."""
        words = self._plain().split(" ")
        at = 1 + channel
        before = "".join(f"{word} " for word in words[:at])
        after = "".join(f" {word}" for word in words[at + 1 :])
        return [_opaque(f"{before}{end}{after}") for end in ends]

    def behind(self, channel: int, end: int) -> Cursor:
        """The place behind more bytes of a channel."""
        return self._replace(offsets=advanced(self.offsets, channel, end))

    def behind_hole(self, channel: int, end: int) -> Cursor:
        """The place behind bytes that the reader did not get."""
        return self.behind(channel, end)._replace(told=LogState.INCOMPLETE)

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read the text form.

        Raises:
            MalformedCursor: it was not made by a relay, or by one with another version of cursors.
        """
        try:
            if len(text) > MAX_LENGTH:
                raise ValueError("too long")
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode(
                "ascii"
            )
            version, fence, stdout, stderr, records, stage, *more = plain.split(" ")
            if version != VERSION:
                raise ValueError("another version")
            offsets = (_offset(stdout), _offset(stderr), _offset(records))
            told, since_ns = map(_offset, more) if more else (LogState.OPEN, 0)
            return cls(Fence.parse(fence), offsets, Stage(int(stage)), LogState(told), since_ns)
        except (binascii.Error, UnicodeDecodeError, MalformedFence, ValueError):
            raise MalformedCursor(f"{text[:80]!r} is not a cursor of this version") from None


def _opaque(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _offset(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise ValueError("not an offset")
    return int(digits)
