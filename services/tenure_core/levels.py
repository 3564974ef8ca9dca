"""Do worker and scheduler agree on what the worker holds?

Both sides compute the same number from what they believe; only if the numbers differ the whole list travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple


class HeldPhase(IntEnum):
    """How far an attempt is that has not ended."""

    HELD = 1
    """It is about to start."""
    STARTED = 2
    STOPPING = 3
    """It was told to end."""


class LevelDigest(NamedTuple):
    """What a worker holds, in two numbers."""

    size: int
    digest: int


def level_digest(held: Iterable[tuple[str, HeldPhase]]) -> LevelDigest:
    """The digest of (fence, phase) pairs, in whichever order they come."""
    lines = sorted([f"{fence} {phase:d}" for fence, phase in held])
    hashed = hashlib.sha256("\n".join(lines).encode()).digest()
    return LevelDigest(len(lines), int.from_bytes(hashed[:8], "big"))
