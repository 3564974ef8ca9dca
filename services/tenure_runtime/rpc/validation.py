"""Is this request valid, and if not, what is all that is wrong with it?

    RULES = {
        TaskSpec: {
            "name": text(max=200, pattern=NAME),
            "body": one_of(),
            "process": message(),
            "labels": mapping(key=text(required=True, max=63), value=text(max=63), max=64),
        },
        …
    }
    check = Validator(RULES).check_of(SubmitTasksRequest.DESCRIPTOR)
    violations = check(request)

Rules are compiled once into closures. A message type behind a field is checked by its own table
automatically. `uncovered` names the fields of reachable messages that no rule stands for; a test keeps that
list empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message

from tenure_core.errors import Violation
from tenure_runtime.rpc.rules import (
    REQUIRED,
    Found,
    MisfitRule,
    OneOf,
    Path,
    Rule,
    Table,
    Test,
    Whole,
    anything,
    blob,
    duration,
    enum,
    mapping,
    message,
    number,
    one_of,
    repeated,
    text,
    timestamp,
    told,
    whole,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Rules = Mapping[type[Message], Table]
Check = Callable[[Any], tuple[Violation, ...]]

_OPAQUE: Final = "google."


class Validator:
    """Compiled rule tables; MisfitRule at construction for a rule without its field or of the wrong kind."""

    def __init__(self, rules: Rules) -> None:
        self._tables: dict[str, tuple[Any, Table]] = {
            cls.DESCRIPTOR.full_name: (cls.DESCRIPTOR, table) for cls, table in rules.items()
        }
        self._tests: dict[str, Test] = {}
        for descriptor, _ in self._tables.values():
            self._resolve(descriptor)

    def check_of(self, descriptor: Any) -> Check | None:
        """The check of one message type; None when no table looks at anything in it."""
        test = self._resolve(descriptor)
        if test is None:
            return None

        def check(request: Any) -> tuple[Violation, ...]:
            found: Found = []
            test(request, None, found)
            return tuple(found)

        return check

    def uncovered(self, requests: Iterable[Any]) -> list[str]:
        """Full names of reachable fields and oneofs that have no rule, not even `anything()`."""
        missing: list[str] = []
        seen: set[str] = set()
        waiting = list(requests)
        while waiting:
            descriptor = waiting.pop()
            if descriptor.full_name in seen or descriptor.full_name.startswith(_OPAQUE):
                continue
            seen.add(descriptor.full_name)
            _, table = self._tables.get(descriptor.full_name, (descriptor, {}))
            missing.extend(
                f"{descriptor.full_name}.{name}" for name in _names(descriptor) if name not in table
            )
            waiting.extend(_below(descriptor, table))
        return sorted(missing)

    def _resolve(self, descriptor: Any) -> Test | None:
        """The test of a message type; of a recursive one, a look-up at run time."""
        name = descriptor.full_name
        if name not in self._tables:
            return None
        if name not in self._tests:
            tests = self._tests
            tests[name] = lambda value, path, found: tests[name](value, path, found)
            tests[name] = self._compile(descriptor, self._tables[name][1])
        return self._tests[name]

    def _compile(self, descriptor: Descriptor, table: Table) -> Test:
        steps = tuple(self._steps(descriptor, table))

        def test(value: Any, path: Path, found: Found) -> None:
            for step in steps:
                step(value, path, found)

        return test

    def _steps(self, descriptor: Descriptor, table: Table) -> Iterator[Test]:
        for name, rule in table.items():
            if isinstance(rule, Whole):
                yield _whole_step(rule)
            elif isinstance(rule, OneOf):
                if name not in descriptor.oneofs_by_name:
                    raise MisfitRule(f"{descriptor.full_name} has no oneof {name}")
                if rule.required:
                    yield _oneof_step(name, [f.name for f in descriptor.oneofs_by_name[name].fields])
            else:
                if name not in descriptor.fields_by_name:
                    raise MisfitRule(f"{descriptor.full_name} has no field {name}")
                field = descriptor.fields_by_name[name]
                step = _field_step(field, rule, rule.compile(field, self._resolve))
                if step is not None:
                    yield step


def _field_step(field: FieldDescriptor, rule: Rule, test: Test | None) -> Test | None:
    if test is None and not rule.required:
        return None
    name, required = field.name, rule.required

    def by_presence(value: Any, path: Path, found: Found) -> None:
        if value.HasField(name):
            if test is not None:
                test(getattr(value, name), (path, name), found)
        elif required:
            found.append(Violation(told((path, name)), REQUIRED))

    def by_value(value: Any, path: Path, found: Found) -> None:
        content = getattr(value, name)
        if content:
            if test is not None:
                test(content, (path, name), found)
        elif required:
            found.append(Violation(told((path, name)), REQUIRED))

    return by_presence if field.has_presence else by_value


def _oneof_step(name: str, members: list[str]) -> Test:
    def step(value: Any, path: Path, found: Found) -> None:
        if value.WhichOneof(name) is None:
            found.append(Violation(told((path, name)), f"one of {', '.join(members)} is required"))

    return step


def _whole_step(rule: Whole) -> Test:
    def step(value: Any, path: Path, found: Found) -> None:
        for below, description in rule.problems(value):
            found.append(Violation(told((path, below) if below else path), description))

    return step


def _names(descriptor: Descriptor) -> Iterator[str]:
    """Fields, and oneofs other than those that stand for `optional`."""
    yield from (field.name for field in descriptor.fields)
    for oneof in descriptor.oneofs:
        if not oneof.name.startswith("_"):
            yield oneof.name


def _below(descriptor: Descriptor, table: Table) -> Iterator[Descriptor]:
    """Message types that the fields hold, except behind `anything()`."""
    for field in descriptor.fields:
        rule = table.get(field.name)
        if field.message_type is None or (isinstance(rule, Rule) and rule.kind == "anything"):
            continue
        if field.message_type.GetOptions().map_entry:
            held = field.message_type.fields_by_name["value"].message_type
            if held is not None:
                yield held
        else:
            yield field.message_type


__all__ = [
    "Check",
    "MisfitRule",
    "Rules",
    "Validator",
    "anything",
    "blob",
    "duration",
    "enum",
    "mapping",
    "message",
    "number",
    "one_of",
    "repeated",
    "text",
    "timestamp",
    "whole",
]
