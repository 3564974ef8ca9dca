"""How does a task make sure that its own effects are not those of a stale attempt?

A task that was taken for lost may still run while another attempt of it runs elsewhere. Each attempt has a
fence, and of two fences of a task the later attempt has the higher one. A resource that keeps the highest
`order` that it has seen for a task, and refuses lower ones in the same transaction as the effect, cannot be
written by a stale attempt. `Client.verify_fence` asks whether a fence still holds, which is enough where
nothing worse than wasted work can come of the moment between the answer and the effect.
"""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple

from tenure.errors import BadConfiguration

VARIABLE: Final = "TENURE_FENCE"
_TEXT: Final = re.compile(r"([1-9][0-9]{0,18})\.([0-9a-hjkmnp-tv-z]{20})\.([1-9][0-9]{0,18})")


class Fence(NamedTuple):
    """One attempt of one task: `<incarnation>.<task id>.<attempt>`."""

    incarnation: int
    """Counts up when a cluster is restored from a backup."""

    task_id: str
    """The task that the attempt belongs to."""

    attempt: int
    """Counts from 1 within the task."""

    def __str__(self) -> str:
        return f"{self.incarnation}.{self.task_id}.{self.attempt}"

    @property
    def order(self) -> tuple[int, int]:
        """What a resource keeps and compares, per task: a lower one than it has seen is stale."""
        return self.incarnation, self.attempt

    @classmethod
    def parse(cls, text: str) -> Fence:
        """Read the text of a fence; ValueError says that it is none."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:80]!r} is not a fence <incarnation>.<task id>.<attempt>")
        return cls(int(found[1]), found[2], int(found[3]))


def current_fence() -> Fence:
    """The fence of the attempt that this process runs in, from `TENURE_FENCE`.

    Raises:
        BadConfiguration: the process does not run inside a task.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        raise BadConfiguration(f"{VARIABLE} is not set: this process does not run inside a task")
    try:
        return Fence.parse(text)
    except ValueError as error:
        raise BadConfiguration(f"{VARIABLE}: {error}") from None
