"""What goes into the next commit?

The dirty records, oldest change first, with their present values, until a limit is reached; what does not fit
waits for the commit after it. Every prefix of this order is a valid state, so a large submission or a large loss may
be split anywhere between two records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tenure_core.states import PLACED, TERMINAL
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
from tenure_scheduler.domain.model import Task, Worker
from tenure_scheduler.domain.world import RemovedTask, RemovedWorker, World
from tenure_state.v1.task_pb2 import WatchFloor

_OPS_PER_RECORD: Final = 3
_RECORD_SLACK: Final = 512
"""More than `own` and the keys of one task take."""


class Sealed:
    """One batch, and what has to happen once it is committed."""

    __slots__ = ("batch", "index", "live_deleted", "mark", "registration", "tasks")

    def __init__(self, index: int, mark: int, registration: RegisterWorker | None = None) -> None:
        self.index = index
        self.batch = Batch()
        self.mark = mark
        """How many changes are covered once this is committed."""
        self.tasks: list[Task] = []
        self.live_deleted: list[tuple[str, int]] = []
        self.registration = registration


class Sealer:
    """Makes batches from the dirty records of one leadership's memory."""

    def __init__(self, world: World, keys: Keys) -> None:
        self._world = world
        self._keys = keys
        self._floor_key = keys.prefix + b"meta/watch_floor"
        self._leases: dict[str, WorkerLease] = {}

    def registration(self, index: int, command: RegisterWorker, mark: int) -> Sealed:
        """The batch that begins a worker's session; it holds nothing else."""
        sealed = Sealed(index, mark, command)
        worker = command.worker
        live_key = self._keys.worker_live(worker.name)
        session = WorkerLease(worker.name, command.lease_id, live_key, 0)
        sealed.batch.put(self._keys.worker_reg(worker.name), encode_worker(worker))
        sealed.batch.put_leased(session, live_key, encode_live(worker))
        return sealed

    def dirty(self, index: int, live_deletes: Sequence[tuple[str, int]]) -> Sealed:
        """The batch with as many dirty records as fit, and these `live` keys deleted."""
        world = self._world
        sealed = Sealed(index, world.taken)
        batch = sealed.batch
        self._leases.clear()
        for worker, revision in live_deletes:
            batch.delete(self._keys.worker_live(worker))
            sealed.live_deleted.append((worker, revision))
        if world.floor_dirty:
            batch.put(self._floor_key, WatchFloor(revision=world.floor).SerializeToString())
            world.floor_dirty = False
        queue = world.dirty
        while queue and self._add(sealed, queue[0]):
            queue.popleft()
            world.taken += 1
        sealed.mark = world.taken
        return sealed

    def _add(self, sealed: Sealed, entry: Task | Worker | RemovedTask | RemovedWorker) -> bool:
        """Add one dirty record; False: it does not fit any more."""
        batch = sealed.batch
        if type(entry) is Task:
            value = encode_task(entry)
            size = len(value) + _RECORD_SLACK + (0 if entry.revision else len(entry.spec))
            if not batch.fits(_OPS_PER_RECORD, size, 1):
                return False
            entry.dirty = False
            self._add_task(sealed, entry, value)
        elif type(entry) is Worker:
            value = encode_worker(entry)
            key = self._keys.worker_reg(entry.name)
            if batch.touches(key) or not batch.fits(1, len(value) + _RECORD_SLACK):
                return False
            entry.dirty = False
            batch.put(key, value)
        elif type(entry) is RemovedTask:
            return self._remove_task(batch, entry.task)
        elif type(entry) is RemovedWorker:
            return self._remove(batch, self._keys.worker_reg(entry.name))
        return True

    def _add_task(self, sealed: Sealed, task: Task, value: bytes) -> None:
        batch, task_id = sealed.batch, task.id.encode()
        batch.put(self._keys.tasks + task_id, value)
        if not task.revision and spec_apart(task):
            batch.put(self._keys.specs + task_id, task.spec)
        if task.state in PLACED:
            self._own(batch, task, task_id)
        elif task.own:
            batch.delete(self._keys.owns + task_id)
            task.own = 0
        sealed.tasks.append(task)

    def _own(self, batch: Batch, task: Task, task_id: bytes) -> None:
        """Write `own/<task>` unless it stands there in the name of the same session."""
        session = task.attempts[-1].session
        worker = task.worker
        if task.own == session or worker is None or worker.session != session or not worker.live_revision:
            return
        lease = self._leases.get(worker.name)
        if lease is None:
            live_key = self._keys.worker_live(worker.name)
            lease = WorkerLease(worker.name, worker.lease_id, live_key, worker.live_revision)
            self._leases[worker.name] = lease
        batch.put_leased(lease, self._keys.owns + task_id, encode_own(task))
        task.own = session

    def _remove_task(self, batch: Batch, task: Task) -> bool:
        key = self._keys.task(task.id)
        if batch.touches(key) or not batch.fits(_OPS_PER_RECORD, _RECORD_SLACK):
            return False
        batch.delete(key)
        if spec_apart(task):
            batch.delete(self._keys.spec(task.id))
        if task.own and task.state in TERMINAL:
            batch.delete(self._keys.own(task.id))
        return True

    def _remove(self, batch: Batch, key: bytes) -> bool:
        if batch.touches(key) or not batch.fits(1, _RECORD_SLACK):
            return False
        batch.delete(key)
        return True
