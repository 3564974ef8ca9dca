"""How do tasks and workers lie in etcd?

A task's record is two serialized parts one after the other, which protobuf reads as one message: the birth,
encoded once, and what changes. The hot path is `encode_task`: it runs at the submission, the assignment and
the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from tenure_core.errors import DataLoss
from tenure_core.resources import Capacity, Demand, Grant, Pool
from tenure_core.states import (
    PLACED,
    TERMINAL,
    AttemptOutcome,
    LogState,
    LossEvidence,
    TaskState,
    WorkerVerdict,
)
from tenure_scheduler.adapters.specs import SpecReader
from tenure_scheduler.domain.model import Attempt, Damaged, LogFinals, Task, Worker
from tenure_scheduler.domain.notes import EventKind, LateEnd, Note, Ruling
from tenure_state.v1.task_pb2 import AttemptRecord, TaskBirth, TaskNote, TaskRecord
from tenure_state.v1.task_pb2 import LateEnd as LateEndRecord
from tenure_state.v1.task_pb2 import Ruling as RulingRecord
from tenure_state.v1.worker_pb2 import Ownership, WorkerLive, WorkerRegistration

Apart = Callable[[str], bytes | None]
"""Finds the value of `specs/<task>`."""

INLINE_SPEC_BYTES: Final = 1024
_DIGEST_BYTES: Final = 16
_EVENT_KINDS: Final = frozenset(map(int, EventKind))


def spec_apart(task: Task) -> bool:
    """Whether the spec has a key of its own because it is large."""
    return len(task.spec) > INLINE_SPEC_BYTES


def encode_task(task: Task) -> bytes:
    """The present record of a task."""
    birth = task.birth
    if birth is None:
        birth = task.birth = _encode_birth(task)
    record = TaskRecord(state=task.state, updated_at_ns=task.updated_ns, log_state=task.log_state)
    if task.attempt:
        record.attempt = task.attempt
        record.attempts.extend([_encode_attempt(attempt) for attempt in task.attempts])
    if task.reason:
        record.reason = task.reason
    if task.outcome is not None:
        record.outcome = task.outcome
    if task.failures or task.losses or task.dropped_attempts:
        record.failures, record.losses = task.failures, task.losses
        record.dropped_attempts = task.dropped_attempts
    if task.next_attempt_ns:
        record.next_attempt_at_ns = task.next_attempt_ns
    if task.avoid_until_ns:
        record.avoid_until_ns = task.avoid_until_ns
    if task.cancel_reason or task.state is TaskState.CANCELLING:
        record.cancel_reason = task.cancel_reason
        record.cancelling = task.state is TaskState.CANCELLING
    if task.log_missing:
        record.log_missing_bytes = task.log_missing
    for at_ns, kind, attempt, text in task.notes:
        record.notes.add(at_ns=at_ns, kind=kind, attempt=attempt, text=text)
    if task.state in TERMINAL:
        task.birth = None
    return birth + record.SerializeToString()


def _encode_birth(task: Task) -> bytes:
    apart = spec_apart(task)
    birth = TaskBirth(
        sequence=task.sequence,
        created_at_ns=task.created_ns,
        request_id=task.request_id,
        spec=b"" if apart else task.spec,
        spec_digest=hashlib.sha256(task.spec).digest()[:_DIGEST_BYTES] if apart else b"",
        retry_of=task.retry_of,
        traceparent=task.traceparent,
        spec_apart=apart,
    )
    return TaskRecord(birth=birth).SerializeToString()


def _encode_attempt(attempt: Attempt) -> AttemptRecord:
    record = AttemptRecord(
        number=attempt.number,
        worker=attempt.worker,
        session=attempt.session,
        assigned_at_ns=attempt.assigned_ns,
        started_at_ns=attempt.started_ns,
        relay=attempt.relay,
    )
    if attempt.grant.indexes:
        for name, indexes in attempt.grant.indexes:
            record.granted[name].indexes.extend(indexes)
    if attempt.pid:
        record.pid = attempt.pid
        record.start_ticks = attempt.ticks
        record.boot_id = attempt.boot_id
    if attempt.n:
        record.incarnation = attempt.n
    if attempt.outcome is not None:
        _encode_end(record, attempt)
    return record


def _encode_end(record: AttemptRecord, attempt: Attempt) -> None:
    record.outcome = attempt.outcome or 0
    record.ended_at_ns = attempt.ended_ns
    if attempt.exit_code is not None:
        record.exit_code = attempt.exit_code
    if attempt.signal is not None:
        record.signal = attempt.signal
    if attempt.reason:
        record.reason = attempt.reason
    if attempt.evidence is not None:
        record.evidence = attempt.evidence
    if attempt.counted:
        record.counted = True
    if attempt.log is not None:
        log = attempt.log
        record.log_frames, record.log_stdout = log.frames, log.stdout
        record.log_stderr, record.log_records = log.stderr, log.records
    if attempt.ruling is not None:
        _encode_ruling(record.ruling, attempt.ruling)
    if attempt.late is not None:
        _encode_late(record.late, attempt.late)


def _encode_ruling(record: RulingRecord, ruling: Ruling) -> None:
    record.epoch, record.saw, record.excuse, record.reported = ruling


def _encode_late(record: LateEndRecord, late: LateEnd) -> None:
    record.outcome, record.reason = late.outcome, late.reason
    if late.exit_code is not None:
        record.exit_code = late.exit_code
    if late.signal is not None:
        record.signal = late.signal
    record.started_at_ns, record.ended_at_ns = late.started_ns, late.ended_ns
    record.reported_at_ns = late.reported_ns
    record.unseen = late.unseen


def decode_task(
    task_id: str, value: bytes, revision: int, specs: SpecReader, apart: Apart = lambda task_id: None
) -> Task:
    """The task that a record holds; `apart` finds the spec's own key if the record says that there is one.

    Raises DataLoss for a record that cannot be read or contradicts itself, or whose spec is missing or is not
    the one that was stored.
    """
    try:
        task = _decode_task(task_id, value, specs, apart)
    except DecodeError:
        raise DataLoss("its bytes are not those of a task") from None
    except ValueError as error:
        raise DataLoss(f"it has a value that no version of Tenure wrote: {error}") from None
    if fault := _contradiction(task):
        raise DataLoss(fault)
    task.revision = revision
    return task


def _decode_task(task_id: str, value: bytes, specs: SpecReader, apart: Apart) -> Task:
    record = TaskRecord.FromString(value)
    birth = record.birth
    reading = specs.read_bytes(_spec_bytes(task_id, birth, apart))
    task = Task(
        task_id,
        birth.sequence,
        reading.profile,
        reading.spec,
        birth.created_at_ns,
        name=reading.name,
        labels=reading.labels,
        request_id=birth.request_id,
        retry_of=birth.retry_of,
        traceparent=birth.traceparent,
    )
    _decode_rest(task, record)
    return task


def _contradiction(task: Task) -> str:
    """What no leader can have written; empty: nothing."""
    newest = task.current
    if not task.sequence:
        return "it does not say when it was submitted"
    if (newest.number if newest is not None else 0) != task.attempt:
        return "its attempts do not go up to the one that it calls the newest"
    if (task.state in PLACED) != (newest is not None and newest.outcome is None):
        return f"it is {task.state.name}, which does not go with its attempts"
    if (task.state in TERMINAL) != (task.outcome is not None):
        return f"it is {task.state.name}, which does not go with its outcome"
    return ""


def damaged(task_id: str, value: bytes, reason: str) -> Damaged:
    """What can still be said of a task whose record `decode_task` refused."""
    try:
        birth = TaskRecord.FromString(value).birth
    except DecodeError:
        birth = TaskBirth()
    return Damaged(task_id, reason, birth.request_id, birth.sequence)


def _spec_bytes(task_id: str, birth: TaskBirth, apart: Apart) -> bytes:
    if not birth.spec_apart:
        return birth.spec
    spec = apart(task_id)
    if spec is None:
        raise DataLoss("its spec is missing")
    if hashlib.sha256(spec).digest()[:_DIGEST_BYTES] != birth.spec_digest:
        raise DataLoss("its spec is not the one that was stored")
    return spec


def _decode_rest(task: Task, record: TaskRecord) -> None:
    task.state = TaskState(record.state)
    task.reason = record.reason
    task.attempt = record.attempt
    task.attempts = tuple(_decode_attempt(a, task.profile.shape.demand) for a in record.attempts)
    task.dropped_attempts = record.dropped_attempts
    task.failures = record.failures
    task.losses = record.losses
    task.updated_ns = record.updated_at_ns
    task.next_attempt_ns = record.next_attempt_at_ns
    task.cancel_reason = record.cancel_reason
    task.outcome = AttemptOutcome(record.outcome) if record.outcome else None
    task.avoid_until_ns = record.avoid_until_ns
    task.log_state = LogState(record.log_state or LogState.OPEN)
    task.log_missing = record.log_missing_bytes
    if record.notes:
        task.notes = tuple(_decode_note(note) for note in record.notes if note.kind in _EVENT_KINDS)


def _decode_note(note: TaskNote) -> Note:
    return Note(note.at_ns, EventKind(note.kind), note.attempt, note.text)


def _decode_attempt(record: AttemptRecord, demand: Demand) -> Attempt:
    indexes = tuple((name, tuple(record.granted[name].indexes)) for name in sorted(record.granted))
    attempt = Attempt(
        record.number, record.worker, record.session, Grant(demand, indexes), record.assigned_at_ns
    )
    attempt.started_ns = record.started_at_ns
    attempt.relay = record.relay
    attempt.pid = record.pid
    attempt.ticks, attempt.boot_id = record.start_ticks, record.boot_id
    attempt.n = record.incarnation
    if record.outcome:
        attempt.outcome = AttemptOutcome(record.outcome)
        attempt.ended_ns = record.ended_at_ns
        attempt.exit_code = record.exit_code if record.HasField("exit_code") else None
        attempt.signal = record.signal if record.HasField("signal") else None
        attempt.reason = record.reason
        attempt.evidence = LossEvidence(record.evidence) if record.evidence else None
        attempt.counted = record.counted
        finals = LogFinals(record.log_frames, record.log_stdout, record.log_stderr, record.log_records)
        attempt.log = finals if any(finals) else None
        if record.HasField("ruling"):
            ruling = record.ruling
            attempt.ruling = Ruling(ruling.epoch, ruling.saw, ruling.excuse, ruling.reported)
        if record.HasField("late"):
            attempt.late = _decode_late(record.late)
    return attempt


def _decode_late(record: LateEndRecord) -> LateEnd:
    return LateEnd(
        AttemptOutcome(record.outcome),
        record.exit_code if record.HasField("exit_code") else None,
        record.signal if record.HasField("signal") else None,
        record.reason,
        record.started_at_ns,
        record.ended_at_ns,
        record.reported_at_ns,
        record.unseen,
    )


def encode_own(attempt: Attempt) -> bytes:
    """The value of `own/<task>` for an attempt."""
    record = Ownership(attempt=attempt.number, worker=attempt.worker, session=attempt.session)
    return record.SerializeToString()


def decode_own(value: bytes) -> Ownership | None:
    """What an `own` key says; None if it is damaged: it is evidence for people, the task's record decides."""
    try:
        return Ownership.FromString(value)
    except DecodeError:
        return None


