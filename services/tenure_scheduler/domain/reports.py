"""What does the core make of what agents report?

Reports are levels, not edges: everything may come twice, late or out of order. A result counts unless its
attempt is superseded; the same value again is accepted again, a different value is refused, the first
stands.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure_core.fence import Fence
from tenure_core.states import REOPENABLE, AttemptOutcome, LossEvidence, OnDisconnect, TaskState
from tenure_core.timing import NEVER
from tenure_scheduler.domain.assign import hold, stop
from tenure_scheduler.domain.commands import Fenced
from tenure_scheduler.domain.events import (
    AttemptReport,
    CommandsSent,
    DigestReported,
    LevelReported,
    ReportKind,
    ReportsReceived,
    RollbackSeen,
)
from tenure_scheduler.domain.evidence import note_late_end
from tenure_scheduler.domain.model import NO_STREAM, Attempt, Task, Worker
from tenure_scheduler.domain.results import accept, conclude, lose, not_started, take_back
from tenure_scheduler.domain.world import World

RESULT, STARTED, NOT_STARTED = ReportKind.RESULT, ReportKind.STARTED, ReportKind.NOT_STARTED
ASSIGNED, RUNNING = TaskState.ASSIGNED, TaskState.RUNNING
EVERYTHING = 1 << 63
"""As the number of the last processed command: no command is still on its way."""
ROLLBACK = (
    "worker {} knows of a newer {} than the store: the store was rolled back. Stop the schedulers and call"
    " `tenure cluster new-incarnation`"
)


def on_reports(world: World, event: ReportsReceived) -> None:
    """An agent reported on some of its attempts."""
    worker = speaker(world, event.worker, event.stream)
    if worker is None:
        return
    heard(world, worker, event)
    for report in event.reports:
        take_report(world, worker, report)


def speaker(world: World, name: str, stream: int) -> Worker | None:
    """The worker, if this is its present stream. What an ended one still delivers, the Hello says again."""
    worker = world.workers.get(name)
    return worker if worker is not None and worker.stream == stream and worker.ready else None


def heard(world: World, worker: Worker, event: ReportsReceived | DigestReported | LevelReported) -> None:
    """What every report says: how far commands were processed, and the phase of the agent."""
    if event.phase and event.phase != worker.phase:
        worker.phase = event.phase
        world.fleet_version += 1
    number = event.processed
    if number > worker.processed:
        worker.processed = number
        sent = worker.sent
        while sent and sent[0][0] <= number:
            sent.popleft()


def take_report(world: World, worker: Worker, report: AttemptReport) -> None:
    """One report of a worker on one attempt."""
    fence = report.fence
    if fence.task in world.damaged:
        return  # whether it counts cannot be known: the worker keeps what it has
    task = world.tasks.get(fence.task)
    if task is None or fence.n != world.n or task.attempt != fence.attempt:
        _refuse(world, worker, task, report)
        return
    attempt = task.attempts[-1]
    if attempt.worker != worker.name:
        _refuse(world, worker, task, report)
    elif report.kind is RESULT:
        _take_result(world, worker, task, attempt, report)
    elif attempt.outcome is not None:
        # Given up, but not given away: if it runs after all, it goes on.
        if report.kind is not STARTED:
            forget(world, worker, fence)
            note_late_end(world, worker, report)
        elif not _keep(world, worker, report):
            _refuse(world, worker, task, report)
    elif report.kind is STARTED:
        note_started(world, task, attempt, report)
    elif report.kind is NOT_STARTED:
        not_started(world, task, attempt, report.reason or "the worker did not start it")
    elif report.kind is ReportKind.STOPPED:
        _take_stopped(world, task, attempt, report)


def _take_result(world: World, worker: Worker, task: Task, attempt: Attempt, report: AttemptReport) -> None:
    outcome = attempt.outcome
    fence = report.fence
    if task.finished_ns or (outcome is not None and outcome not in REOPENABLE):
        forget(world, worker, fence)
        if same_result(attempt, report):
            world.to_worker(worker).accepted.append(fence)
        else:
            note_late_end(world, worker, report)
            reason = f"the attempt ended {_name(outcome)} before this result came"
            world.to_worker(worker).fenced.append(Fenced(fence, task.attempt, reason))
        return
    if outcome is None and report.evidence is LossEvidence.HOST_REBOOTED and _has_a_term(world, worker, task):
        return  # The Hello that began this session leaves it to that term; see there.
    if outcome is None or outcome is not report.outcome:
        accept(world, task, attempt, report)
        if outcome is not None:
            forget(world, worker, fence)
    world.to_worker(worker).accepted.append(fence)


def _has_a_term(world: World, worker: Worker, task: Task) -> bool:
    """Whether a `stop` task may still run on the boot that was served before.

    "Another boot" may be another machine, with a copy of the state directory: it ended nothing there.
    """
    until = max(world.exclusive.get(task.id, NEVER), worker.gone_at + world.config.grace)
    return task.profile.on_disconnect is OnDisconnect.STOP and until > world.now.boot


def same_result(attempt: Attempt, report: AttemptReport) -> bool:
    """Whether a result says what the attempt's record says already."""
    mine = (attempt.outcome, attempt.exit_code, attempt.signal)
    return mine == (report.outcome, report.exit_code, report.signal)


