"""What was committed, in the order in which it was, and is it allowed?

Reads etcd's own history as it grows: every version of every task's record. The checks are the invariants of
the design that a store can show: I1, I3, I7, I9; `finished` adds those that need the end of a run (I2). What
they mean when the store went back to a backup is said in `eras`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

from tenure_core.fence import Fence
from tenure_core.states import TASK_TRANSITIONS, TERMINAL, AttemptOutcome, TaskState
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.position import Position
from tenure_state.v1.cluster_pb2 import Leader
from tenure_state.v1.task_pb2 import TaskRecord
from tenure_state.v1.worker_pb2 import Ownership, WorkerLive
from tests.simulation.eras import Era, Eras, Seen
from tests.simulation.etcd_model import Store
from tests.simulation.world import World

_SUCCEEDED: Final = AttemptOutcome.SUCCEEDED
_STATES: Final = {int(state): state for state in TaskState}


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup has of what is recorded."""

    revision: int
    era: Era
    lives: dict[bytes, int]
    leader: str
    epoch: int
    open: dict[str, None]


@dataclass
class Record:
    """The history of one cluster."""

    keys: Keys
    world: World
    violations: list[str] = field(default_factory=list)
    eras: Eras = field(default_factory=Eras)
    revision: int = 0
    lost: int = 0
    """Attempts that were committed as lost."""
    commits: int = 0
    fingerprint: int = 0
    committed_at: dict[tuple[str, int], float] = field(default_factory=dict)
    """When each leadership last committed a batch, by replica and epoch: those come again after a restore."""
    _lives: dict[bytes, int] = field(default_factory=dict)
    drained: set[str] = field(default_factory=set)
    """Workers that an operator ever drained: what was told to stop still does when the drain is cancelled, be
    it in the same commit."""
    _leader: str = ""
    _epoch: int = 0
    _elected: bool = False
    open: dict[str, None] = field(default_factory=dict)
    """Tasks that are neither finished nor held."""

    def follow(self, store: Store) -> None:
        """Look at every change from now on."""
        store.on_change.append(self.changed)

    @property
    def tasks(self) -> dict[str, Seen]:
        return self.eras.now.tasks

    @property
    def n(self) -> int:
        """The incarnation."""
        return self.eras.now.n

    def task(self, task_id: str) -> Any:
        """The record as it is committed now; None: there is none."""
        return self.eras.now.task(task_id)

    def backup(self) -> Backup:
        """What a backup of the store has at this moment."""
        return Backup(
            self.revision, self.eras.now.copy(), dict(self._lives), self._leader, self._epoch, dict(self.open)
        )

    def restored(self, backup: Backup) -> None:
        """The store went back: what came after the backup is gone, everything else counts on."""
        self.eras.begin(backup.era)
        self.revision, self._elected = backup.revision, False
        self._lives, self.open = backup.lives, backup.open
        self._leader, self._epoch = backup.leader, backup.epoch

    # --- every change --------------------------------------------------------------------------------------

    def changed(self, revision: int, events: Iterable[Any]) -> None:
        self.revision = revision
        keys = self.keys
        for event in events:
            key, value = event.kv.key, event.kv.value
            self.fingerprint = crc32(value, crc32(key, self.fingerprint))
            if key.startswith(keys.tasks):
                self._task(key[len(keys.tasks) :].decode(), event, revision)
            elif key.startswith(keys.owns) and value:
                self._owned(Ownership.FromString(value), key)
            elif key.startswith(keys.workers) and key.endswith(b"/live"):
                self._lives[key] = WorkerLive.FromString(value).session if value else 0
            elif key == keys.leader:
                self._leader = Leader.FromString(value).replica if value else ""
                self._elected = bool(value)
            elif key == keys.commit:
                self._committed(Position.decode(value))
            elif key == keys.incarnation and value:
                if self.n:
                    self.eras.begin()
                self.eras.now.n = int(value.split()[0])

    def _committed(self, position: Position) -> None:
        """Every batch is one of the leadership whose key stands in etcd at that moment."""
        self.commits += 1
        self.committed_at[self._leader, position.epoch] = self.world.now
        if self._elected and position.sequence == 0:
            self._epoch = position.epoch
        self._elected = False
        if position.epoch and (not self._leader or position.epoch != self._epoch):
            self.violations.append(
                f"a batch of epoch {position.epoch} was committed while"
                f" {self._leader or 'nobody'} led epoch {self._epoch}"
            )

    def _owned(self, own: Any, key: bytes) -> None:
        """Nothing is assigned to a session that has ended."""
        if self._lives.get(self.keys.worker_live(own.worker)) != own.session:
            self.violations.append(f"{key.decode()} was given to session {own.session}, which has ended")

    def _task(self, task_id: str, event: Any, revision: int) -> None:
        if event.type:
            self._removed(task_id)
            return
        record = TaskRecord.FromString(event.kv.value)
        seen = self.tasks.get(task_id)
        if seen is None:
            if task_id in self.eras.taken_back:
                self.violations.append(f"task {task_id} was written by somebody who missed a restore")
            self.tasks[task_id] = seen = Seen(record, revision, self.n)
        else:
            self._compare(task_id, seen, record)
        if record.attempt and (seen.record is record or record.attempt > seen.record.attempt):
            seen.last_assigned = revision
        seen.record, seen.revision, seen.n = record, revision, self.n
        if record.state in TERMINAL or record.state == TaskState.QUARANTINED:
            self.open.pop(task_id, None)
        else:
            self.open[task_id] = None

    def _removed(self, task_id: str) -> None:
        self.open.pop(task_id, None)
        seen = self.tasks.get(task_id)
        if seen is not None and seen.record.state not in TERMINAL:
            self.violations.append(f"I2: task {task_id} was removed in {TaskState(seen.record.state).name}")

    def _compare(self, task_id: str, seen: Seen, record: Any) -> None:
        before, now = _STATES[seen.record.state], _STATES[record.state]
        complain = self.violations.append
        if before in TERMINAL and (now is not before or record.outcome != seen.record.outcome):
            complain(f"I3: task {task_id} was {before.name} and became {now.name}")
        if record.attempt < seen.record.attempt:
            complain(f"I9: task {task_id} went back from attempt {seen.record.attempt} to {record.attempt}")
        if before is not now and not _reachable(before, now):
            complain(f"task {task_id} went from {before.name} to {now.name}")
        successes = [attempt.number for attempt in record.attempts if attempt.outcome == _SUCCEEDED]
        if len(successes) > 1 or (successes and now is not TaskState.SUCCEEDED):
            complain(f"I1: task {task_id} is {now.name} with successful attempts {successes}")
        known = {attempt.number: attempt for attempt in seen.record.attempts}
        for attempt in record.attempts:
            earlier = known.get(attempt.number)
            if attempt.outcome == AttemptOutcome.LOST and (earlier is None or not earlier.outcome):
                self.lost += 1
            if earlier is not None and earlier.worker != attempt.worker:
                complain(f"I9: attempt {attempt.number} of {task_id} changed its worker")

    # --- what is said --------------------------------------------------------------------------------------

    def superseded(self, fence: Fence, since: int) -> bool:
        """Whether an attempt has been given away, or its task ended, as committed now or in a told era."""
        return self.eras.ever(since, lambda era: era.superseded(fence))

    def to_be_stopped(self, fence: Fence, worker: str, since: int) -> bool:
        """Whether somebody wants this attempt to end."""

        def wanted(era: Era) -> bool:
            record = era.task(fence.task)
            return (record is not None and bool(record.cancelling)) or era.superseded(fence)

        return worker in self.drained or self.eras.ever(since, wanted)

    def accepted(self, fence: Fence, since: int) -> bool:
        """Whether an attempt has an outcome."""
        return self.eras.ever(since, lambda era: era.accepted(fence))

    def assigned(self, fence: Fence, worker: str, since: int) -> bool:
        """Whether this very attempt was committed, to this worker."""
        return self.eras.ever(since, lambda era: era.assigned(fence, worker))

    # --- the end -------------------------------------------------------------------------------------------

    def finished(self, submitted: Iterable[str], cancelled: dict[str, int]) -> list[str]:
        """What is wrong when all faults are over and the cluster came to rest."""
        found = []
        for task_id in submitted:
            record = self.task(task_id)
            if record is None:
                if task_id not in self.eras.taken_back:
                    found.append(f"I2: task {task_id} was acknowledged and is lost")
            elif record.state not in TERMINAL and record.state != TaskState.QUARANTINED:
                found.append(f"I2: task {task_id} is still {TaskState(record.state).name}: {record.reason}")
        for task_id, revision in cancelled.items():
            seen = self.tasks.get(task_id)
            if seen is not None and seen.last_assigned > revision:
                found.append(f"I7: task {task_id} got an attempt after its cancellation was acknowledged")
        return found


def _reachable(before: TaskState, after: TaskState) -> bool:
    """One commit may hold several changes of one task."""
    if after in TASK_TRANSITIONS[before]:
        return True
    seen, todo = {before}, [before]
    while todo:
        for state in TASK_TRANSITIONS[todo.pop()]:
            if state is after:
                return True
            if state not in seen and state not in TERMINAL:
                seen.add(state)
                todo.append(state)
    return False
