"""Every field of every request has a rule, and what is stored reads back as it was."""

from __future__ import annotations

import pytest

from tenure.dispatch.v1 import log_ingest_service_pb2, worker_session_service_pb2
from tenure.v1 import (
    cluster_service_pb2,
    task_service_pb2,
    task_type_service_pb2,
    worker_admin_service_pb2,
)
from tenure.v1.task_spec_pb2 import (
    CallBody,
    Constraint,
    ConstraintOperator,
    OnDisconnect,
    Preference,
    ProcessBody,
    Resources,
    RetryPolicy,
    TaskSpec,
)
from tenure_core.resources import Capacity, Grant
from tenure_core.states import AttemptOutcome, LogState, LossEvidence, TaskState, WorkerVerdict
from tenure_scheduler.adapters.records import decode_task, decode_worker, encode_task, encode_worker
from tenure_scheduler.adapters.rules import validator
from tenure_scheduler.adapters.specs import SpecReader, differing_paths
from tenure_scheduler.domain.load import COMMITTED_ATTEMPT, COMMITTED_TASK, COMMITTED_WORKER
from tenure_scheduler.domain.model import Attempt, LogFinals, Task, Worker
from tenure_scheduler.domain.notes import EventKind, LateEnd, Note, Ruling
from tenure_scheduler.domain.profiles import Interner

SERVED = [
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"],
    worker_session_service_pb2.DESCRIPTOR.services_by_name["WorkerSessionService"],
    log_ingest_service_pb2.DESCRIPTOR.services_by_name["LogStateService"],
]
SERVED_METHODS = {
    worker_admin_service_pb2: ["ListWorkers", "GetWorker", "CordonWorkers", "UncordonWorkers"],
    task_type_service_pb2: ["ListTaskTypes", "GetTaskType"],
    cluster_service_pb2: ["GetServerInfo"],
}

FULL_SPEC = TaskSpec(
    name="everything",
    namespace="team",
    labels={"a": "1", "b": "2"},
    queue="fast",
    priority=7,
    process=ProcessBody(argv=["prog", "x"], env={"K": "V"}, stdin=b"in"),
    resources=Resources(cpu_milli=500, memory_bytes=1 << 20, counts={"lic": 2}, indexed={"gpu": 1}),
    constraints=[
        Constraint(key="zone", operator=ConstraintOperator.CONSTRAINT_OPERATOR_IN, values=["a", "b"])
    ],
    preferences=[
        Preference(
            constraint=Constraint(key="ssd", operator=ConstraintOperator.CONSTRAINT_OPERATOR_EXISTS), weight=5
        )
    ],
    retry=RetryPolicy(max_failures=3, max_losses=0, retry_exit_codes=[75]),
    on_disconnect=OnDisconnect.ON_DISCONNECT_STOP,
)


def test_every_field_has_a_rule() -> None:
    requests = [method.input_type for service in SERVED for method in service.methods]
    for module, names in SERVED_METHODS.items():
        for service in module.DESCRIPTOR.services_by_name.values():
            requests += [service.methods_by_name[name].input_type for name in names]
    # Reports are read by the codec, which refuses what it cannot read: one pass over the hot path.
    reports = ("Report", "AttemptReport", "AttemptStarted", "LogFinals")
    missing = [
        name
        for name in validator().uncovered(requests)
        if not name.startswith(tuple(f"tenure.dispatch.v1.{report}." for report in reports))
    ]
    assert missing == []


def test_a_spec_is_read_as_it_was_meant() -> None:
    reading = SpecReader(Interner()).read(FULL_SPEC)
    profile, shape = reading.profile, reading.profile.shape
    assert (profile.namespace, profile.queue, profile.priority) == ("team", "fast", 7)
    assert (shape.kind, shape.demand.cpu_milli, shape.demand.memory) == ("process", 500, 1 << 20)
    assert (shape.demand.counts, shape.demand.indexed) == ((("lic", 2),), (("gpu", 1),))
    assert (profile.retry.max_failures, profile.retry.max_losses) == (3, 0)
    assert profile.retry.retry_exit_codes == {75}
    assert TaskSpec.FromString(reading.spec) == FULL_SPEC


def test_equal_specs_share_one_reading() -> None:
    reader = SpecReader(Interner())
    twin = TaskSpec.FromString(FULL_SPEC.SerializeToString())
    assert reader.read(FULL_SPEC) is reader.read(twin)