def encode_worker(worker: Worker) -> bytes:
    """The present registration of a worker."""
    capacity = worker.capacity
    return WorkerRegistration(
        session=worker.session,
        connect=worker.connect,
        verdict=worker.verdict,
        cordoned=worker.cordoned,
        instance=worker.instance,
        boot_id=worker.boot_id,
        cpu_milli=capacity.cpu_milli,
        memory_bytes=capacity.memory,
        counts=dict(capacity.counts),
        indexed={name: len(indexes) for name, indexes in capacity.indexed.items()},
        labels=dict(worker.labels),
        task_types=sorted(worker.task_types),
        version=worker.version,
        updated_at_ns=worker.updated_ns,
        hold_until_ns=worker.hold_until_ns,
        lease_id=worker.lease_id,
        reduced_guarantees=worker.reduced_guarantees,
        reason=worker.reason,
        drain_deadline_ns=worker.drain_deadline_ns,
    ).SerializeToString(deterministic=True)


def decode_worker(name: str, value: bytes) -> Worker:
    """The worker that a registration describes; whether it lives is another key's affair.

    Raises DecodeError or ValueError for one that cannot be read.
    """
    record = WorkerRegistration.FromString(value)
    worker = Worker(name)
    worker.session, worker.connect = record.session, record.connect
    worker.verdict = WorkerVerdict(record.verdict)
    worker.cordoned, worker.reason = record.cordoned, record.reason
    worker.instance, worker.boot_id = record.instance, record.boot_id
    worker.capacity = Capacity(
        record.cpu_milli,
        record.memory_bytes,
        dict(record.counts),
        {resource: tuple(range(count)) for resource, count in record.indexed.items()},
    )
    worker.pool = Pool(worker.capacity)
    worker.labels = dict(record.labels)
    worker.task_types = frozenset(record.task_types)
    worker.version = record.version
    worker.updated_ns, worker.hold_until_ns = record.updated_at_ns, record.hold_until_ns
    worker.drain_deadline_ns = record.drain_deadline_ns
    worker.lease_id = record.lease_id
    worker.reduced_guarantees = tuple(record.reduced_guarantees)
    return worker


def encode_live(worker: Worker) -> bytes:
    """The value of `live` for the worker's session."""
    return WorkerLive(session=worker.session, instance=worker.instance).SerializeToString()


class Live(NamedTuple):
    """A `live` key as it was read."""

    session: int
    instance: str
    create_revision: int


def decode_live(value: bytes, create_revision: int) -> Live:
    """What a `live` key says."""
    record = WorkerLive.FromString(value)
    return Live(record.session, record.instance, create_revision)
