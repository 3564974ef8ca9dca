"""What do clients and operators want changed, and what are they told?"""

from __future__ import annotations

from tenure_core.states import TERMINAL, AttemptOutcome, TaskState, WorkerVerdict
from tenure_core.timing import UtcNs
from tenure_scheduler.domain.assign import arm_queue_timeout, back_off, enqueue, finish, stop, telling
from tenure_scheduler.domain.commands import (
    AnswerCancel,
    AnswerError,
    AnswerRelease,
    AnswerSubmit,
    AnswerWorkers,
    SubmitKind,
)
from tenure_scheduler.domain.events import (
    CancelRequested,
    CordonRequested,
    DrainCancelled,
    DrainRequested,
    ReleaseRequested,
    RetryRequested,
    SubmitItem,
    TasksSubmitted,
    WaitEnded,
    WaitRequested,
)
from tenure_scheduler.domain.evidence import take_note
from tenure_scheduler.domain.model import Task, Worker
from tenure_scheduler.domain.notes import EventKind
from tenure_scheduler.domain.world import World

CREATED, EXISTING, CONFLICT = SubmitKind.CREATED, SubmitKind.EXISTING, SubmitKind.CONFLICT
LONGEST_DRAIN = 365 * 86_400.0


def on_submitted(world: World, event: TasksSubmitted) -> None:
    """Store valid tasks; each stands alone with its own request id."""
    answer = AnswerSubmit(event.ticket, [])
    results = answer.results
    for item in event.items:
        task = _of_request(world, item)
        if task is None:
            results.append((CREATED, _create(world, item)))
        else:
            results.append((EXISTING if task.spec == item.spec else CONFLICT, task))
    world.commands.append(answer)


def _of_request(world: World, item: SubmitItem) -> Task | None:
    if not item.request_id:
        return None
    return world.index.of_request(item.profile.namespace, item.request_id)


def _create(world: World, item: SubmitItem) -> Task:
    sequence = world.next_sequence
    world.next_sequence = sequence + 1
    profile = item.profile
    task = Task(
        item.task_id,
        sequence,
        profile,
        item.spec,
        world.now.utc_ns,
        item.name,
        item.labels,
        item.request_id,
        item.retry_of,
        item.traceparent,
    )
    world.index.add(task)
    world.order.append(task)
    world.counts[task.state] += 1
    world.touch(task)
    if item.not_before_ns > world.now.utc_ns:
        back_off(world, task, item.not_before_ns, "it is not to start before its time")
    else:
        enqueue(world, task)
    if profile.queue_timeout:
        arm_queue_timeout(world, task)
    return task


def on_retry(world: World, event: RetryRequested) -> None:
    """Submit a finished task again: a new task with `retry_of`; the old one stays as it is."""
    old = world.tasks.get(event.task_id)
    if old is None:
        world.commands.append(AnswerError(event.ticket, "NOT_FOUND", f"no task {event.task_id!r}"))
        return
    if old.state not in TERMINAL:
        message = f"task {old.id} is {old.state.name}: only a finished task can be retried"
        world.commands.append(AnswerError(event.ticket, "FAILED_PRECONDITION", message))
        return
    item = SubmitItem(
        event.new_id,
        old.profile,
        old.spec,
        old.name,
        old.labels,
        event.request_id,
        traceparent=event.traceparent,
        retry_of=old.id,
    )
    known = _of_request(world, item)
    if known is None:
        world.commands.append(AnswerSubmit(event.ticket, [(CREATED, _create(world, item))]))
    elif known.retry_of == old.id:
        world.commands.append(AnswerSubmit(event.ticket, [(EXISTING, known)]))
    else:
        message = (
            f"request id {event.request_id!r} was used for task {known.id}, which does not retry {old.id}"
        )
        world.commands.append(AnswerError(event.ticket, "ALREADY_EXISTS", message))


def on_cancel(world: World, event: CancelRequested) -> None:
    """Cancel tasks: those without an open attempt end now, the others are stopped after the commit."""
    found = [world.tasks[task_id] for task_id in event.task_ids if task_id in world.tasks]
    for task in found:
        cancel(world, task, event.reason or "cancelled on request")
    world.commands.append(AnswerCancel(event.ticket, found))


