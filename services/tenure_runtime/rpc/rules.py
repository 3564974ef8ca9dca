# ruff: noqa: A002  (tables read text(max=200); `max` and `min` are used for nothing else here)
"""What may the fields of a request hold?

Each function here makes one rule for one field; `validation.Validator` compiles tables of them. Two things
hold for every rule:

- A field left at its default (or absent, where presence is known) is *unset*: fine unless `required`.
- A rule says everything that is wrong with a value, not the first thing only.

A compiled rule is a function (value, path, found) that appends violations. A path is a linked tuple
(parent, segment), put together as text only when something is wrong: valid requests pay for no strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor import FieldDescriptor

from tenure_core.errors import Violation

if TYPE_CHECKING:
    from google.protobuf.message import Message

Path = tuple[Any, str | int] | None
Found = list[Violation]
Test = Callable[[Any, Path, Found], None]

REQUIRED: Final = "is required"


class MisfitRule(TypeError):
    """A rule does not fit the field that it stands for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule before it is compiled for its field."""

    kind: str
    compile: Callable[[FieldDescriptor, Resolve], Test | None]
    required: bool = False


Resolve = Callable[[Any], "Test | None"]
"""The compiled test of a message type's own table."""


def told(path: Path) -> str:
    """The path as text: `tasks[3].spec.process.argv[0]`, map keys as `labels["gpu"]`."""
    parts: list[str] = []
    while path is not None:
        path, segment = path
        parts.append(f"[{segment}]" if isinstance(segment, int) or segment.startswith('"') else f".{segment}")
    return "".join(reversed(parts)).removeprefix(".")


def anything() -> Rule:
    """Every value is fine, said explicitly; the fields of a message behind it are not looked at."""
    return Rule("anything", lambda _field, _resolve: None)


def text(
    *,
    required: bool = False,
    max: int | None = None,
    pattern: str | None = None,
    says: str = "",
) -> Rule:
    """At most `max` UTF-8 bytes that match `pattern` as a whole; `says` explains the pattern to people."""
    whole = re.compile(pattern) if pattern else None

    def test(value: str, path: Path, found: Found) -> None:
        if max is not None and len(value) * 4 > max and (size := len(value.encode())) > max:
            found.append(Violation(told(path), f"has {size} bytes, at most {max} are allowed"))
        if whole is not None and whole.fullmatch(value) is None:
            found.append(Violation(told(path), says or f"does not match {pattern}"))

    return _scalar("text", test, (FieldDescriptor.TYPE_STRING,), required)


def blob(*, required: bool = False, max: int | None = None) -> Rule:
    """At most `max` bytes."""

    def test(value: bytes, path: Path, found: Found) -> None:
        if max is not None and len(value) > max:
            found.append(Violation(told(path), f"has {len(value)} bytes, at most {max} are allowed"))

    return _scalar("blob", test, (FieldDescriptor.TYPE_BYTES,), required)


def number(*, required: bool = False, min: float | None = None, max: float | None = None) -> Rule:
    """An integer or float from `min` to `max`; NaN and infinities are refused."""
    low = float("-inf") if min is None else min
    high = float("inf") if max is None else max

    def test(value: float, path: Path, found: Found) -> None:
        if not low <= value <= high or value in (float("inf"), float("-inf")):
            found.append(Violation(told(path), f"is {value}, allowed is {_range(min, max)}"))

    return _scalar("number", test, _NUMBERS, required)


def enum(*, required: bool = True) -> Rule:
    """A value that this version knows, and not the unspecified one."""

    def compiled(field: FieldDescriptor, _resolve: Resolve) -> Test:
        if field.enum_type is None:
            raise MisfitRule(f"{field.full_name} is not an enum")
        names = {v.number: v.name for v in field.enum_type.values}

        def test(value: int, path: Path, found: Found) -> None:
            if value not in names:
                known = ", ".join(name for number, name in names.items() if number)
                found.append(Violation(told(path), f"is {value}, known are {known}"))

        return test

    return Rule("enum", compiled, required)


def message(*, required: bool = False, max_bytes: int | None = None) -> Rule:
    """A message, by its own table; at most `max_bytes` encoded."""

    def compiled(field: FieldDescriptor, resolve: Resolve) -> Test | None:
        if field.message_type is None:
            raise MisfitRule(f"{field.full_name} is not a message")
        inner = resolve(field.message_type)
        if max_bytes is None:
            return inner

        def test(value: Message, path: Path, found: Found) -> None:
            if (size := value.ByteSize()) > max_bytes:
                found.append(Violation(told(path), f"has {size} bytes, at most {max_bytes} are allowed"))
            if inner is not None:
                inner(value, path, found)

        return test

    return Rule("message", compiled, required)


def duration(*, required: bool = False, min: float = 0.0, max: float | None = None) -> Rule:
    """A google.protobuf.Duration from `min` to `max` seconds."""

    def test(value: Any, path: Path, found: Found) -> None:
        seconds, nanos = value.seconds, value.nanos
        if not -1_000_000_000 < nanos < 1_000_000_000 or seconds * nanos < 0:
            found.append(Violation(told(path), "is no valid duration: nanos out of range or of another sign"))
            return
        total = seconds + nanos / 1e9
        if total < min or (max is not None and total > max):
            found.append(Violation(told(path), f"is {total:g} s, allowed is {_range(min, max)} s"))

    return _well_known("duration", "google.protobuf.Duration", test, required)


