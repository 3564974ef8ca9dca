"""What does an attempt's end mean for its task?

One function takes every end, whoever concluded it: `conclude`. The task's own results, losses, and attempts
that never started have separate consequences and separate budgets.
"""

from __future__ import annotations

from zlib import crc32

from tenure_core.retry import repeated_delay
from tenure_core.states import (
    COUNTED_AS_FAILURE,
    COUNTED_AS_LOSS,
    REOPENABLE,
    AttemptOutcome,
    LogState,
    LossEvidence,
    TaskState,
)
from tenure_scheduler.domain import suspects
from tenure_scheduler.domain.assign import finish, free, wait
from tenure_scheduler.domain.events import AttemptReport
from tenure_scheduler.domain.evidence import take_note
from tenure_scheduler.domain.model import Attempt, Task
from tenure_scheduler.domain.notes import EventKind, Ruling, clock
from tenure_scheduler.domain.world import World

O = AttemptOutcome  # noqa: E741
S = TaskState


def accept(world: World, task: Task, attempt: Attempt, report: AttemptReport) -> None:
    """Take the result of the newest attempt of an unfinished task; it replaces a concluded loss."""
    if attempt.outcome is not None:
        take_back(world, task, attempt, f"its worker reported that it ended {report.outcome.name}")
    attempt.exit_code = report.exit_code
    attempt.signal = report.signal
    attempt.started_ns = report.started_ns or attempt.started_ns
    attempt.ended_ns = report.ended_ns or world.now.utc_ns
    attempt.pid, attempt.ticks = report.pid or attempt.pid, report.ticks or attempt.ticks
    attempt.evidence = report.evidence
    if report.outcome is O.LOST:
        saw = f"worker {attempt.worker} reported it in session {attempt.session}"
        attempt.ruling = Ruling(world.epoch, saw, reported=True)
    log = attempt.log = report.log
    if log is None and report.outcome is O.LOST:
        # Its warden died: nobody can say how much it wrote.
        arm_log_unknown(world, task, attempt)
    elif task.log_state is LogState.OPEN and (log is None or not log.frames):
        task.log_state = LogState.COMPLETE
    conclude(world, task, attempt, report.outcome, report.reason)


def lose(world: World, task: Task, attempt: Attempt, evidence: LossEvidence, reason: str, saw: str) -> None:
    """Nobody can say how the open attempt ended; `saw`: on what that rests."""
    attempt.evidence = evidence
    attempt.ruling = Ruling(world.epoch, saw)
    attempt.ended_ns = world.now.utc_ns
    arm_log_unknown(world, task, attempt)
    conclude(world, task, attempt, O.LOST, reason)


def not_started(world: World, task: Task, attempt: Attempt, reason: str) -> None:
    """The open attempt provably never ran: another one follows and nothing is counted."""
    attempt.ended_ns = world.now.utc_ns
    if task.log_state is LogState.OPEN:
        task.log_state = LogState.COMPLETE
    conclude(world, task, attempt, O.NOT_STARTED, reason)


def take_back(world: World, task: Task, attempt: Attempt, why: str) -> None:
    """Undo the conclusion that an attempt was lost or never ran: its count comes back."""
    gave_up = attempt.outcome.name if attempt.outcome is not None else ""
    if attempt.evidence is not None:
        gave_up += f" ({attempt.evidence.name})"
    text = f"{why}: the conclusion {gave_up} of {clock(attempt.ended_ns)} is taken back"
    take_note(world, task, EventKind.TAKEN_BACK, text, attempt.number)
    if attempt.counted:
        attempt.counted = False
        task.losses = max(task.losses - 1, 0)
    attempt.outcome = None
    attempt.evidence = None
    attempt.ruling = None
    attempt.late = None
    attempt.reason = ""
    attempt.ended_ns = 0
    task.next_attempt_ns = 0


def is_result(attempt: Attempt) -> bool:
    """Whether the attempt ended with a result of its own rather than by our conclusion."""
    return attempt.outcome is not None and attempt.outcome not in REOPENABLE


def conclude(world: World, task: Task, attempt: Attempt, outcome: AttemptOutcome, reason: str) -> None:
    """End an attempt and decide what its task does next."""
    excuse = _excuse(world, task, attempt)
    suspects.blame(world.workers.get(attempt.worker), task, attempt, outcome)
    attempt.outcome = outcome
    if attempt.ruling is not None:
        attempt.ruling = attempt.ruling._replace(excuse=excuse)
    attempt.reason = reason
    free(world, task, attempt)
    if outcome is O.SUCCEEDED:
        finish(world, task, S.SUCCEEDED, outcome, reason)
    elif task.state is S.CANCELLING:
        _conclude_cancelled(world, task, outcome, reason)
    elif outcome is O.REJECTED:
        finish(world, task, S.FAILED, outcome, reason)
    elif outcome in COUNTED_AS_FAILURE:
        _fail(world, task, attempt, outcome, reason)
    elif outcome in COUNTED_AS_LOSS:
        _count_loss(world, task, attempt, outcome, reason, bool(excuse))
    else:
        _start_again(world, task, attempt, outcome, reason)


