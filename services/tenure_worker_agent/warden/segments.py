"""Which files hold which part of an attempt's output?

A spool is a chain of files, usually one. A file's name says where it begins, in six parts with @ between
them: fence, position in the attempt's stream of frames, number of its first frame, and the offset of each
channel there. So the oldest output can be dropped by unlinking, and whoever finds only the later files
knows exactly what is missing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEPARATOR: Final = "@"


class Segment(NamedTuple):
    """One file of a spool."""

    fence: str
    position: int
    """Spool bytes before this file."""
    number: int
    """Number of its first frame."""
    stdout: int
    stderr: int
    records: int

    @property
    def name(self) -> str:
        return _SEPARATOR.join(map(str, self))

    @classmethod
    def parse(cls, name: str) -> Segment | None:
        """Read a file's name; None when the file is no segment."""
        fence, *numbers = name.split(_SEPARATOR)
        if len(numbers) != 5 or not all(number.isascii() and number.isdigit() for number in numbers):
            return None
        return cls(fence, *map(int, numbers))


def by_fence(names: Iterable[str]) -> dict[str, list[Segment]]:
    """The chains that these files make, each in order."""
    chains: dict[str, list[Segment]] = {}
    for name in names:
        if segment := Segment.parse(name):
            chains.setdefault(segment.fence, []).append(segment)
    for chain in chains.values():
        chain.sort(key=lambda segment: segment.position)
    return chains


def listed(directory: str) -> dict[str, list[Segment]]:
    """Every chain in a spool directory."""
    return by_fence(os.listdir(directory))
