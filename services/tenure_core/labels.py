"""Does a worker's labels satisfy what a task asks for?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never


class Operator(IntEnum):
    """How a label's value is compared."""

    IN = 1
    """One value: equals."""
    NOT_IN = 2
    """Also true when the label is absent. One value: not equals."""
    EXISTS = 3
    NOT_EXISTS = 4
    GREATER_THAN = 5
    """Both sides are numbers; a label that is not a number never matches."""
    LESS_THAN = 6


_WORDS = {
    Operator.IN: "in",
    Operator.NOT_IN: "not in",
    Operator.EXISTS: "exists",
    Operator.NOT_EXISTS: "does not exist",
    Operator.GREATER_THAN: ">",
    Operator.LESS_THAN: "<",
}


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Constraint:
    """One condition on one label of a worker."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a worker with these labels satisfies the condition."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.NOT_EXISTS:
                return value is None
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                return self._compares(value)
        assert_never(self.operator)

    def _compares(self, value: str | None) -> bool:
        left, right = _number(value), _number(self.values[0])
        if left is None or right is None:
            return False
        return left > right if self.operator is Operator.GREATER_THAN else left < right

    def problem(self) -> str | None:
        """Why this condition cannot be meant, or None: for validation at submit."""
        if not self.key:
            return "the label's key is empty"
        word, given = _WORDS[self.operator], len(self.values)
        if self.operator in (Operator.IN, Operator.NOT_IN):
            return None if given else f"'{word}' needs at least one value"
        wanted = 0 if self.operator in (Operator.EXISTS, Operator.NOT_EXISTS) else 1
        if given != wanted:
            return f"'{word}' takes {'one value' if wanted else 'no values'}, got {given}"
        if self.operator in (Operator.GREATER_THAN, Operator.LESS_THAN) and _number(self.values[0]) is None:
            return f"{self.values[0]!r} is not a number"
        return None

    def __str__(self) -> str:
        return " ".join((self.key, _WORDS[self.operator], *([", ".join(self.values)] if self.values else [])))


@dataclass(frozen=True, slots=True)
class Preference:
    """A condition that attracts a task (weight > 0) or repels it (weight < 0) without being required."""

    constraint: Constraint
    weight: int = 1


def unmet(constraints: tuple[Constraint, ...], labels: Mapping[str, str]) -> Constraint | None:
    """The first condition that a worker with these labels does not satisfy."""
    for constraint in constraints:
        if not constraint.matches(labels):
            return constraint
    return None


def preference_score(preferences: tuple[Preference, ...], labels: Mapping[str, str]) -> float:
    """How much a worker is preferred, between -1 and 1; 0 when nothing is preferred."""
    total = sum(abs(p.weight) for p in preferences)
    if not total:
        return 0.0
    return sum(p.weight for p in preferences if p.constraint.matches(labels)) / total
