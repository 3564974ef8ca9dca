"""When is a worker lost, and what becomes of its tasks?

The proof is always the absence of its key `live`: seen by a linearizable read, or brought about by a guarded
deletion after its connection was reset (early loss). What follows waits for grace, hold and storm.
"""

from __future__ import annotations

from tenure_core.states import LossEvidence, OnDisconnect, WorkerPhase, WorkerVerdict
from tenure_core.timing import FOREVER, NEVER, Instant
from tenure_scheduler.domain import storm as storms
from tenure_scheduler.domain.commands import AnswerWorkers, DeleteLive
from tenure_scheduler.domain.events import (
    DeadDeclared,
    HoldAnnounced,
    StreamClosed,
    StreamEnd,
)
from tenure_scheduler.domain.model import NO_STREAM, Task, Worker
from tenure_scheduler.domain.results import arm_log_unknown, lose
from tenure_scheduler.domain.world import World

WORDS = {
    LossEvidence.LEASE_EXPIRED: "its lease ended",
    LossEvidence.AGENT_UNREACHABLE: "its connection was reset and it did not come back in time",
    LossEvidence.DECLARED_DEAD: "it was declared dead",
    LossEvidence.HOST_REBOOTED: "its node has booted again",
    LossEvidence.WORKER_REPLACED: "another instance has taken its place",
    LossEvidence.PROCESS_VANISHED: "it came back without the attempt",
    LossEvidence.STORE_RESTORED: "the store was restored from an older state",
}


def on_stream_closed(world: World, event: StreamClosed) -> None:
    """A session stream ended. Only the reset of a direct one hints at a loss before the lease ends."""
    worker = world.workers.get(event.worker)
    if worker is None:
        return
    joining = worker.joining
    hung_up = event.how is StreamEnd.ENDED and worker.phase != WorkerPhase.STOPPING
    if hung_up or event.stream == worker.refused:
        # A refusal may have waited for etcd to have room.
        spare(world, worker)
    if joining is not None and joining.stream == event.stream:
        worker.joining = joining._replace(stream=NO_STREAM)
    if worker.stream != event.stream:
        return
    worker.stream = NO_STREAM
    worker.disconnected_at = world.now.boot
    worker.closed_cause = event.how.name
    world.sending.pop(worker.name, None)
    world.fleet_version += 1
    if event.how is StreamEnd.RESET and worker.direct:
        arm_reattach(world, worker, world.now.boot + world.config.reattach_grace)
    elif event.how is StreamEnd.ENDED and worker.phase == WorkerPhase.STOPPING and not worker.attempts:
        _retire(world, worker)


def _retire(world: World, worker: Worker) -> None:
    """It said that its node shuts down, told all results and left: nobody has to wait for its lease."""
    worker.verdict = WorkerVerdict.RETIRED
    worker.reason = "it was shut down"
    worker.updated_ns = world.now.utc_ns
    world.touch_worker(worker)
    if worker.live_revision and not worker.deleting:
        delete_live(world, worker, worker.reason)


def arm_reattach(world: World, worker: Worker, due: Instant) -> None:
    """Look at `due` whether the worker has come back."""
    world.timers.at(due, _reattach_due, world, worker, worker.disconnected_at)


def _reattach_due(world: World, worker: Worker, disconnected_at: Instant) -> None:
    away = worker.stream == NO_STREAM and worker.joining is None and worker.live_revision != 0
    if not away or worker.disconnected_at != disconnected_at or worker.deleting:
        return
    chance = storms.next_chance(world, worker)
    if chance is None or storms.in_grace(world, worker) or world.storm.active:
        return  # its lease decides
    if chance > world.now.boot:
        arm_reattach(world, worker, chance)
        return
    delete_live(world, worker, WORDS[LossEvidence.AGENT_UNREACHABLE])


def spare(world: World, worker: Worker, *, until: Instant = FOREVER) -> None:
    """It was just heard, or is just told that its session is over: it may take a moment to say Hello again.

    That its lease ended, or could not be granted in time, may be the fault of etcd or ours.
    """
    again = min(world.now.boot + world.config.reattach_grace, until)
    worker.spared_until = max(worker.spared_until, again)


def delete_live(world: World, worker: Worker, cause: str) -> None:
    """Take the worker's `live` away by a guarded commit."""
    worker.deleting = True
    world.commands.append(DeleteLive(worker.name, worker.live_revision, cause))


def live_is_gone(world: World, worker: Worker, proved_at: Instant, evidence: LossEvidence, saw: str) -> None:
    """The session has ended for certain; whether that is a loss is decided by grace, hold and storm."""
    worker.live_revision = 0
    worker.gone_saw = saw
    worker.deleting = False
    worker.gone_at = proved_at
    worker.gone_evidence = evidence
    if evidence is LossEvidence.LEASE_EXPIRED and worker.stream != NO_STREAM:
        # It said Hello, but could not renew its old lease any more: as good as a beat, it may say it again.
        spare(world, worker, until=worker.resumed_at + world.config.worker_ttl)
    world.close_stream(worker, WORDS[evidence])
    world.fleet_version += 1
    storms.note_live(world)