def _name(outcome: AttemptOutcome | None) -> str:
    return outcome.name if outcome is not None else "otherwise"


def note_started(world: World, task: Task, attempt: Attempt, report: AttemptReport) -> None:
    """The worker runs the attempt. Written only if it is still running a little later: most are not."""
    if attempt.started_ns:
        return
    attempt.started_ns = report.started_ns or world.now.utc_ns
    attempt.pid, attempt.ticks = report.pid, report.ticks
    if task.worker is not None:
        attempt.boot_id = attempt.boot_id or task.worker.boot_id
    if task.state is ASSIGNED:
        counts = world.counts
        counts[ASSIGNED] -= 1
        counts[RUNNING] += 1
        task.state = RUNNING
        task.updated_ns = world.now.utc_ns
    world.lazy.setdefault(task.id, world.now.boot + world.config.running_delay)


def _take_stopped(world: World, task: Task, attempt: Attempt, report: AttemptReport) -> None:
    if attempt.stopping is None:
        lose(
            world,
            task,
            attempt,
            LossEvidence.PROCESS_VANISHED,
            report.reason or "it was stopped on its worker",
            "its worker reported that nothing of it runs any more",
        )
    else:
        attempt.ended_ns = report.ended_ns or world.now.utc_ns
        conclude(world, task, attempt, attempt.stopping, report.reason or "stopped")


def _refuse(world: World, worker: Worker, task: Task | None, report: AttemptReport) -> None:
    """The attempt no longer counts; whatever it held on this worker is free once it has ended."""
    fence = report.fence
    note_late_end(world, worker, report)
    if report.kind is not STARTED:
        forget(world, worker, fence)
    if task is not None and fence.n == world.n and fence.attempt > task.attempt:
        rolled_back(world, worker.name, "attempt")
    if report.kind is RESULT or report.kind is STARTED:
        world.to_worker(worker).fenced.append(fenced(world, fence))


def fenced(world: World, fence: Fence) -> Fenced:
    """Why an attempt does not count, as the worker is told."""
    task = world.tasks.get(fence.task)
    if fence.n != world.n:
        return Fenced(fence, 0, f"it belongs to incarnation {fence.n}, this is {world.n}")
    if task is None:
        return Fenced(fence, 0, "the task is no longer known")
    if task.attempt != fence.attempt:
        return Fenced(fence, task.attempt, f"attempt {task.attempt} has taken its place")
    if task.finished_ns:
        return Fenced(fence, task.attempt, f"the task is {task.state.name}")
    return Fenced(fence, task.attempt, "the attempt was given to another worker")


def forget(world: World, worker: Worker, fence: Fence) -> None:
    """An attempt that was given away has ended on this worker: its room is free."""
    grant = worker.leftovers.pop(fence, None)
    if grant is not None:
        worker.pool.give_back(grant)
        world.queue.gained[worker] = None


def rolled_back(world: World, worker: str, what: str) -> None:
    """Stop assigning: what we would hand out may have been handed out before."""
    world.raise_alarm(ROLLBACK.format(worker, what))


def on_rollback_seen(world: World, event: RollbackSeen) -> None:
    """Another process has proof that the store went back."""
    world.raise_alarm(event.sentence)


def settle_held(
    world: World, worker: Worker, held: Iterable[AttemptReport], *, adopt: bool, processed: int = EVERYTHING
) -> list[Fence]:
    """Judge each attempt that a worker holds that processed so many commands; returns those that it keeps."""
    kept = []
    for report in held:
        if report.kind not in (ReportKind.HELD, STARTED):
            take_report(world, worker, report)
        elif report.fence.task in world.damaged or (adopt and _keep(world, worker, report, processed)):
            kept.append(report.fence)
        elif not (report.stopping and report.fence in worker.leftovers):
            task = world.tasks.get(report.fence.task)
            if task is not None and report.fence.n == world.n and report.fence.attempt > task.attempt:
                rolled_back(world, worker.name, "attempt")
            _leave_over(world, worker, report.fence)
            world.to_worker(worker).fenced.append(fenced(world, report.fence))
    return kept