def cancel(world: World, task: Task, reason: str) -> None:
    """Cancel one task; finished ones and those that are being cancelled stay as they are."""
    match task.state:
        case TaskState.PENDING | TaskState.BACKOFF | TaskState.QUARANTINED:
            task.cancel_reason = reason
            take_note(world, task, EventKind.CANCEL_REQUESTED, reason)
            finish(world, task, TaskState.CANCELLED, AttemptOutcome.CANCELLED, reason)
        case TaskState.ASSIGNED | TaskState.RUNNING:
            task.cancel_reason = reason
            take_note(world, task, EventKind.CANCEL_REQUESTED, reason, task.attempt)
            world.set_state(task, TaskState.CANCELLING, reason)
            stop(world, task, task.attempts[-1], AttemptOutcome.CANCELLED, reason)
        case _:
            pass


def on_release(world: World, event: ReleaseRequested) -> None:
    """Let quarantined tasks run again with fresh loss budgets."""
    released = []
    for task_id in event.task_ids:
        task = world.tasks.get(task_id)
        if task is not None and task.state is TaskState.QUARANTINED:
            task.losses = 0
            take_note(world, task, EventKind.RELEASED, "a person let it run again, with fresh loss budgets")
            world.set_state(task, TaskState.PENDING, "released from quarantine")
            enqueue(world, task)
            released.append(task_id)
    world.commands.append(AnswerRelease(event.ticket, released))


def on_wait(world: World, event: WaitRequested) -> None:
    """Remember who waits for which tasks; finished and unknown ones are answered at once."""
    waited = []
    for task_id in event.task_ids:
        task = world.tasks.get(task_id)
        if task is None:
            telling(world).unknown.append((event.ticket, task_id))
        elif task.finished_ns:
            telling(world).tasks.append((event.ticket, task))
        elif task_id not in waited:
            waited.append(task_id)
            world.waiting.setdefault(task_id, []).append(event.ticket)
    if waited:
        world.tickets[event.ticket] = waited


def on_wait_ended(world: World, event: WaitEnded) -> None:
    """Forget a ticket."""
    for task_id in world.tickets.pop(event.ticket, ()):
        tickets = world.waiting.get(task_id, [])
        if event.ticket in tickets:
            tickets.remove(event.ticket)
        if not tickets:
            world.waiting.pop(task_id, None)


def _named(world: World, ticket: int, names: list[str]) -> list[Worker]:
    known = [world.workers[name] for name in names if name in world.workers]
    world.commands.append(AnswerWorkers(ticket, known, [n for n in names if n not in world.workers]))
    return known


def _changed(world: World, worker: Worker, reason: str) -> None:
    worker.reason = reason
    worker.updated_ns = world.now.utc_ns
    world.touch_worker(worker)
    world.fleet_version += 1
    world.queue.gained[worker] = None


def on_cordon(world: World, event: CordonRequested) -> None:
    """Nothing new on these workers, or again."""
    for worker in _named(world, event.ticket, event.workers):
        worker.cordoned = event.cordoned
        _changed(world, worker, event.reason)


def on_drain(world: World, event: DrainRequested) -> None:
    """Nothing new on these workers; what still runs at the deadline is stopped and goes on elsewhere."""
    for worker in _named(world, event.ticket, event.workers):
        if worker.verdict in (WorkerVerdict.ACTIVE, WorkerVerdict.DRAINING):
            worker.verdict = WorkerVerdict.DRAINING
            worker.drain_deadline_ns = world.now.utc_after(min(event.deadline, LONGEST_DRAIN))
            _changed(world, worker, event.reason)
            arm_drain(world, worker)


def arm_drain(world: World, worker: Worker) -> None:
    """Set the timer for the drain's deadline."""
    due = world.now.until(worker.drain_deadline_ns, LONGEST_DRAIN)
    world.timers.at(due, _drain_due, world, worker, worker.drain_deadline_ns)


def _drain_due(world: World, worker: Worker, deadline_ns: UtcNs) -> None:
    if worker.verdict is not WorkerVerdict.DRAINING or worker.drain_deadline_ns != deadline_ns:
        return
    for task in list(worker.attempts.values()):
        attempt = task.attempts[-1]
        if attempt.stopping is None:
            stop(world, task, attempt, AttemptOutcome.DRAINED, worker.reason or "its worker is drained")


def on_drain_cancelled(world: World, event: DrainCancelled) -> None:
    """The drain ends; attempts that were told to stop still do."""
    for worker in _named(world, event.ticket, event.workers):
        if worker.drain_deadline_ns:
            worker.drain_deadline_ns = 0
            draining = worker.verdict is WorkerVerdict.DRAINING
            if draining:
                worker.verdict = WorkerVerdict.ACTIVE
            _changed(world, worker, "" if draining else worker.reason)
