"""What goes into the next commit?

The core says which records are dirty, oldest change first; here their present values are encoded. Every
prefix of that order is a valid state, so a large submission or a large loss may be split anywhere between
two records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tenure_runtime.etcd.batch import Batch, WorkerLease
from tenure_runtime.etcd.keys import Keys
from tenure_scheduler.adapters.records import (
    encode_live,
    encode_own,
    encode_task,
    encode_worker,
    spec_apart,
)
from tenure_scheduler.domain.commands import RegisterWorker
from tenure_scheduler.domain.core import Core, Dirty, Own
from tenure_scheduler.domain.model import Task, Worker
from tenure_state.v1.task_pb2 import WatchFloor

MAX_OPS: Final = 1_000
MAX_BYTES: Final = 1_000_000
"""Of records with their keys; etcd takes requests of 1.5 MiB."""
AROUND: Final = 300
"""Bytes that a record needs in a request beside its value, at most: its key, the key `own` and its value."""
_MANY_WORKERS: Final = 90
_MAX_OPS_OF_MANY: Final = 180
"""Each assignment may name another worker's session, and a transaction takes about 100 compares."""


class Sealed:
    """One batch, and what has to happen once it is committed."""

    __slots__ = ("batch", "dirty", "index", "live_deleted", "mark", "registration")

    def __init__(
        self, index: int, mark: int, dirty: Dirty, registration: RegisterWorker | None = None
    ) -> None:
        self.index = index
        self.batch = Batch()
        self.mark = mark
        """How many changes are covered once this is committed."""
        self.dirty = dirty
        self.live_deleted: list[tuple[str, int]] = []
        self.registration = registration


class Sealer:
    """Makes batches from the dirty records of one leadership's memory."""

    def __init__(self, core: Core, keys: Keys) -> None:
        self._core = core
        self._keys = keys
        self._floor_key = keys.prefix + b"meta/watch_floor"
        self._values: dict[Task | Worker, bytes] = {}
        """Encoded records for the present batch."""

    def registration(self, index: int, command: RegisterWorker) -> Sealed:
        """The batch that begins a worker's session; it holds nothing else."""
        sealed = Sealed(index, 0, Dirty(), command)
        worker = command.worker
        live_key = self._keys.worker_live(worker.name)
        session = WorkerLease(worker.name, command.lease_id, live_key, 0)
        sealed.batch.put(self._keys.worker_reg(worker.name), encode_worker(worker))
        sealed.batch.put_leased(session, live_key, encode_live(worker))
        return sealed

    def dirty(self, index: int, live_deletes: Sequence[tuple[str, int]]) -> Sealed:
        """The batch with as many dirty records as fit, and these `live` keys deleted."""
        room = _MAX_OPS_OF_MANY if len(self._core.workers()) > _MANY_WORKERS else MAX_OPS
        self._values.clear()
        dirty = self._core.take_dirty(room - len(live_deletes) - 1, MAX_BYTES, self._size_of)
        sealed = Sealed(index, dirty.through, dirty)
        batch, keys = sealed.batch, self._keys
        for worker, revision in live_deletes:
            batch.delete(keys.worker_live(worker))
            sealed.live_deleted.append((worker, revision))
        self._add_tasks(batch, dirty.tasks)
        for own in dirty.owns:
            self._add_own(batch, own)
        for task_id in dirty.disowned:
            batch.delete(keys.owns + task_id.encode())
        for entry in dirty.workers:
            batch.put(keys.worker_reg(entry.name), self._values[entry])
        for name in dirty.removed_workers:
            batch.delete(keys.worker_reg(name))
        if dirty.alarm:
            batch.put(keys.rolled_back, dirty.alarm.encode())
        self._remove(batch, dirty)
        return sealed

    def _size_of(self, record: Task | Worker) -> int:
        value = self._values[record] = (
            encode_task(record) if isinstance(record, Task) else encode_worker(record)
        )
        apart = len(record.spec) if isinstance(record, Task) and self._brings_spec(record) else 0
        return len(value) + apart + AROUND

    @staticmethod
    def _brings_spec(task: Task) -> bool:
        """Whether the record is the first of a task whose spec has a key of its own."""
        return not task.revision and spec_apart(task)

    def _add_tasks(self, batch: Batch, tasks: list[Task]) -> None:
        prefix, specs = self._keys.tasks, self._keys.specs
        for task in tasks:
            task_id = task.id.encode()
            if self._brings_spec(task):
                batch.put(specs + task_id, task.spec)
            batch.put(prefix + task_id, self._values[task])

    def _add_own(self, batch: Batch, own: Own) -> None:
        worker = own.worker
        live_key = self._keys.worker_live(worker.name)
        lease = WorkerLease(worker.name, worker.lease_id, live_key, worker.live_revision)
        batch.put_leased(lease, self._keys.owns + own.task.id.encode(), encode_own(own.attempt))

    def _remove(self, batch: Batch, dirty: Dirty) -> None:
        for task in dirty.removed:
            batch.delete(self._keys.task(task.id))
            if spec_apart(task):
                batch.delete(self._keys.spec(task.id))
        if dirty.floor is not None:
            floor, next_sequence = dirty.floor
            value = WatchFloor(revision=floor, next_sequence=next_sequence)
            batch.put(self._floor_key, value.SerializeToString())
