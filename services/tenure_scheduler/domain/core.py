"""The one door of the scheduler's decisions: events in, commands out.

`Core` is the memory of the leading scheduler and its only writer. The shell feeds it batches of events,
seals what became dirty into commits, and releases the commands when what they depend on is committed:

    commands = core.apply(events, now)      # decide
    mark = core.dirty_marked                # commands AFTER_SEEN leave when `through` >= mark is committed
    dirty = core.take_dirty(max_ops)        # seal a batch: encode the present values, commit them
    core.committed(dirty, revision)         # so that retention knows what watches may have missed

Memory is never rolled back: a leader that is deposed throws its core away, and the next one loads the
records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tenure_core.fence import Fence
from tenure_core.states import TaskState
from tenure_core.timing import Instant, Now
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain import levels, logs, losses, reports, requests, retention, sessions, storm
from tenure_scheduler.domain.commands import Command, RaiseAlarm
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.explain import Explanation, explain
from tenure_scheduler.domain.load import Records, load, own_token
from tenure_scheduler.domain.model import Attempt, Task, Worker
from tenure_scheduler.domain.placement import place
from tenure_scheduler.domain.verify import FenceVerdict, verify
from tenure_scheduler.domain.views import Page, TaskFilter, exclusive_fences, find, page, seen
from tenure_scheduler.domain.world import RaisedAlarm, RemovedTask, World


def _on_time_passed(world: World, event: e.TimePassed) -> None:
    """Nothing but the timers, which every `apply` looks at."""


HANDLERS: dict[type, Callable[[World, Any], None]] = {
    e.TasksSubmitted: requests.on_submitted,
    e.RetryRequested: requests.on_retry,
    e.CancelRequested: requests.on_cancel,
    e.ReleaseRequested: requests.on_release,
    e.WaitRequested: requests.on_wait,
    e.WaitEnded: requests.on_wait_ended,
    e.CordonRequested: requests.on_cordon,
    e.DrainRequested: requests.on_drain,
    e.DrainCancelled: requests.on_drain_cancelled,
    e.DeadDeclared: losses.on_dead_declared,
    e.ReportsReceived: reports.on_reports,
    e.DigestReported: levels.on_digest,
    e.LevelReported: levels.on_level,
    e.CommandsSent: reports.on_commands_sent,
    e.HelloReceived: sessions.on_hello,
    e.StreamClosed: losses.on_stream_closed,
    e.HoldAnnounced: losses.on_hold,
    e.LeaseGranted: sessions.on_lease_granted,
    e.WorkerRegistered: sessions.on_registered,
    e.JoinFailed: sessions.on_join_failed,
    e.LiveGone: sessions.on_live_gone,
    e.LiveSeen: sessions.on_live_seen,
    e.LiveDeleted: sessions.on_live_deleted,
    e.WorkerLeaseGone: sessions.on_worker_lease_gone,
    e.StallNoticed: storm.on_stall,
    e.RelaysChanged: logs.on_relays_changed,
    e.LogStateReported: logs.on_log_state,
    e.StoreFilled: retention.on_store_filled,
    e.RollbackSeen: reports.on_rollback_seen,
    e.TimePassed: _on_time_passed,
}


@dataclass(slots=True)
class Own:
    """Put `own/<task>` on the worker's lease, comparing create_revision(live) with `worker.live_revision`."""

    task: Task
    attempt: Attempt
    worker: Worker


@dataclass(slots=True)
class Dirty:
    """What one batch writes and deletes. A task and its `own` key are always in the same batch."""

    tasks: list[Task] = field(default_factory=list)
    owns: list[Own] = field(default_factory=list)
    disowned: list[str] = field(default_factory=list)
    """Tasks whose key `own/<task>` is deleted."""
    removed: list[Task] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    removed_workers: list[str] = field(default_factory=list)
    alarm: str = ""
    """Why nothing is assigned any more; empty: it is written already, or all is well."""
    floor: tuple[int, int] | None = None
    """(watch floor, next sequence): to be written with the deletions, if there are any."""
    through: int = 0
    """Every mark up to this one is in this batch or an earlier one."""


def _no_size(_: Task | Worker) -> int:
    return 0


