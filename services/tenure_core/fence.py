"""Which attempt of which task in which life of the cluster is this?

A fence is (incarnation n, task, attempt) and travels with every report, log push and claim, and into the
task's environment as `<n>.<task>.<attempt>`. Fences of one task strictly increase; a resource that user
code protects stores the highest (n, attempt) it has seen and refuses lower ones. It never contains an etcd
revision: those go backwards when a snapshot is restored.
"""

from __future__ import annotations

from typing import NamedTuple

from tenure_core.ids import is_task_id


class MalformedFence(ValueError):
    """The text is not a fence."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text[:80]!r} is not a fence <incarnation>.<task id>.<attempt>: {reason}")
        self.reason = reason


class Fence(NamedTuple):
    """One attempt, ordered by incarnation, then task, then attempt."""

    n: int
    task: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.n}.{self.task}.{self.attempt}"

    def newer_than(self, other: Fence) -> bool:
        """Whether this fence takes precedence over `other` of the same task."""
        return self.task == other.task and (self.n, self.attempt) > (other.n, other.attempt)

    @classmethod
    def parse(cls, text: str) -> Fence:
        """Read the text form.

        Raises:
            MalformedFence: saying which part is wrong.
        """
        parts = text.split(".")
        if len(parts) != 3:
            raise MalformedFence(text, f"it has {len(parts)} parts instead of 3")
        n, task, attempt = parts
        if not is_task_id(task):
            raise MalformedFence(text, f"{task[:40]!r} is not a task id")
        return cls(_number(text, "incarnation", n), task, _number(text, "attempt", attempt))


def _number(text: str, what: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or digits.startswith("0") or len(digits) > 19:
        raise MalformedFence(text, f"its {what} {digits[:40]!r} is not a positive whole number")
    return int(digits)
