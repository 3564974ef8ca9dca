"""From where does a reader go on?

A cursor names the attempt by its whole fence and says how many bytes of each channel were delivered. It
says nothing about files, so it is valid on any relay that has the attempt. Readers treat it as opaque.
"""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from typing import Final, NamedTuple

from tenure_core.fence import Fence, MalformedFence
from tenure_log_relay.domain.position import NO_OFFSETS, Offsets

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


class MalformedCursor(ValueError):
    """The text is not a cursor of a tail."""


class Cursor(NamedTuple):
    """A place in the output of one task."""

    fence: Fence
    offsets: Offsets = NO_OFFSETS
    stage: Stage = Stage.READING

    def __str__(self) -> str:
        plain = f"{VERSION} {self.fence} {self.offsets[0]} {self.offsets[1]} {self.offsets[2]} {self.stage:d}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

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
            version, fence, stdout, stderr, records, stage = plain.split(" ")
            if version != VERSION:
                raise ValueError("another version")
            offsets = (_offset(stdout), _offset(stderr), _offset(records))
            return cls(Fence.parse(fence), offsets, Stage(int(stage)))
        except (binascii.Error, UnicodeDecodeError, MalformedFence, ValueError):
            raise MalformedCursor(f"{text[:80]!r} is not a cursor of this version") from None


def _offset(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise ValueError("not an offset")
    return int(digits)