class Core:
    """The scheduler's decisions and the state that they are made from."""

    def __init__(
        self,
        config: CoreConfig,
        *,
        incarnation: int,
        epoch: int,
        now: Now,
        records: Records | None = None,
    ) -> None:
        records = records or Records()
        self.world = World(config, incarnation, epoch, now, records.index)
        self._alarmed = ""
        load(self.world, records)

    # --- decide ---------------------------------------------------------------------------------------------

    def apply(self, events: list[e.Event], now: Now) -> list[Command]:
        """Take in what happened, in order, then what is due, then place tasks; returns what is to be done."""
        world = self.world
        world.now = now
        for event in events:
            HANDLERS[type(event)](world, event)
        world.timers.fire(now.boot)
        if world.storm.judge:
            # After all events: workers that go together are judged together.
            world.storm.judge = False
            losses.declare_due(world)
        self._mark_running()
        if len(world.finished) > world.keeps + world.config.retention_batch:
            retention.remove_tasks(world)
        place(world)
        return self._outputs()

    def _mark_running(self) -> None:
        """Mark the tasks for writing that run for so long that they will not be written soon anyway."""
        world = self.world
        lazy, now = world.lazy, world.now.boot
        while lazy:
            task_id = next(iter(lazy))
            if lazy[task_id] > now:
                return
            del lazy[task_id]
            task = world.tasks.get(task_id)
            if task is not None and task.state is TaskState.RUNNING:
                world.touch(task)

    def _outputs(self) -> list[Command]:
        world = self.world
        commands: list[Command] = world.commands
        commands.extend(world.sending.values())
        if world.alarm != self._alarmed:
            self._alarmed = world.alarm
            commands.append(RaiseAlarm("store-rolled-back", world.alarm, world.now.boot))
        world.commands = []
        world.sending = {}
        world.telling = None
        return commands

    def next_wakeup(self) -> Instant | None:
        """When `apply` has to be called even if nothing happens."""
        world = self.world
        due = world.timers.next
        if world.lazy:
            lazy = next(iter(world.lazy.values()))
            return lazy if due is None else min(due, lazy)
        return due

    # --- write ----------------------------------------------------------------------------------------------

    @property
    def dirty_marked(self) -> int:
        """How many marks for writing were set so far; what leaves now has to wait for all of them."""
        return self.world.marked

    @property
    def dirty_taken(self) -> int:
        """How many marks were sealed into batches so far."""
        return self.world.taken

    def take_dirty(
        self,
        max_ops: int = 1_000,
        max_bytes: int = 1_000_000,
        size_of: Callable[[Task | Worker], int] = _no_size,
    ) -> Dirty:
        """Seal the next batch, oldest marks first, of at most `max_ops` operations and `max_bytes`.

        `size_of` says what a record adds to a batch; one record is always taken, however large it is.
        """
        world = self.world
        queue, dirty = world.dirty, Dirty()
        ops, size = 1, 0
        while queue and ops + 2 <= max_ops:
            item = queue[0]
            if isinstance(item, (Task, Worker)):
                more = size_of(item)
                if size and size + more > max_bytes:
                    break
                size += more
            if type(item) is Task:
                ops += self._take_task(item, dirty)
            elif type(item) is Worker:
                item.dirty = False
                dirty.workers.append(item)
                ops += 1
            elif type(item) is RemovedTask:
                ops += self._take_removed(item.task, dirty)
            elif type(item) is RaisedAlarm:
                dirty.alarm = item.sentence
                ops += 1
            else:
                assert not isinstance(item, (Task, Worker, RemovedTask, RaisedAlarm))
                dirty.removed_workers.append(item.name)
                ops += 1
            queue.popleft()
            world.taken += 1
        if dirty.removed:
            dirty.floor = (world.floor, world.next_sequence)
        dirty.through = world.taken
        return dirty

    def _take_task(self, task: Task, dirty: Dirty) -> int:
        task.dirty = False
        dirty.tasks.append(task)
        worker = task.worker
        # An attempt of an ended session may still wait for its end to be certain: not the new one holds it.
        if worker is not None and worker.live_revision and task.attempts[-1].session == worker.session:
            token = own_token(task.attempt, worker.session)
            if task.own == token:
                return 1
            task.own = token
            dirty.owns.append(Own(task, task.attempts[-1], worker))
            return 2
        if not task.own:
            return 1
        task.own = 0
        dirty.disowned.append(task.id)
        return 2

    def _take_removed(self, task: Task, dirty: Dirty) -> int:
        dirty.removed.append(task)
        return 2

    def committed(self, dirty: Dirty, revision: int) -> None:
        """A batch is committed at `revision`."""
        for task in dirty.tasks:
            task.revision = revision

    # --- read -----------------------------------------------------------------------------------------------

    def find(self, text: str) -> list[Task]:
        """The tasks whose id is `text` or begins with it: none, the one, or two of several."""
        return find(self.world, text)

    def get(self, task_id: str) -> Task | None:
        """The task with exactly this id."""
        task = self.world.tasks.get(task_id)
        return None if task is None else seen(self.world, task)

    def page(self, wanted: TaskFilter, size: int, before: int | None = None) -> Page:
        """Matching tasks, newest first, with sequences below `before`."""
        return page(self.world, wanted, size, before)

    def counts(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state."""
        return self.world.by_state()

    def explain(self, task: Task) -> Explanation:
        """Why `task` stands where it stands."""
        return explain(self.world, seen(self.world, task))

    def verify(self, fence: Fence) -> FenceVerdict:
        """Whether `fence` still holds its task."""
        return verify(self.world, fence)

    def workers(self) -> Mapping[str, Worker]:
        """All workers by name."""
        return self.world.workers

    def exclusive_fences(self, worker: str) -> list[str]:
        """The open attempts of `stop` tasks that a beat of this worker extends."""
        found = self.world.workers.get(worker)
        return exclusive_fences(self.world, found) if found is not None else []
