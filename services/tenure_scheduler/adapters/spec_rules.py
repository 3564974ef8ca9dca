"""When is a TaskSpec valid?

The tables say it field by field; what no field shows alone (which bodies exist, whether an echo script
parses) is said by the functions below them. Everything that is wrong is said at once, each with its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from tenure.v1 import task_spec_pb2 as spec_pb
from tenure_core.echo import EchoSyntaxError, parse
from tenure_core.errors import Violation
from tenure_runtime.rpc.rules import Found, Path, Resolve, Rule, Test, told
from tenure_runtime.rpc.validation import (
    Rules,
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
    whole,
)

SPEC_BYTES: Final = 64 * 1024
BUILT_IN_TYPES: Final = {"noop": "1", "echo": "1"}
"""Task types that come with Tenure, and their version."""

_IDENTIFIER: Final = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"
_IDENTIFIER_SAYS: Final = "use 1 to 63 of a-z, 0-9, '.', '_', '-', with a letter or digit at both ends"
_LABEL: Final = r"[a-z0-9._/-]{1,63}"
_LABEL_SAYS: Final = "use 1 to 63 of a-z, 0-9, '.', '_', '/', '-'"
_NO_NUL: Final = r"[^\0]*(?:\n[^\0]*)*"
_NUL_SAYS: Final = "contains a NUL byte"
_REMEMBERED: Final = 4096
_YEAR_SECONDS: Final = 366 * 86_400.0


def identifier(*, required: bool = False) -> Rule:
    """A name that parts of keys and filters are made of."""
    return text(required=required, pattern=_IDENTIFIER, says=_IDENTIFIER_SAYS)


def label_key(*, required: bool = True) -> Rule:
    """The key of a label."""
    return text(required=required, pattern=_LABEL, says=_LABEL_SAYS)


def _not_yet(sentence: str) -> Rule:
    """A field that nobody serves yet: setting it is refused, whatever it holds."""

    def compiled(_field: FieldDescriptor, _resolve: Resolve) -> Test:
        def test(_value: Any, path: Path, found: Found) -> None:
            found.append(Violation(told(path), sentence))

        return test

    return Rule("anything", compiled)


def _process(body: Any) -> Iterator[tuple[str, str]]:
    if body.argv and not body.argv[0]:
        yield "argv[0]", "must not be empty: it names the program"
    if body.working_directory and not body.working_directory.startswith("/"):
        yield "working_directory", "is not an absolute path"


def _call(body: Any) -> Iterator[tuple[str, str]]:
    known = BUILT_IN_TYPES.get(body.type)
    if not body.type:
        return
    if known is None:
        yield "type", f"there is no task type {body.type[:60]!r}; known are {', '.join(BUILT_IN_TYPES)}"
        return
    if body.version not in ("", known):
        yield "version", f"{body.type} has no version {body.version[:60]!r}, only {known!r}"
    form = body.WhichOneof("input")
    if body.type == "echo":
        if form not in (None, "text"):
            yield form, "echo takes its script as text"
        else:
            yield from _echo(body.text)


def _echo(script: str) -> Iterator[tuple[str, str]]:
    try:
        parse(script)
    except EchoSyntaxError as error:
        for fault in error.faults:
            yield "text", str(fault)


def _constraint(constraint: Any) -> Iterator[tuple[str, str]]:
    operator, count = constraint.operator, len(constraint.values)
    o = spec_pb.ConstraintOperator
    if operator in (o.CONSTRAINT_OPERATOR_EXISTS, o.CONSTRAINT_OPERATOR_NOT_EXISTS):
        if count:
            yield "values", f"has {count} items, this operator takes none"
    elif operator in (o.CONSTRAINT_OPERATOR_GREATER_THAN, o.CONSTRAINT_OPERATOR_LESS_THAN):
        if count != 1:
            yield "values", f"has {count} items, this operator takes exactly one"
        elif not _is_number(constraint.values[0]):
            yield "values[0]", f"{constraint.values[0][:60]!r} is not a number"
    elif operator and not count:
        yield "values", "is required: this operator takes at least one"


def _is_number(value: str) -> bool:
    try:
        return float(value) == float(value)
    except ValueError:
        return False


def _preference(preference: Any) -> Iterator[tuple[str, str]]:
    if preference.weight == 0:
        yield "weight", "must not be 0: such a wish has no effect"


def _retry(policy: Any) -> Iterator[tuple[str, str]]:
    if not (policy.HasField("initial_backoff") and policy.HasField("max_backoff")):
        return
    first, longest = policy.initial_backoff, policy.max_backoff
    if (first.seconds, first.nanos) > (longest.seconds, longest.nanos):
        yield "max_backoff", "is shorter than initial_backoff"


SPEC_RULES: Final[Rules] = {
    spec_pb.TaskSpec: {
        "name": text(max=800, pattern=r"[^\x00-\x1f\x7f]{1,200}", says="use 1 to 200 printable characters"),
        "namespace": identifier(),
        "labels": mapping(label_key(), text(max=255), max=64),
        "queue": identifier(),
        "priority": number(min=-1000, max=1000),
        "body": one_of(),
        "process": message(),
        "container": _not_yet("containers cannot be run yet: use process"),
        "call": message(),
        "manual": _not_yet("manual tasks cannot be claimed yet: use process or call"),
        "resources": message(),
        "constraints": repeated(max=32),
        "preferences": repeated(max=32),
        "not_before": timestamp(),
        "retry": message(),
        "timeouts": message(),
        "logs": message(),
        "artifacts": _not_yet("artifacts cannot be kept yet: leave this out"),
        "caches": _not_yet("caches do not exist yet: leave this out"),
        "on_disconnect": enum(required=False),
    },
    spec_pb.ProcessBody: {
        "argv": repeated(text(pattern=_NO_NUL, says=_NUL_SAYS), min=1, max=10_000),
        "env": mapping(
            text(required=True, pattern=r"[^=\0]+", says="must not contain '=' or a NUL byte"),
            text(pattern=_NO_NUL, says=_NUL_SAYS),
            max=1000,
        ),
        "working_directory": text(max=4096, pattern=_NO_NUL, says=_NUL_SAYS),
        "stdin": blob(),
        "": whole(_process),
    },
    spec_pb.CallBody: {
        "type": text(required=True, max=200),
        "version": text(max=60),
        "input": one_of(required=False),
        "text": anything(),
        "data": anything(),
        "json": anything(),
        "": whole(_call),
    },
    spec_pb.Resources: {
        "cpu_milli": number(min=0, max=10_000_000),
        "memory_bytes": number(min=0, max=1 << 50),
        "counts": mapping(label_key(), number(min=1, max=1 << 53), max=32),
        "indexed": mapping(label_key(), number(min=1, max=4096), max=32),
    },
    spec_pb.Constraint: {
        "key": label_key(),
        "operator": enum(),
        "values": repeated(text(max=255), max=64, unique=True),
        "": whole(_constraint),
    },
    spec_pb.Preference: {
        "constraint": message(required=True),
        "weight": number(min=-100, max=100),
        "": whole(_preference),
    },
    spec_pb.RetryPolicy: {
        "max_failures": number(min=0, max=1000),
        "max_losses": number(min=0, max=1000),
        "initial_backoff": duration(max=_YEAR_SECONDS),
        "backoff_factor": number(min=1, max=10),
        "max_backoff": duration(max=_YEAR_SECONDS),
        "jitter": number(min=0, max=1),
        "retry_exit_codes": repeated(number(min=1, max=255), max=255, unique=True),
        "": whole(_retry),
    },
    spec_pb.Timeouts: {
        "run": duration(min=0.1, max=_YEAR_SECONDS),
        "queue": duration(min=0.1, max=_YEAR_SECONDS),
        "stop_grace": duration(max=3600.0),
    },
    spec_pb.LogPolicy: {
        "max_unacked_bytes": number(min=64 * 1024, max=1 << 40),
        "overflow": enum(required=False),
    },
}


def task_spec() -> Rule:
    """The rule for a field of type TaskSpec: its table, its size, and a memory of specs found valid.

    Batches repeat specs: the bytes of those that passed are remembered, a repeated one costs a look-up.
    """
    valid: set[bytes] = set()

    def compiled(field: FieldDescriptor, resolve: Resolve) -> Test:
        inner = resolve(field.message_type)
        assert inner is not None

        def test(value: Any, path: Path, found: Found) -> None:
            data = value.SerializeToString(deterministic=True)
            if data in valid:
                return
            before = len(found)
            if len(data) > SPEC_BYTES:
                sentence = f"has {len(data)} bytes, at most {SPEC_BYTES} are allowed"
                found.append(Violation(told(path), sentence))
            inner(value, path, found)
            if len(found) == before and len(data) <= 1024:
                if len(valid) >= _REMEMBERED:
                    valid.clear()
                valid.add(data)

        return test

    return Rule("task_spec", compiled, required=True)
