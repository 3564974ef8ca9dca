"""What does the core have to know of a spec, and what stays opaque bytes?

A spec is serialized canonically once, at the submission; from then on it travels as bytes: into the record,
and to the agent in Start. What placement and retries look at is read off it once per different spec:
batches repeat specs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from tenure.v1.task_spec_pb2 import TaskSpec
from tenure_core.labels import Constraint, Operator, Preference
from tenure_core.resources import Demand
from tenure_core.retry import NO_RETRY, RetryPolicy
from tenure_core.states import OnDisconnect
from tenure_core.timing import SECOND_NS, UtcNs
from tenure_scheduler.domain.profiles import Interner, Profile, Shape

DEFAULT: Final = "default"
_REMEMBERED: Final = 4096
_REMEMBERED_BYTES: Final = 1024


class Reading(NamedTuple):
    """One spec as the core sees it."""

    spec: bytes
    """Canonical serialization; the same object for equal specs while they are remembered."""
    profile: Profile
    name: str
    labels: tuple[tuple[str, str], ...]
    not_before_ns: UtcNs


class SpecReader:
    """Reads specs, each different one once. Takes valid specs only; `adapters.spec_rules` says which are."""

    def __init__(self, interner: Interner) -> None:
        self._interner = interner
        self._readings: dict[bytes, Reading] = {}

    def read(self, spec: TaskSpec) -> Reading:
        """The reading of a decoded spec."""
        data = spec.SerializeToString(deterministic=True)
        return self._readings.get(data) or self._read(data, spec)

    def read_bytes(self, data: bytes) -> Reading:
        """The reading of a spec in its canonical serialization."""
        return self._readings.get(data) or self._read(data, TaskSpec.FromString(data))

    def _read(self, data: bytes, spec: TaskSpec) -> Reading:
        reading = Reading(
            data,
            self._profile(spec),
            spec.name or derived_name(spec),
            tuple(sorted(spec.labels.items())),
            _ns(spec.not_before) if spec.HasField("not_before") else 0,
        )
        if len(data) <= _REMEMBERED_BYTES:
            if len(self._readings) >= _REMEMBERED:
                self._readings.clear()
            self._readings[data] = reading
        return reading

    def _profile(self, spec: TaskSpec) -> Profile:
        return self._interner.profile(
            self._shape(spec),
            namespace=spec.namespace or DEFAULT,
            queue=spec.queue or DEFAULT,
            priority=spec.priority,
            retry=_retry(spec.retry) if spec.HasField("retry") else NO_RETRY,
            on_disconnect=OnDisconnect(spec.on_disconnect or OnDisconnect.CONTINUE),
            queue_timeout=seconds(spec.timeouts.queue),
            has_output=kind_of(spec) != "noop",
        )

    def _shape(self, spec: TaskSpec) -> Shape:
        kind, wanted = kind_of(spec), spec.resources
        default = 0 if kind == "noop" else 1000
        demand = Demand(
            wanted.cpu_milli if wanted.HasField("cpu_milli") else default,
            wanted.memory_bytes,
            tuple(sorted(wanted.counts.items())),
            tuple(sorted(wanted.indexed.items())),
        )
        return self._interner.shape(
            kind,
            demand,
            tuple(map(_constraint, spec.constraints)),
            tuple(Preference(_constraint(p.constraint), p.weight) for p in spec.preferences),
        )


def kind_of(spec: TaskSpec) -> str:
    """What a worker must be able to run: a body ("process") or a task type ("noop", "echo")."""
    body = spec.WhichOneof("body")
    return spec.call.type if body == "call" else body or ""


def derived_name(spec: TaskSpec) -> str:
    """The name of a task whose submitter gave none: its program or task type."""
    if spec.WhichOneof("body") != "process":
        return kind_of(spec)
    return spec.process.argv[0].rstrip("/").rpartition("/")[2][:200] or "process"


def differing_paths(one: bytes, other: bytes) -> list[str]:
    """The fields in which two serialized specs differ, as paths below the spec; empty: they mean the same."""
    return sorted(set(_differences(TaskSpec.FromString(one), TaskSpec.FromString(other), "")))


def _differences(one: Message, other: Message, path: str) -> Iterator[str]:
    mine = {field.name: (field, value) for field, value in one.ListFields()}
    theirs = {field.name: (field, value) for field, value in other.ListFields()}
    for name in mine.keys() | theirs.keys():
        here = f"{path}.{name}" if path else name
        if name not in mine or name not in theirs:
            yield here
            continue
        (field, left), (_, right) = mine[name], theirs[name]
        if left == right:
            continue
        if field.message_type is not None and not field.is_repeated:
            yield from _differences(left, right, here)
        else:
            yield here


def _constraint(message: Any) -> Constraint:
    return Constraint(message.key, Operator(message.operator), tuple(message.values))


def _retry(policy: Any) -> RetryPolicy:
    return RetryPolicy(
        max_failures=policy.max_failures,
        max_losses=policy.max_losses if policy.HasField("max_losses") else None,
        initial_backoff=seconds(policy.initial_backoff) if policy.HasField("initial_backoff") else 1.0,
        backoff_factor=policy.backoff_factor or 2.0,
        max_backoff=seconds(policy.max_backoff) if policy.HasField("max_backoff") else 300.0,
        jitter=policy.jitter if policy.HasField("jitter") else 0.2,
        retry_exit_codes=frozenset(policy.retry_exit_codes),
    )


def seconds(duration: Any) -> float:
    """A google.protobuf.Duration in seconds; an unset one is 0."""
    return float(duration.seconds + duration.nanos / SECOND_NS)


def _ns(timestamp: Any) -> UtcNs:
    return int(timestamp.seconds * SECOND_NS + timestamp.nanos)
