"""What does a spec file look like, whatever its format is?"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Scalar:
    """A text, a number, a truth value or nothing."""

    mark: Mark
    text: str
    """The text itself, or a number and the like as it is written."""
    quoted: bool = False
    """It is certainly a text."""

    @property
    def is_null(self) -> bool:
        """Whether it means that nothing was given."""
        return not self.quoted and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys with their values, in the order of the file; a key may stand there twice."""

    mark: Mark
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place."""

    mark: Mark
    message: str


class Unreadable(Exception):
    """The text is not of its format at all."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(mark, message)