def test_a_name_is_derived_from_the_body() -> None:
    reader = SpecReader(Interner())
    assert reader.read(TaskSpec(process=ProcessBody(argv=["/usr/bin/env", "x"]))).name == "env"
    assert reader.read(TaskSpec(call=CallBody(type="noop"))).name == "noop"


@pytest.mark.parametrize("stdin", [b"small", bytes(5000)])
def test_a_task_reads_back_as_it_was(stdin: bytes) -> None:
    reader = SpecReader(Interner())
    spec = TaskSpec()
    spec.CopyFrom(FULL_SPEC)
    spec.process.stdin = stdin
    reading = reader.read(spec)
    task = Task("t" * 20, 9, reading.profile, reading.spec, 1000, reading.name, reading.labels, "req")
    task.retry_of, task.traceparent = "r" * 20, "00-ab-cd-01"
    lost = Attempt(1, "w1", 3, Grant(reading.profile.shape.demand, (("gpu", (1,)),)), 2000)
    lost.outcome, lost.evidence, lost.counted = AttemptOutcome.LOST, LossEvidence.LEASE_EXPIRED, True
    lost.ended_ns, lost.reason = 2500, "gone"
    lost.ruling = Ruling(7, "its key `live` was not there", "a drain", reported=True)
    lost.late = LateEnd(AttemptOutcome.FAILED, 3, None, "exit code 3", 2100, 2600, 2700, unseen=True)
    done = Attempt(2, "w2", 4, Grant(reading.profile.shape.demand, (("gpu", (0,)),)), 3000)
    done.started_ns, done.ended_ns, done.pid, done.relay = 3100, 3200, 77, "relay-1"
    done.ticks, done.boot_id = 123, "boot-1"
    done.outcome, done.exit_code, done.signal = AttemptOutcome.FAILED, 0, 9
    done.log = LogFinals(3, 10, 20, 30)
    task.attempt, task.attempts, task.dropped_attempts = 2, (lost, done), 1
    task.failures, task.losses, task.updated_ns = 1, 1, 3300
    task.state, task.outcome, task.reason = TaskState.FAILED, AttemptOutcome.FAILED, "signal 9"
    task.log_state, task.log_missing, task.cancel_reason = LogState.INCOMPLETE, 5, "asked"
    task.next_attempt_ns, task.avoid_until_ns, task.revision = 1, 2, 55
    task.notes = (Note(5, EventKind.HELD, 1, "held"), Note(6, EventKind.RELEASED, 0, ""))
    read = decode_task(task.id, encode_task(task), 55, reader, {task.id: reading.spec}.get)
    for name in COMMITTED_TASK:
        if name != "attempts":
            assert getattr(read, name) == getattr(task, name), name
    for mine, theirs in zip(task.attempts, read.attempts, strict=True):
        for name in COMMITTED_ATTEMPT:
            assert getattr(theirs, name) == getattr(mine, name), name


def test_a_worker_reads_back_as_it_was() -> None:
    worker = Worker("w1")
    worker.session, worker.connect, worker.verdict = 3, 9, WorkerVerdict.DRAINING
    worker.cordoned, worker.reason, worker.instance, worker.boot_id = True, "why", "i", "b"
    worker.capacity = Capacity(4000, 1 << 30, {"lic": 2}, {"gpu": (0, 1)})
    worker.labels, worker.task_types, worker.version = {"zone": "a"}, frozenset({"noop"}), "1"
    worker.reduced_guarantees, worker.updated_ns, worker.hold_until_ns = ("no cgroup",), 5, 6
    worker.drain_deadline_ns, worker.lease_id = 7, 8
    read = decode_worker("w1", encode_worker(worker))
    for name in COMMITTED_WORKER:
        assert getattr(read, name) == getattr(worker, name), name


def test_specs_that_mean_the_same_do_not_differ() -> None:
    one, other = TaskSpec(labels={"a": "1", "b": "2"}), TaskSpec(labels={"b": "2", "a": "1"})
    assert differing_paths(one.SerializeToString(), other.SerializeToString()) == []
    other.resources.cpu_milli = 5
    other.labels["a"] = "3"
    assert differing_paths(one.SerializeToString(), other.SerializeToString()) == ["labels", "resources"]