def _conclude_cancelled(world: World, task: Task, outcome: AttemptOutcome, reason: str) -> None:
    """CANCELLING and a result: the real outcome stands; everything else is the end that was asked for."""
    if outcome in COUNTED_AS_FAILURE or outcome is O.REJECTED:
        finish(world, task, S.FAILED, outcome, reason)
    else:
        finish(world, task, S.CANCELLED, O.CANCELLED, task.cancel_reason or reason)


def _fail(world: World, task: Task, attempt: Attempt, outcome: AttemptOutcome, reason: str) -> None:
    task.failures += 1
    attempt.counted = True
    retry = task.profile.retry
    if retry.allows(outcome, exit_status(attempt), task.failures):
        delay = retry.delay(task.failures, _roll(task, attempt))
        wait(world, task, delay, f"attempt {attempt.number} failed, it is tried again")
    else:
        finish(world, task, S.FAILED, outcome, reason)


def exit_status(attempt: Attempt) -> int | None:
    """The exit code as a shell would show it: 128 + N for signal N."""
    return attempt.exit_code if attempt.signal is None else 128 + attempt.signal


def _roll(task: Task, attempt: Attempt) -> float:
    """A number in [0, 1) for the jitter: the id's bits are random, and a new leader draws the same."""
    return crc32(f"{task.id}.{attempt.number}".encode()) / 2**32


def _excuse(world: World, task: Task, attempt: Attempt) -> str:
    """Why a loss now does not count against the task; empty: it does."""
    worker = world.workers.get(attempt.worker)
    draining = worker is not None and bool(worker.drain_deadline_ns)
    if task.state is S.CANCELLING:
        return "the task was being cancelled"
    if attempt.evidence is LossEvidence.STORE_RESTORED:
        return "the store was restored"
    if worker is not None and not worker.may_have_started(attempt):
        return "its worker had not been told to start it"
    if draining or attempt.stopping is O.DRAINED:
        return "its worker was being drained"
    if world.storm.active:
        return "very many workers were lost at that time"
    return suspects.excuse(worker, task, attempt)


def _count_loss(
    world: World, task: Task, attempt: Attempt, outcome: AttemptOutcome, reason: str, uncounted: bool
) -> None:
    if uncounted and outcome is O.LOST:
        _start_again(world, task, attempt, outcome, reason)
        return
    attempt.counted = True
    task.losses += 1
    limit = task.profile.retry.max_losses
    if limit is not None and task.losses > limit:
        finish(world, task, S.FAILED, outcome, f"lost {task.losses} times: {reason}")
    elif world.config.loss_budget.exhausted(loss_workers(task)):
        held = f"lost {task.losses} times, the last time: {reason}"
        take_note(world, task, EventKind.HELD, held, attempt.number)
        world.set_state(task, S.QUARANTINED, held)
    else:
        _start_again(world, task, attempt, outcome, reason)


def loss_workers(task: Task) -> list[str]:
    """On which workers the counted losses fell, since the task was last released from quarantine."""
    counted = [a.worker for a in task.attempts if a.counted and a.outcome in COUNTED_AS_LOSS]
    return counted[-task.losses :] if task.losses else []


def _start_again(world: World, task: Task, attempt: Attempt, outcome: AttemptOutcome, reason: str) -> None:
    """Another attempt follows, elsewhere if possible; later and later if attempts keep ending like this."""
    streak = 0
    for earlier in reversed(task.attempts):
        if earlier.counted or earlier.outcome is not outcome:
            break
        streak += 1
    delay = repeated_delay(streak) if outcome in (O.NOT_STARTED, O.LOST) else 0.0
    task.avoid_until_ns = world.now.utc_after(world.config.avoid_worker_for)
    wait(world, task, delay, f"attempt {attempt.number}: {outcome.name.lower().replace('_', ' ')}: {reason}")


def arm_log_unknown(world: World, task: Task, attempt: Attempt) -> None:
    """The log of an attempt whose worker is gone may stay open for a while only."""
    due = world.now.boot + world.config.log_unknown_after
    world.timers.at(due, _close_log, world, task, attempt.number)


def _close_log(world: World, task: Task, number: int) -> None:
    attempt = task.current
    ended = attempt is not None and attempt.outcome is not None
    if (
        task.attempt == number
        and ended
        and task.log_state is LogState.OPEN
        and world.tasks.get(task.id) is task
    ):
        task.log_state = LogState.UNKNOWN
        world.open_logs.pop(task.id, None)
        world.touch(task)
