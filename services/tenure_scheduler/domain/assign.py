"""How does a task get an attempt, lose it, wait again, or end?

These are the only functions that open an attempt, free its worker, put a task back into the queue and
finish it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from tenure_core.states import AttemptOutcome, ForbiddenTransition, LogState, TaskState
from tenure_core.timing import SECOND_NS, Duration, UtcNs
from tenure_scheduler.domain import suspects
from tenure_scheduler.domain.commands import Stop, TellFinished
from tenure_scheduler.domain.model import NO_STREAM, Attempt, Relay, Task, Worker
from tenure_scheduler.domain.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

PENDING, BACKOFF, ASSIGNED = TaskState.PENDING, TaskState.BACKOFF, TaskState.ASSIGNED


def assign(world: World, task: Task, worker: Worker) -> None:
    """Open the next attempt of a PENDING task on `worker`, which has room for it, and prepare its Start."""
    profile = task.profile
    grant = worker.pool.take(profile.shape.demand)
    number = task.attempt + 1
    attempt = Attempt(number, worker.name, worker.session, grant, world.now.utc_ns)
    attempt.boot_id = worker.boot_id
    task.attempt = number
    _remember(world, task, attempt)
    task.log_state = LogState.OPEN
    task.log_missing = 0
    hold(world, worker, task)
    if profile.has_output and world.relays:
        attempt.relay = choose_relay(task.id, world.relays).id
    world.set_state(task, ASSIGNED, "")
    message = world.sending.get(worker.name) or world.to_worker(worker)
    attempt.start_number = message.number
    message.starts.append((task, attempt))


def hold(world: World, worker: Worker, task: Task) -> None:
    """The worker has the open attempt of `task`."""
    task.worker = worker
    worker.attempts[task.id] = task
    if task.suspect:
        suspects.watch(world, worker, task)


def _remember(world: World, task: Task, attempt: Attempt) -> None:
    attempts = task.attempts
    if len(attempts) >= world.config.history:
        task.dropped_attempts += 1
        attempts = attempts[1:]
    task.attempts = (*attempts, attempt)


def choose_relay(task_id: str, relays: Sequence[Relay]) -> Relay:
    """The live relay for a task's output, by rendezvous hashing: few move when relays change.

    By the task, not by the attempt: who reads a task finds all attempts in one place. The hash has to mix: a
    CRC is linear, names of one length differ by the same bits for every task, and some win twice as often.
    """
    if len(relays) == 1:
        return relays[0]
    seed = f"{task_id}.".encode()
    return max(relays, key=lambda relay: blake2b(seed + relay.id.encode(), digest_size=8).digest())


def free(world: World, task: Task, attempt: Attempt) -> None:
    """The worker's room comes back: the attempt ended, or provably never runs there."""
    worker = task.worker
    task.worker = None
    if worker is not None and worker.attempts.pop(task.id, None) is not None:
        worker.suspects.pop(task.id, None)
        worker.pool.give_back(attempt.grant)
        world.queue.gained[worker] = None
    if world.exclusive:
        world.exclusive.pop(task.id, None)


def enqueue(world: World, task: Task) -> None:
    """A task that just became PENDING waits for a worker."""
    world.queue.push(task)


def wait(world: World, task: Task, delay: Duration, reason: str) -> None:
    """Put a task that has no open attempt back: PENDING at once, or BACKOFF for `delay` seconds."""
    if queue_time_is_over(world, task):
        finish(world, task, TaskState.FAILED, AttemptOutcome.TIMED_OUT, "it waited in the queue for too long")
    elif delay <= 0.0:
        world.set_state(task, PENDING, reason)
        enqueue(world, task)
    else:
        back_off(world, task, world.now.utc_after(delay), reason)


def back_off(world: World, task: Task, until_ns: UtcNs, reason: str) -> None:
    """BACKOFF until `until_ns`."""
    task.next_attempt_ns = until_ns
    world.set_state(task, BACKOFF, reason)
    arm_backoff(world, task)


def arm_backoff(world: World, task: Task) -> None:
    """Set the timer that ends the present BACKOFF.

    It never lasts longer than was decided when it began: the wall clock of this leader may be behind that of
    the one that wrote the record.
    """
    decided = max(0.0, (task.next_attempt_ns - task.updated_ns) / SECOND_NS)
    due = world.now.until(task.next_attempt_ns, decided)
    world.timers.at(due, end_backoff, world, task, task.next_attempt_ns)


def end_backoff(world: World, task: Task, until_ns: UtcNs) -> None:
    """The delay is over."""
    if task.state is BACKOFF and task.next_attempt_ns == until_ns:
        task.next_attempt_ns = 0
        world.set_state(task, PENDING, "")
        enqueue(world, task)


def queue_time_is_over(world: World, task: Task) -> bool:
    """Whether the task waited for its first start longer than it may."""
    limit = task.profile.queue_timeout
    if not limit or any(attempt.started_ns for attempt in task.attempts):
        return False
    return world.now.utc_ns >= task.created_ns + int(limit * 1e9)


def arm_queue_timeout(world: World, task: Task) -> None:
    """Set the timer of the task's queue timeout, if it has one."""
    limit = task.profile.queue_timeout
    if limit:
        due = world.now.until(task.created_ns + int(limit * 1e9), limit)
        world.timers.at(due, _end_queue_time, world, task)


def _end_queue_time(world: World, task: Task) -> None:
    if task.state is PENDING or task.state is BACKOFF:
        if queue_time_is_over(world, task):
            reason = "it waited in the queue for too long"
            finish(world, task, TaskState.FAILED, AttemptOutcome.TIMED_OUT, reason)
        elif not any(attempt.started_ns for attempt in task.attempts):
            # The wall clock was set back meanwhile: wait for what is left by it.
            arm_queue_timeout(world, task)


def finish(world: World, task: Task, state: TaskState, outcome: AttemptOutcome, reason: str) -> None:
    """End a task for good."""
    if task.finished_ns:
        raise ForbiddenTransition(task.state, state)
    world.set_state(task, state, reason)
    now_ns = world.now.utc_ns
    task.outcome = outcome
    task.finished_ns = now_ns
    task.next_attempt_ns = 0
    world.finished.append(task)
    if not task.attempts:
        task.log_state = LogState.COMPLETE
    elif task.log_state is LogState.OPEN:
        world.open_logs[task.id] = task.attempts[-1].worker
    if world.waiting:
        tell_finished(world, task)


def tell_finished(world: World, task: Task) -> None:
    """Tell those who wait for `task` that it is finished."""
    tickets = world.waiting.pop(task.id, None)
    if tickets:
        told = telling(world)
        for ticket in tickets:
            told.tasks.append((ticket, task))
            waited = world.tickets.get(ticket)
            if waited is not None:
                waited.remove(task.id)
                if not waited:
                    del world.tickets[ticket]


def telling(world: World) -> TellFinished:
    """The one TellFinished of this `apply`."""
    if world.telling is None:
        world.telling = TellFinished([], [])
        world.commands.append(world.telling)
    return world.telling


def stop(world: World, task: Task, attempt: Attempt, outcome: AttemptOutcome, reason: str) -> None:
    """Ask the worker to stop an open attempt; without a stream its next Hello gets the Stop."""
    attempt.stopping = outcome
    worker = task.worker
    if worker is not None and worker.stream != NO_STREAM and worker.ready:
        message = world.to_worker(worker)
        attempt.stop_number = message.number
        message.stops.append(Stop(world.fence(task, attempt), outcome, reason))
