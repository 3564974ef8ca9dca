"""How does a node become the value of a field, and what is wrong when it cannot?

Each kind of field is one class with `convert(node, into) -> value`; faults are collected, never raised, so
that all of a file's faults are told at once. `Collected.places` remembers where each field stands, under the
path that the server would use for it, so that its violations can be told by line and column too.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from tenure import specs
from tenure.specfile.nodes import Fault, Mapping, Mark, Node, Scalar, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Dict


@dataclass(slots=True)
class Collected:
    """What was found on the way."""

    faults: list[Fault] = field(default_factory=list)
    places: dict[str, Mark] = field(default_factory=dict)

    def fault(self, node: Node, message: str) -> None:
        self.faults.append(Fault(node.mark, message))


class Kind(Protocol):
    """What a field takes."""

    def convert(self, node: Node, path: str, into: Collected) -> Any:
        """The value, or None when there is a fault (told in `into`) or nothing was given."""


def scalar(node: Node, wanted: str, into: Collected) -> Scalar | None:
    """The node if it is a scalar; otherwise a fault that says what was wanted."""
    if isinstance(node, Scalar):
        return node
    into.fault(node, f"expected {wanted}, found a {'list' if isinstance(node, Sequence) else 'mapping'}")
    return None


@dataclass(frozen=True, slots=True)
class Text:
    """A text; a number stands for its digits as they are written."""

    def convert(self, node: Node, path: str, into: Collected) -> str | None:
        found = scalar(node, "a text", into)
        return None if found is None else found.text


@dataclass(frozen=True, slots=True)
class Parsed:
    """A scalar that a function understands; the function raises ValueError with a sentence."""

    wanted: str
    parse: Callable[[str], Any]

    def convert(self, node: Node, path: str, into: Collected) -> Any:
        found = scalar(node, self.wanted, into)
        if found is None:
            return None
        try:
            return self.parse(found.text.strip())
        except ValueError as error:
            into.fault(node, str(error))
            return None


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words, each standing for a number."""

    words: Dict[str, int]

    def convert(self, node: Node, path: str, into: Collected) -> int | None:
        found = scalar(node, f"one of {', '.join(self.words)}", into)
        if found is None:
            return None
        if found.text not in self.words:
            near = did_you_mean(found.text, list(self.words))
            into.fault(node, f"{found.text!r} is none of {', '.join(self.words)}{near}")
        return self.words.get(found.text)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    item: Kind

    def convert(self, node: Node, path: str, into: Collected) -> list[Any] | None:
        if not isinstance(node, Sequence):
            into.fault(node, f"expected a list, found a {'mapping' if isinstance(node, Mapping) else 'text'}")
            return None
        found = []
        for number, child in enumerate(node.items):
            place = f"{path}[{number}]"
            into.places[place] = child.mark
            if isinstance(child, Scalar) and child.is_null:
                into.fault(child, "nothing is given here; quote it if it is a text")
                continue
            value = self.item.convert(child, place, into)
            if value is not None:
                found.append(value)
        return found


@dataclass(frozen=True, slots=True)
class DictOf:
    """A mapping with keys of the user's own."""

    value: Kind

    def convert(self, node: Node, path: str, into: Collected) -> dict[str, Any] | None:
        entries = entries_of(node, into)
        found = {}
        for key, child in entries:
            place = f"{path}.{key.text}"
            into.places[place] = into.places[f'{path}["{key.text}"]'] = child.mark
            if isinstance(child, Scalar) and child.is_null:
                into.fault(child, f"{key.text} has no value; quote it if it is a text")
                continue
            value = self.value.convert(child, place, into)
            if value is not None:
                found[key.text] = value
        return found