def _keep(world: World, worker: Worker, report: AttemptReport, processed: int = EVERYTHING) -> bool:
    """Re-adopt an attempt iff it is not superseded and the record names this worker."""
    fence = report.fence
    task = world.tasks.get(fence.task)
    if task is None or world.superseded(fence) or task.attempt != fence.attempt:
        return False
    attempt = task.attempts[-1]
    if attempt.worker != worker.name or (attempt.outcome is not None and attempt.outcome not in REOPENABLE):
        return False
    if task.worker is not worker or task.id not in worker.attempts:
        _readopt(world, worker, task, attempt)
    world.exclusive.pop(task.id, None)
    attempt.start_number = 0  # who holds it was told, perhaps on an earlier stream
    if report.kind is STARTED:
        note_started(world, task, attempt, report)
    if attempt.session != worker.session:
        attempt.session = worker.session
        world.touch(task)
    told = attempt.stop_number > processed or (attempt.stop_number and report.stopping)
    if task.state is TaskState.CANCELLING and not told:
        stop(world, task, attempt, AttemptOutcome.CANCELLED, task.cancel_reason)
    elif attempt.stopping is not None and not told:
        stop(world, task, attempt, attempt.stopping, "")
    return True


def _readopt(world: World, worker: Worker, task: Task, attempt: Attempt) -> None:
    """An attempt that was given up, but not given away, goes on where it is."""
    if attempt.outcome is not None:
        take_back(world, task, attempt, "its worker came back and still holds it")
        state = RUNNING if attempt.started_ns else ASSIGNED
        world.set_state(task, state, f"worker {worker.name} came back with attempt {attempt.number}")
    hold(world, worker, task)
    grant = worker.leftovers.pop(world.fence(task, attempt), None)
    if grant is None:
        worker.pool.take_back(attempt.grant)
    world.touch(task)


def _leave_over(world: World, worker: Worker, fence: Fence) -> None:
    """An attempt that was given away still occupies this worker until it has ended there."""
    task = world.tasks.get(fence.task)
    if task is None or fence in worker.leftovers:
        return
    for attempt in task.attempts:
        if world.fence(task, attempt) == fence and attempt.worker == worker.name:
            worker.leftovers[fence] = attempt.grant
            worker.pool.take_back(attempt.grant)


def miss(
    world: World,
    task: Task,
    attempt: Attempt,
    evidence: LossEvidence,
    reason: str,
    saw: str,
    *,
    foreign: bool = False,
) -> None:
    """The record names the worker, but the worker neither holds the attempt nor has its exit.

    Of an attempt of an earlier incarnation that proves little: the store may have forgotten the one after it.
    That the journal does not name it proves that it never ran, if it is the journal of the same instance.
    """
    if attempt.n and world.exclusive.get(task.id, NEVER) > world.now.boot:
        return
    if attempt.started_ns or (foreign and task.worker is not None and task.worker.may_have_started(attempt)):
        lose(world, task, attempt, evidence, reason, saw)
    else:
        not_started(world, task, attempt, reason)


def on_commands_sent(world: World, event: CommandsSent) -> None:
    """Starts left: unless the agent processes them in time, the stream is closed."""
    worker = world.workers.get(event.worker)
    if worker is None or worker.stream != event.stream:
        return
    worker.sent_number = max(worker.sent_number, event.number)
    if event.number > worker.processed:
        if worker.watched_stream != worker.stream:
            worker.watched_stream = worker.stream
            _watch_acks(world, worker, world.now.boot + world.config.start_ack_timeout)
        worker.sent.append((event.number, world.now.boot))


def _watch_acks(world: World, worker: Worker, due: float) -> None:
    world.timers.at(due, _check_acks, world, worker, worker.stream)


def _check_acks(world: World, worker: Worker, stream: int) -> None:
    if worker.stream != stream:
        return
    if not worker.sent:
        worker.watched_stream = NO_STREAM
        return
    due = worker.sent[0][1] + world.config.start_ack_timeout
    if due > world.now.boot:
        _watch_acks(world, worker, due)
    else:
        world.close_stream(worker, "it did not process a Start in time")
