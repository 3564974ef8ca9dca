"""How do the options of `run` and `submit` become a task?"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from tenure import specs
from tenure.errors import BadConfiguration
from tenure.specfile.convert import cpu_milli
from tenure.specfile.fields import ON_DISCONNECT
from tenure.v1 import task_spec_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeVar

    T = TypeVar("T")

SPEC_BYTES: Final = 64 * 1024
MOST_ARRAY: Final = 1_000_000
_EXPRESSION: Final = re.compile(r"(!?)([a-z0-9._/-]{1,63})(?:(!=|=|>|<)(.*))?", re.DOTALL)


def spec_from_options(
    argv: Sequence[str],
    *,
    cpu: str | None = None,
    memory: str | None = None,
    resource: Sequence[str] | None = None,
    indexed: Sequence[str] | None = None,
    label: Sequence[str] | None = None,
    constraint: Sequence[str] | None = None,
    priority: int = 0,
    queue: str = "",
    namespace: str = "",
    name: str = "",
    env: Sequence[str] | None = None,
    retries: int = 0,
    timeout: str | None = None,
    on_disconnect: str | None = None,
    cwd: str = "",
    stdin: bytes = b"",
) -> pb.TaskSpec:
    """The task that the options describe.

    Raises:
        BadConfiguration: names the option that cannot be understood.
    """
    spec = specs.process(argv, cwd=cwd, stdin=stdin, retries=retries)
    spec.name, spec.priority, spec.queue, spec.namespace = name, priority, queue, namespace
    spec.process.env.update(_environment(env or ()))
    spec.labels.update(pairs("--label", label))
    if cpu is not None:
        spec.resources.cpu_milli = _parsed("--cpu", cpu, cpu_milli)
    if memory is not None:
        spec.resources.memory_bytes = _parsed("--memory", memory, specs.parse_size)
    for key, count in pairs("--resource", resource):
        spec.resources.counts[key] = _count("--resource", count)
    for key, count in pairs("--indexed", indexed):
        spec.resources.indexed[key] = _count("--indexed", count)
    if timeout is not None:
        spec.timeouts.run.CopyFrom(_parsed("--timeout", timeout, specs.duration))
    if on_disconnect is not None:
        if on_disconnect not in ON_DISCONNECT:
            raise BadConfiguration(f"--on-disconnect: {on_disconnect!r} is neither continue nor stop")
        spec.on_disconnect = ON_DISCONNECT[on_disconnect]
    spec.constraints.extend(parse_constraint(text) for text in constraint or ())
    return spec


def parse_constraint(text: str) -> pb.Constraint:
    """The condition that `zone=a,b`, `zone!=a`, `ssd`, `!ssd`, `ram>64` or `ram<64` says."""
    found = _EXPRESSION.fullmatch(text.strip())
    if found is None or (found[1] and found[3]):
        raise BadConfiguration(f"--constraint: {text!r} is none of key=a,b  key!=a  key  !key  key>1  key<1")
    negated, key, sign, value = found.groups()
    if sign is None:
        operator = pb.CONSTRAINT_OPERATOR_NOT_EXISTS if negated else pb.CONSTRAINT_OPERATOR_EXISTS
        return pb.Constraint(key=key, operator=operator)
    operators = {
        "=": pb.CONSTRAINT_OPERATOR_IN,
        "!=": pb.CONSTRAINT_OPERATOR_NOT_IN,
        ">": pb.CONSTRAINT_OPERATOR_GREATER_THAN,
        "<": pb.CONSTRAINT_OPERATOR_LESS_THAN,
    }
    values = value.split(",") if sign in ("=", "!=") else [value]
    return pb.Constraint(key=key, operator=operators[sign], values=values)


def parse_array(text: str) -> list[int]:
    """The indexes that `1-1000`, `0-10:2` or `1,3,5-7` says."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+)(?::(\d+))?)?\s*", part)
        first, last, step = (int(n) if n else None for n in match.groups()) if match else (None, None, None)
        if first is None or step == 0 or (last is not None and last < first):
            raise BadConfiguration(f"--array: {text!r} is not like 1-1000, 0-10:2 or 1,3,5-7")
        if (last or first) - first > MOST_ARRAY * (step or 1):
            raise BadConfiguration(f"--array: {text!r} has more than {MOST_ARRAY:,} indexes")
        found.extend(range(first, (first if last is None else last) + 1, step or 1))
    return found


def with_variable(
    spec: pb.TaskSpec, variable: str, values: Iterable[tuple[str, str]]
) -> Iterator[pb.TaskSpec]:
    """One copy of the task per value, with the value in its environment; (text for the name, value)."""
    if not spec.HasField("process"):
        raise BadConfiguration("--array and --each-line need tasks that run a process")
    for shown, value in values:
        copy = pb.TaskSpec()
        copy.CopyFrom(spec)
        copy.process.env[variable] = value
        if copy.name:
            copy.name = f"{copy.name}[{shown}]"
        yield copy


def check_size(spec: pb.TaskSpec) -> None:
    """Refuse a task that no server takes, while it can still be said which part is too large."""
    size = spec.ByteSize()
    if size > SPEC_BYTES:
        stdin = len(spec.process.stdin)
        what = "standard input" if stdin > size // 2 else "command and environment"
        raise BadConfiguration(
            f"the task is too large: its {what} must fit into {SPEC_BYTES >> 10} KiB; "
            "put the data into a file that the worker can read"
        )


def _environment(entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, sign, value = entry.partition("=")
        if not sign and name not in os.environ:
            raise BadConfiguration(f"--env: {name} has no value, and your environment has no {name}")
        yield name, value if sign else os.environ[name]


def pairs(option: str, entries: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """The two halves of each `key=value`."""
    for entry in entries or ():
        key, sign, value = entry.partition("=")
        if not sign or not key:
            raise BadConfiguration(f"{option}: {entry!r} is not like key=value")
        yield key, value


def _count(option: str, text: str) -> int:
    if not text.isdigit() or int(text) >= 2**32:
        raise BadConfiguration(f"{option}: {text!r} is not a whole number")
    return int(text)


def _parsed(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise BadConfiguration(f"{option}: {error}") from None