@dataclass(frozen=True, slots=True)
class Message:
    """A mapping with known keys, as a protobuf message."""

    make: Callable[..., Any]
    fields: Dict[str, tuple[str, Kind]]
    """The key in the file, the field of the message, and what it takes."""
    required: tuple[str, ...] = ()
    exactly_one: tuple[str, ...] = ()

    def convert(self, node: Node, path: str, into: Collected) -> Any:
        if not isinstance(node, Mapping):
            wanted = f"expected a mapping with {', '.join(self.fields)}"
            into.fault(node, wanted)
            return None
        values: dict[str, Any] = {}
        given = [key.text for key, child in node.entries if not (isinstance(child, Scalar) and child.is_null)]
        for key, child in entries_of(node, into):
            if key.text not in self.fields:
                known = list(self.fields)
                hint = did_you_mean(key.text, known) or f"; known: {', '.join(known)}"
                into.fault(key, f"unknown key {key.text!r}{hint}")
                continue
            name, kind = self.fields[key.text]
            place = f"{path}.{name}" if path else name
            into.places[place] = child.mark
            if key.text in given:
                values[name] = kind.convert(child, place, into)
        self._check(node, given, into)
        return self.make(**{name: value for name, value in values.items() if value is not None})

    def _check(self, node: Mapping, given: list[str], into: Collected) -> None:
        for key in self.required:
            if key not in given:
                into.fault(node, f"{key} is missing")
        present = [key for key in self.exactly_one if key in given]
        if self.exactly_one and len(present) != 1:
            found = f"found {' and '.join(present)}" if present else "found none of them"
            into.fault(node, f"exactly one of {', '.join(self.exactly_one)} is needed, {found}")


@dataclass(frozen=True, slots=True)
class AnyJson:
    """A mapping of whatever JSON can say."""

    def convert(self, node: Node, path: str, into: Collected) -> Struct | None:
        if not isinstance(node, Mapping):
            into.fault(node, "expected a mapping")
            return None
        return Struct(fields={key.text: _json(child, into) for key, child in entries_of(node, into)})


def entries_of(node: Node, into: Collected) -> list[tuple[Scalar, Node]]:
    """The entries of a mapping, each key once; a second one is a fault."""
    if not isinstance(node, Mapping):
        into.fault(node, f"expected a mapping, found a {'list' if isinstance(node, Sequence) else 'text'}")
        return []
    first: dict[str, Mark] = {}
    for key, _ in node.entries:
        if key.text in first:
            into.fault(
                key, f"{key.text!r} stands here a second time; the first is in line {first[key.text].line}"
            )
        first.setdefault(key.text, key.mark)
    return [(key, child) for key, child in node.entries if first[key.text] is key.mark]


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint at the nearest known word, if one is near."""
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def whole_number(low: int, high: int) -> Parsed:
    """A whole number within limits."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not low <= number <= high:
            raise ValueError(f"{number} is not between {low} and {high}")
        return number

    return Parsed("a whole number", parse)


def number(low: float, high: float) -> Parsed:
    """A number within limits."""

    def parse(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
        if not low <= found <= high:
            raise ValueError(f"{text} is not between {low:g} and {high:g}")
        return found

    return Parsed("a number", parse)


def cpu_milli(text: str) -> int:
    """Thousandths of a processor: "0.5", "2" or "500m"."""
    try:
        milli = float(text[:-1]) if text.endswith("m") else float(text) * 1000
    except ValueError:
        raise ValueError(f"{text!r} is not a number of processors: write 0.5, 2 or 500m") from None
    if not 0 <= milli <= 4_000_000:
        raise ValueError(f"{text} is not between 0 and 4000 processors")
    return round(milli)


def timestamp(text: str) -> Timestamp:
    """An instant as RFC 3339 writes it."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an instant: write 2026-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: add Z or an offset such as +01:00")
    found = Timestamp()
    found.FromDatetime(instant)
    return found


DURATION = Parsed("a duration such as 10s", lambda text: specs.duration(text))
SIZE = Parsed("a size such as 64MiB", specs.parse_size)


def _json(node: Node, into: Collected) -> Value:
    if isinstance(node, Mapping):
        return Value(struct_value=AnyJson().convert(node, "", into))
    if isinstance(node, Sequence):
        return Value(list_value=ListValue(values=[_json(child, into) for child in node.items]))
    if node.quoted:
        return Value(string_value=node.text)
    if node.is_null:
        return Value(null_value=NULL_VALUE)
    if node.text in ("true", "false"):
        return Value(bool_value=node.text == "true")
    try:
        return Value(number_value=float(node.text))
    except ValueError:
        return Value(string_value=node.text)