def await_loss(world: World, worker: Worker) -> None:
    """From now on the worker counts as gone, and is declared lost as soon as that is allowed."""
    if worker.verdict in (WorkerVerdict.LOST, WorkerVerdict.RETIRED) and not worker.attempts:
        return
    world.storm.gone[worker.name] = worker
    storms.note_gone(world, worker)
    arm_exclusive(world, worker)
    world.storm.judge = True


def arm_exclusive(world: World, worker: Worker) -> None:
    """A `stop` task goes on only TTL + margin after the proof: until then it may still be running."""
    due = worker.gone_at + world.config.grace
    for task in list(worker.attempts.values()):
        if task.profile.on_disconnect is OnDisconnect.STOP and task.id not in world.exclusive:
            world.exclusive[task.id] = due


def declare_due(world: World) -> None:
    """Declare lost whoever is gone and may be declared; look again when the next one may."""
    again: Instant | None = None
    for worker in list(world.storm.gone.values()):
        chance = storms.next_chance(world, worker)
        if chance is None:
            return
        if chance > world.now.boot:
            unheld = storms.next_chance(world, worker, held=False) or chance
            if unheld <= world.now.boot:
                _lose_exclusive(world, worker)
            else:
                chance = min(chance, unheld)
            again = chance if again is None else min(again, chance)
        else:
            declare_lost(world, worker, worker.gone_evidence)
    if again is not None:
        world.timers.at(again, declare_due, world)
    storms.calm(world)


def _lose_exclusive(world: World, worker: Worker) -> None:
    """A hold spares `continue` tasks: what a worker may not run beyond its lease has ended with that."""
    for task in list(worker.attempts.values()):
        due = world.exclusive.get(task.id)
        if due is not None and task.profile.on_disconnect is OnDisconnect.STOP:
            lose_when_safe(world, task, due, worker.gone_evidence, worker.gone_saw)


def declare_lost(world: World, worker: Worker, evidence: LossEvidence) -> None:
    """The worker is lost: `continue` tasks go on elsewhere at once, `stop` tasks when that is safe."""
    world.storm.gone.pop(worker.name, None)
    storms.spend_chance(world)
    worker.verdict = WorkerVerdict.LOST
    worker.reason = WORDS[evidence]
    worker.updated_ns = world.now.utc_ns
    worker.hold_until_ns = 0
    world.touch_worker(worker)
    world.fleet_version += 1
    lose_attempts(world, worker, evidence)
    for task_id, name in list(world.open_logs.items()):
        if name == worker.name:
            task = world.tasks[task_id]
            arm_log_unknown(world, task, task.attempts[-1])


def lose_when_safe(world: World, task: Task, due: Instant, evidence: LossEvidence, saw: str) -> None:
    """Give up a `stop` task's attempt at `due`, when its warden has killed it for certain."""
    world.exclusive[task.id] = due
    world.timers.at(due, _exclusive_due, world, task, task.attempt, evidence, saw)


def lose_attempts(world: World, worker: Worker, evidence: LossEvidence) -> None:
    """Give up all open attempts of a worker that is gone, each as soon as its task allows it."""
    for task in list(worker.attempts.values()):
        attempt = task.attempts[-1]
        due = world.exclusive.get(task.id, NEVER)
        # What a restore made the store forget may run elsewhere.
        if due > world.now.boot and (evidence is not LossEvidence.DECLARED_DEAD or attempt.n):
            lose_when_safe(world, task, due, evidence, worker.gone_saw)
        else:
            reason = f"worker {worker.name} is lost: {WORDS[evidence]}"
            lose(world, task, attempt, evidence, reason, worker.gone_saw)


def _exclusive_due(world: World, task: Task, number: int, evidence: LossEvidence, saw: str) -> None:
    due = world.exclusive.get(task.id)
    if due is not None and due <= world.now.boot and task.attempt == number:
        attempt = task.attempts[-1]
        reason = f"worker {attempt.worker} is lost: {WORDS[evidence]}"
        lose(world, task, attempt, evidence, reason, f"{saw}; since then its term has passed")


def on_dead_declared(world: World, event: DeadDeclared) -> None:
    """A person vouches for it: nothing is waited for."""
    known = [world.workers[name] for name in event.workers if name in world.workers]
    for worker in known:
        if worker.live_revision:
            delete_live(world, worker, WORDS[LossEvidence.DECLARED_DEAD])
        world.close_stream(worker, WORDS[LossEvidence.DECLARED_DEAD])
        worker.gone_saw = f"a person declared worker {worker.name} dead: {event.reason or 'no reason given'}"
        declare_lost(world, worker, LossEvidence.DECLARED_DEAD)
        worker.reason = event.reason or worker.reason
    unknown = [name for name in event.workers if name not in world.workers]
    world.commands.append(AnswerWorkers(event.ticket, known, unknown))


def on_hold(world: World, event: HoldAnnounced) -> None:
    """A planned restart: the worker's losses wait, committed, so that a new leader waits as well."""
    worker = world.workers.get(event.worker)
    if worker is not None and worker.stream == event.stream and worker.ready:
        seconds = min(event.seconds, world.config.hold_limit)
        worker.hold_until_ns = world.now.utc_after(seconds)
        world.touch_worker(worker)
        world.to_worker(worker).hold = seconds