def timestamp(*, required: bool = False) -> Rule:
    """A google.protobuf.Timestamp between the years 1 and 9999."""

    def test(value: Any, path: Path, found: Found) -> None:
        if not (-62_135_596_800 <= value.seconds <= 253_402_300_799 and 0 <= value.nanos < 1_000_000_000):
            found.append(Violation(told(path), "is no valid time"))

    return _well_known("timestamp", "google.protobuf.Timestamp", test, required)


def repeated(
    item: Rule | None = None,
    *,
    min: int = 0,
    max: int | None = None,
    unique: bool | Callable[[Any], Any] = False,
) -> Rule:
    """`min` to `max` items, each by `item` (unset items are refused if it is required).

    `unique`: no two alike, by a key where one is given.
    """
    key: Callable[[Any], Any] | None = (
        unique if callable(unique) else (lambda value: value) if unique else None
    )

    def compiled(field: FieldDescriptor, resolve: Resolve) -> Test | None:
        if not field.is_repeated or _is_map(field):
            raise MisfitRule(f"{field.full_name} is not a list")
        each = _item(item, field, resolve)

        def test(values: Any, path: Path, found: Found) -> None:
            count = len(values)
            if count < min or (max is not None and count > max):
                found.append(Violation(told(path), f"has {count} items, allowed is {_range(min, max)}"))
            if each is not None:
                for index, value in enumerate(values):
                    each(value, (path, index), found)
            if key is not None and count > 1:
                _find_twins(values, key, path, found)

        return test

    return Rule("repeated", compiled, required=min > 0)


def mapping(key: Rule | None = None, value: Rule | None = None, *, max: int | None = None) -> Rule:
    """At most `max` entries; keys by `key`, values by `value`."""

    def compiled(field: FieldDescriptor, resolve: Resolve) -> Test | None:
        if not _is_map(field):
            raise MisfitRule(f"{field.full_name} is not a map")
        entry_type: Any = field.message_type
        fields = entry_type.fields_by_name
        of_key = _item(key, fields["key"], resolve)
        of_value = _item(value, fields["value"], resolve)

        def test(entries: Any, path: Path, found: Found) -> None:
            if max is not None and len(entries) > max:
                found.append(Violation(told(path), f"has {len(entries)} entries, at most {max} are allowed"))
            for name, entry in entries.items():
                where = (path, f'"{name}"')
                if of_key is not None:
                    of_key(name, where, found)
                if of_value is not None:
                    of_value(entry, where, found)

        return test

    return Rule("mapping", compiled)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A rule for a oneof, under the oneof's name in the table."""

    required: bool


def one_of(*, required: bool = True) -> OneOf:
    """One of the members must be set; the members have rules of their own."""
    return OneOf(required)


@dataclass(frozen=True, slots=True)
class Whole:
    """A rule for a message as a whole, under the name `""` in its table."""

    problems: Callable[[Any], Iterable[tuple[str, str]]]


def whole(problems: Callable[[Any], Iterable[tuple[str, str]]]) -> Whole:
    """What no single field shows: `problems(message)` yields (path below the message, description)."""
    return Whole(problems)


Table = Mapping[str, "Rule | OneOf | Whole"]

_NUMBERS: Final = (
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED32,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_FLOAT,
    FieldDescriptor.TYPE_DOUBLE,
)


def _scalar(kind: str, test: Test, types: tuple[int, ...], required: bool) -> Rule:
    def compiled(field: FieldDescriptor, _resolve: Resolve) -> Test:
        if field.type not in types:
            raise MisfitRule(f"{field.full_name} does not take a rule {kind}()")
        return test

    return Rule(kind, compiled, required)


def _well_known(kind: str, name: str, test: Test, required: bool) -> Rule:
    def compiled(field: FieldDescriptor, _resolve: Resolve) -> Test:
        if field.message_type is None or field.message_type.full_name != name:
            raise MisfitRule(f"{field.full_name} is not a {name}")
        return test

    return Rule(kind, compiled, required)


def _item(rule: Rule | None, field: FieldDescriptor, resolve: Resolve) -> Test | None:
    """The test of one item of a list or map: without a rule, messages go by their own table."""
    if rule is None:
        return resolve(field.message_type) if field.message_type is not None else None
    test = rule.compile(field, resolve)
    if not rule.required or field.message_type is not None:
        return test

    def required(value: Any, path: Path, found: Found) -> None:
        if not value:
            found.append(Violation(told(path), "must not be empty"))
        elif test is not None:
            test(value, path, found)

    return required


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _find_twins(values: Iterable[Any], key: Callable[[Any], Any], path: Path, found: Found) -> None:
    first: dict[Any, int] = {}
    for index, value in enumerate(values):
        identity = key(value)
        if identity in first:
            found.append(Violation(told((path, index)), f"repeats {told((path, first[identity]))}"))
        else:
            first[identity] = index


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"
