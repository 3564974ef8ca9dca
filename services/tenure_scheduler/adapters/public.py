"""How do tasks, attempts and workers look to their readers?

From the domain's objects to messages of `tenure.v1`, field by field; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tenure.v1 import task_pb2 as pb
from tenure.v1 import worker_admin_service_pb2 as workers_pb
from tenure.v1.task_spec_pb2 import TaskSpec
from tenure_core.states import TERMINAL, AttemptStage
from tenure_core.timing import SECOND_NS, UtcNs
from tenure_scheduler.domain.model import NO_STREAM, Attempt, Task, Worker

RelayAddress = Callable[[str], str]
"""Address of a log relay by its id; empty when it does not live."""

_READY: Final = workers_pb.WorkerPhase.WORKER_PHASE_READY
FULL: Final = pb.TaskView.TASK_VIEW_FULL


def timestamp(ns: UtcNs) -> Timestamp:
    """Nanoseconds since 1970 as a Timestamp."""
    return Timestamp(seconds=ns // SECOND_NS, nanos=ns % SECOND_NS)


class TaskWriter:
    """Writes tasks of one incarnation for readers."""

    def __init__(self, n: int, relay_address: RelayAddress) -> None:
        self._n = n
        self._relay_address = relay_address

    def task(self, task: Task, *, full: bool = False) -> pb.Task:
        """The task as it stands now, with its spec if `full`."""
        message = pb.Task(
            id=task.id,
            name=task.name,
            namespace=task.profile.namespace,
            queue=task.profile.queue,
            state=task.state,  # type: ignore[arg-type]
            reason=task.reason,
            sequence=task.sequence,
            created_at=timestamp(task.created_ns),
            updated_at=timestamp(task.updated_ns),
            log_state=task.log_state,  # type: ignore[arg-type]
            failures=task.failures,
            losses=task.losses,
        )
        if task.retry_of:
            message.retry_of = task.retry_of
        if task.request_id:
            message.request_id = task.request_id
        if task.next_attempt_ns:
            message.next_attempt_at.CopyFrom(timestamp(task.next_attempt_ns))
        if task.attempts:
            self._newest(message, task)
        if task.state in TERMINAL:
            _end(message, task)
        if full:
            message.spec.CopyFrom(TaskSpec.FromString(task.spec))
        return message

    def _newest(self, message: pb.Task, task: Task) -> None:
        newest = task.attempts[-1]
        message.attempt.CopyFrom(self.attempt(task, newest))
        if newest.relay:
            message.log_relay_address = self._relay_address(newest.relay)

    def attempt(self, task: Task, attempt: Attempt) -> pb.Attempt:
        """One attempt of the task."""
        message = pb.Attempt(
            number=attempt.number,
            fence=self.fence(task, attempt),
            worker=attempt.worker,
            session=attempt.session,
            reason=attempt.reason,
            counted=attempt.counted,
            assigned_at=timestamp(attempt.assigned_ns),
            pid=attempt.pid,
        )
        if attempt.pid:
            message.boot_id, message.start_ticks = attempt.boot_id, attempt.ticks
        if attempt.started_ns:
            message.started_at.CopyFrom(timestamp(attempt.started_ns))
        if attempt.stage is AttemptStage.STARTED:
            message.phase = pb.AttemptPhase.ATTEMPT_PHASE_RUNNING
        for name, indexes in attempt.grant.indexes:
            message.granted[name].indexes.extend(indexes)
        if attempt.outcome is not None:
            _attempt_end(message, attempt)
        return message

    def fence(self, task: Task, attempt: Attempt) -> str:
        """The text of the fence of one of the task's attempts."""
        return f"{attempt.n or self._n}.{task.id}.{attempt.number}"


def _attempt_end(message: pb.Attempt, attempt: Attempt) -> None:
    message.outcome = attempt.outcome  # type: ignore[assignment]
    if attempt.exit_code is not None:
        message.exit_code = attempt.exit_code
    if attempt.signal is not None:
        message.signal = attempt.signal
    if attempt.evidence is not None:
        message.evidence = attempt.evidence  # type: ignore[assignment]
    if attempt.ended_ns:
        message.ended_at.CopyFrom(timestamp(attempt.ended_ns))
    if attempt.log is not None:
        message.stdout_bytes, message.stderr_bytes = attempt.log.stdout, attempt.log.stderr


def _end(message: pb.Task, task: Task) -> None:
    message.finished_at.CopyFrom(timestamp(task.finished_ns or task.updated_ns))
    if task.outcome is None:
        return
    message.outcome = task.outcome  # type: ignore[assignment]
    newest = task.attempts[-1] if task.attempts else None
    if newest is not None and newest.exit_code is not None:
        message.exit_code = newest.exit_code
    if newest is not None and newest.signal is not None:
        message.signal = newest.signal


def worker_message(worker: Worker) -> workers_pb.Worker:
    """One worker as operators see it."""
    capacity, pool = worker.capacity, worker.pool
    connected = worker.stream != NO_STREAM
    return workers_pb.Worker(
        name=worker.name,
        verdict=worker.verdict,  # type: ignore[arg-type]
        cordoned=worker.cordoned,
        phase=(worker.phase or _READY) if connected else 0,  # type: ignore[arg-type]
        connected=connected,
        session=worker.session,
        instance=worker.instance,
        boot_id=worker.boot_id,
        labels=dict(worker.labels),
        capacity=workers_pb.Capacity(
            cpu_milli=capacity.cpu_milli,
            memory_bytes=capacity.memory,
            counts=dict(capacity.counts),
            indexed={name: len(indexes) for name, indexes in capacity.indexed.items()},
        ),
        granted=workers_pb.Capacity(
            cpu_milli=capacity.cpu_milli - pool.cpu_milli,
            memory_bytes=capacity.memory - pool.memory,
            counts={name: total - pool.counts.get(name, 0) for name, total in capacity.counts.items()},
            indexed={
                name: len(indexes) - len(pool.indexed.get(name, ()))
                for name, indexes in capacity.indexed.items()
            },
        ),
        attempts=len(worker.attempts),
        version=worker.version,
        updated_at=timestamp(worker.updated_ns),
        task_types=sorted(worker.task_types),
        reduced_guarantees=worker.reduced_guarantees,
        drain_deadline=timestamp(worker.drain_deadline_ns) if worker.drain_deadline_ns else None,
        reason=worker.reason,
        held_until=timestamp(worker.hold_until_ns) if worker.hold_until_ns else None,
    )
