"""Where does the output of an attempt go, and is it complete?

The state of a task's log changes once, away from OPEN; it is that of the newest attempt. The accepted
result says whether there is output at all; whether it has arrived is the relay's word.
"""

from __future__ import annotations

from tenure_core.states import LogState
from tenure_scheduler.domain.assign import choose_relay
from tenure_scheduler.domain.events import LogStateReported, RelaysChanged
from tenure_scheduler.domain.model import NO_STREAM, Attempt, Relay, Task, Worker
from tenure_scheduler.domain.world import World


def on_log_state(world: World, event: LogStateReported) -> None:
    """A relay has all output of an attempt, or knows what is missing."""
    fence = event.fence
    task = world.tasks.get(fence.task)
    if task is None or not task.attempts or world.fence(task, task.attempts[-1]) != fence:
        return
    if task.log_state is LogState.OPEN and event.state is not LogState.OPEN:
        task.log_state = event.state
        task.log_missing = event.missing_bytes
        # Not always the one where it was placed last: it may have lost its registration with all bytes on its
        # disk, and nobody has them to send again. Readers go where they are.
        task.attempts[-1].relay = event.relay or task.attempts[-1].relay
        world.open_logs.pop(task.id, None)
        world.touch(task)


def knows(world: World, event: LogStateReported) -> bool:
    """Whether the report concerns a task that still exists; otherwise the relay may forget it."""
    task = world.tasks.get(event.fence.task)
    return task is not None and any(world.fence(task, attempt) == event.fence for attempt in task.attempts)


def on_relays_changed(world: World, event: RelaysChanged) -> None:
    """Relays came or went: attempts whose relay is gone move to another, refilled from the spool."""
    world.relays = event.relays
    live = {relay.id for relay in event.relays}
    for worker in world.workers.values():
        for task in list(worker.attempts.values()):
            _move(world, task, live)
    for task_id in list(world.open_logs):
        _move(world, world.tasks[task_id], live)


def _move(world: World, task: Task, live: set[str]) -> None:
    attempt = task.attempts[-1]
    if not world.relays or attempt.relay in live or not task.profile.has_output:
        return
    relay = choose_relay(task.id, world.relays)
    attempt.relay = relay.id
    world.touch(task)
    worker = world.workers.get(attempt.worker)
    if worker is not None and worker.stream != NO_STREAM and worker.ready:
        _place(world, worker, task, attempt, relay)


def _place(world: World, worker: Worker, task: Task, attempt: Attempt, relay: Relay) -> None:
    world.to_worker(worker).placements.append((world.fence(task, attempt), relay))


def tell_relays(world: World, worker: Worker) -> None:
    """A worker that just came may not know where the output of its attempts goes now."""
    relays = {relay.id: relay for relay in world.relays}
    finished = [world.tasks[task_id] for task_id, name in world.open_logs.items() if name == worker.name]
    for task in [*worker.attempts.values(), *finished]:
        attempt = task.attempts[-1]
        relay = relays.get(attempt.relay)
        if relay is not None:
            _place(world, worker, task, attempt, relay)
