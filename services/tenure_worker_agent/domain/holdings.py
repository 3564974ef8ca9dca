"""Which attempts does this node hold, what is to be told of them, and what may be forgotten?

An attempt stays here until its result is acknowledged or void; its output may be on its way for longer. A
result is told again until it is answered. News of a process that started waits a moment: most short tasks
end before it would leave, and their result says the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tenure_core.levels import HeldPhase, level_digest
from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_core.timing import FOREVER, Instant
from tenure_worker_agent.domain.attempts import Attempt, Stage, Stopping
from tenure_worker_agent.domain.commands import (
    AcceptExits,
    DropResults,
    ExtendDeadlines,
    FinishLogs,
    ForgetAttempts,
    Held,
    KeepResults,
    KillProcess,
    Level,
    News,
    NotStarted,
    PlaceLogs,
    Started,
    Stopped,
    StopProcess,
)
from tenure_worker_agent.domain.results import NO_OUTPUT, Result, refusal_of, result_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tenure_worker_agent.domain.events import (
        ProcessExited,
        ProcessRefused,
        ProcessStarted,
        Stop,
        WardenListed,
    )
    from tenure_worker_agent.domain.lease import Lease
    from tenure_worker_agent.domain.turn import Turn

STARTED_DELAY: Final = 0.05
REPEAT_AFTER: Final = 10.0
KILL_AGAIN: Final = 0.5
REMEMBERED: Final = 16_384
UNKNOWN_FRAMES: Final = -1


class Holdings:
    """Every attempt of this node."""

    def __init__(self, turn: Turn, lease: Lease) -> None:
        self._turn = turn
        self._lease = lease
        self.attempts: dict[str, Attempt] = {}
        self.news: dict[str, News] = {}
        """To be told on the present stream."""
        self.unanswered: dict[str, Instant] = {}
        """Results that were told and not answered, with the time; the oldest first."""
        self._fresh: dict[str, None] = {}
        self._fresh_due: Instant = FOREVER
        self._exclusive: dict[str, Attempt] = {}
        self._logs: dict[str, bool] = {}
        """Attempts whose output is on its way; True: nothing else is left of the attempt."""
        self._done: dict[str, None] = {}
        """Fences that were held once; bounded, the oldest first."""

    # --- what may be started --------------------------------------------------------------------------

    def knows(self, fence: str) -> bool:
        """Whether the fence was ever begun here, as far as this process remembers."""
        return fence in self.attempts or fence in self._done or fence in self._logs

    def add(self, fence: str, attempt: Attempt) -> None:
        """Hold one more."""
        self.attempts[fence] = attempt
        if attempt.exclusive:
            self._exclusive[fence] = attempt

    def tell_again(self, fence: str) -> None:
        """The leader does not seem to know where this attempt stands."""
        attempt = self.attempts.get(fence)
        if attempt is None:
            self.news[fence] = Stopped()
        elif attempt.stage is Stage.ENDED and attempt.result is not None:
            self.news[fence] = attempt.result
        elif attempt.stage is Stage.RUNNING:
            self.news[fence] = Started(attempt.pid, attempt.ticks, attempt.started_ns)

    # --- what the warden says -------------------------------------------------------------------------

    def listed(self, event: WardenListed) -> None:
        """Compare with what the warden has; its word counts."""
        for fence in event.queued:
            self.attempts.setdefault(fence, Attempt(Stage.ORDERED))
        for seen in event.attempts:
            self._running(seen)
        for entry in event.exits:
            self._exit(entry["record"], accepted=entry["accepted"])
        running = {seen["fence"] for seen in event.attempts}
        for fence, attempt in list(self.attempts.items()):
            if attempt.stage is Stage.RUNNING and fence not in running:
                self._lost(fence, attempt, LossEvidence.PROCESS_VANISHED, "the warden no longer has it")

    def _running(self, seen: dict[str, Any]) -> None:
        fence, note = seen["fence"], seen.get("note") or {}
        attempt = self.attempts.get(fence)
        if attempt is None:
            attempt = Attempt(Stage.RUNNING)
            attempt.exclusive = bool(note.get("exclusive"))
            attempt.grace = note.get("grace", 0.0)
            self.add(fence, attempt)
            self._turn.do(PlaceLogs(fence, note.get("relay", "")))
        if attempt.stage in (Stage.ORDERED, Stage.RUNNING):
            attempt.stage = Stage.RUNNING
            attempt.pid, attempt.ticks, attempt.started_ns = seen["pid"], seen["ticks"], seen["at"]

    def started(self, event: ProcessStarted) -> None:
        """An attempt's process runs."""
        attempt = self.attempts.get(event.fence)
        if attempt is None or attempt.stage is not Stage.ORDERED:
            return
        attempt.stage = Stage.RUNNING
        attempt.pid, attempt.ticks, attempt.started_ns = event.pid, event.ticks, event.at_ns
        if not self._fresh:
            self._fresh_due = self._turn.now.boot + STARTED_DELAY
        self._fresh[event.fence] = None

    def refused(self, event: ProcessRefused) -> None:
        """The warden did not start it."""
        attempt = self.attempts.get(event.fence)
        if attempt is None or attempt.stage is not Stage.ORDERED:
            return
        refusal = refusal_of(event.kind, event.message)
        if attempt.fenced:
            self._void(event.fence)
        elif refusal.outcome is None:
            self._void(event.fence, NotStarted(refusal.reason))
        else:
            lost = refusal.outcome is AttemptOutcome.LOST
            evidence = LossEvidence.PROCESS_VANISHED if lost else None
            now = self._turn.now.utc_ns
            result = Result(
                refusal.outcome, reason=refusal.reason, evidence=evidence, ended_ns=now, log=NO_OUTPUT
            )
            self.keep([(event.fence, result)])

    def exited(self, event: ProcessExited) -> None:
        """An attempt ended; the warden's journal has its record."""
        self._exit(event.record, accepted=False)

    def _exit(self, record: dict[str, Any], *, accepted: bool) -> None:
        fence = record["fence"]
        attempt = self.attempts.get(fence)
        if attempt is None:
            if fence in self._logs:
                return
            attempt = self.attempts[fence] = Attempt(Stage.RUNNING)
            self._turn.do(PlaceLogs(fence, (record.get("note") or {}).get("relay", "")))
        elif attempt.stage is Stage.ENDED:
            return
        attempt.stage = Stage.ENDED
        attempt.result = result_of(record)
        self._fresh.pop(fence, None)
        self._exclusive.pop(fence, None)
        self._finish_logs(fence, attempt.result, record.get("tail", ""))
        if accepted or attempt.fenced:
            self._conclude([fence])
            if not accepted:
                self.news[fence] = Stopped(attempt.result)
        else:
            self.news[fence] = attempt.result

    def _finish_logs(self, fence: str, result: Result, tail: str) -> None:
        """Without a frame there is nothing to wait for."""
        finals = result.log
        if finals is not None and not finals.frames:
            self._turn.do(FinishLogs(fence, 0))
            return
        self._logs[fence] = False
        self._turn.do(FinishLogs(fence, UNKNOWN_FRAMES if finals is None else finals.frames, tail))

    def warden_died(self) -> None:
        """Nobody will ever say how the running attempts end: end them, and say so.

        Whether the ordered ones were begun is in the journal, which the next warden reads: one of them may
        have killed this one.
        """
        for fence, attempt in list(self.attempts.items()):
            if attempt.stage is Stage.ORDERED:
                self._turn.do(KillProcess(fence, 0, 0))
            if attempt.stage is not Stage.RUNNING:
                continue
            self._turn.do(KillProcess(fence, attempt.pid, attempt.ticks))
            attempt.stage = Stage.ENDED
            attempt.result = self._loss(attempt, LossEvidence.WARDEN_DIED, "the warden died")
            self._fresh.pop(fence, None)
            self.news[fence] = attempt.result
        self._exclusive.clear()

    def _lost(self, fence: str, attempt: Attempt, evidence: LossEvidence, reason: str) -> None:
        self._exclusive.pop(fence, None)
        self._fresh.pop(fence, None)
        self.keep([(fence, self._loss(attempt, evidence, reason))])

    def _loss(self, attempt: Attempt, evidence: LossEvidence, reason: str) -> Result:
        return Result(
            AttemptOutcome.LOST,
            reason=reason,
            evidence=evidence,
            started_ns=attempt.started_ns,
            ended_ns=self._turn.now.utc_ns,
            pid=attempt.pid,
            ticks=attempt.ticks,
        )

    # --- the outbox -----------------------------------------------------------------------------------

    def keep(self, results: list[tuple[str, Result]]) -> None:
        """Tell results that only this process knows, and have them made durable meanwhile.

        Nothing ran, so nothing is lost with a result that is neither told nor durable when this process dies:
        the next Hello does not name the attempt, and its task gets another one.
        """
        for fence, result in results:
            attempt = self.attempts.get(fence)
            if attempt is None:
                self.attempts[fence] = Attempt(Stage.ENDED, result, in_outbox=True)
            else:
                attempt.stage, attempt.result, attempt.in_outbox = Stage.ENDED, result, True
            self.news[fence] = result
        self._turn.do(KeepResults(results))

    def restored(self, results: Iterable[tuple[str, Result]]) -> None:
        """An earlier agent process left these."""
        for fence, result in results:
            self.attempts[fence] = Attempt(Stage.ENDED, result, in_outbox=True)

    # --- what the leader says -------------------------------------------------------------------------

    def stop(self, order: Stop) -> None:
        """End an attempt; what is reported when that is what ended it comes with the order."""
        attempt = self.attempts.get(order.fence)
        if attempt is None or attempt.stage is Stage.ENDED:
            self.tell_again(order.fence)
        else:
            attempt.stopping = Stopping(order.outcome, order.reason)
            note = {"outcome": int(order.outcome), "reason": order.reason}
            self._turn.do(StopProcess(order.fence, note))

    def accepted(self, fences: Iterable[str]) -> None:
        """These results are committed. One that was told twice may be named twice."""
        self._conclude([fence for fence in dict.fromkeys(fences) if self._has_ended(fence)])

    def _has_ended(self, fence: str) -> bool:
        attempt = self.attempts.get(fence)
        return attempt is not None and attempt.stage is Stage.ENDED

    def fence_off(self, fence: str, reason: str) -> None:
        """The attempt was given away: end it, let its output go on, and forget its result."""
        attempt = self.attempts.get(fence)
        if attempt is None:
            if fence not in self._logs:
                self.news[fence] = Stopped()
        elif attempt.stage is Stage.ENDED:
            self._conclude([fence])
        elif not attempt.fenced:
            attempt.fenced = True
            self._turn.say("info", "an attempt was given away", fence=fence, reason=reason)
            self._turn.do(StopProcess(fence, {"outcome": int(AttemptOutcome.LOST), "reason": reason}, 0.0))

    def _conclude(self, fences: list[str]) -> None:
        """Results that nobody needs any more."""
        dropped, accepted, forgotten = [], [], []
        attempts, logs, done, unanswered = self.attempts, self._logs, self._done, self.unanswered
        for fence in fences:
            attempt = attempts.pop(fence)
            unanswered.pop(fence, None)
            self.news.pop(fence, None)
            done[fence] = None
            if attempt.in_outbox:
                dropped.append(fence)
            elif fence in logs:
                logs[fence] = True
                accepted.append(fence)
            else:
                forgotten.append(fence)
        while len(done) > REMEMBERED:
            del done[next(iter(done))]
        turn = self._turn
        if dropped:
            turn.do(DropResults(dropped))
        if accepted:
            turn.do(AcceptExits(accepted))
        if forgotten:
            turn.do(ForgetAttempts(forgotten))

    def _void(self, fence: str, news: News | None = None) -> None:
        """Nothing of it ever ran."""
        self.attempts.pop(fence, None)
        self._exclusive.pop(fence, None)
        self._done[fence] = None
        self.news[fence] = news or Stopped()

    def place(self, fence: str, relay: str) -> None:
        """Its output goes to this relay from now on."""
        if fence in self.attempts or fence in self._logs:
            self._turn.do(PlaceLogs(fence, relay))

    def logs_complete(self, fence: str) -> None:
        """Its whole output is at the relay."""
        if self._logs.pop(fence, False):
            self._turn.do(ForgetAttempts([fence]))

    # --- exclusive attempts ---------------------------------------------------------------------------

    def extend(self, fences: Iterable[str]) -> None:
        """The session still has these exclusive attempts: they may go on as long as the lease does."""
        deadlines = {}
        for fence in fences:
            attempt = self._exclusive.get(fence)
            if attempt is not None:
                deadlines[fence] = times = self._lease.kill_times(attempt.grace)
                attempt.kill_at = times[1]
        if deadlines:
            self._turn.do(ExtendDeadlines(deadlines))

    def kill_overdue(self) -> None:
        """The warden should have killed these by now: do it here."""
        boot = self._turn.now.boot
        for fence, attempt in self._exclusive.items():
            if attempt.pid and boot >= attempt.kill_at and attempt.kill_at > 0:
                attempt.kill_at = boot + KILL_AGAIN
                self._turn.say("warning", "the warden is silent; killing an exclusive attempt", fence=fence)
                self._turn.do(KillProcess(fence, attempt.pid, attempt.ticks))

    def kill_everything(self, reason: str) -> None:
        """This worker is not who it thought it was: nothing of it may go on."""
        note = {"outcome": int(AttemptOutcome.LOST), "reason": reason}
        for fence, attempt in self.attempts.items():
            if attempt.stage in (Stage.ORDERED, Stage.RUNNING):
                self._turn.do(StopProcess(fence, note, 0.0))

    # --- what is told ---------------------------------------------------------------------------------

    def held(self) -> list[Held]:
        """Everything, as the Hello names it; what was to be told on an earlier stream is in it."""
        self.news.clear()
        self.unanswered.clear()
        self._fresh.clear()
        return self._everything()

    def _everything(self) -> list[Held]:
        boot = self._turn.now.boot
        found = []
        for fence, attempt in self.attempts.items():
            result = attempt.result if attempt.stage is Stage.ENDED else None
            started = attempt.stage is Stage.RUNNING or (result is not None and bool(result.started_ns))
            stopping = _is_stopping(attempt)
            found.append(
                Held(fence, started, attempt.started_ns, attempt.pid, result, stopping, attempt.ticks)
            )
            if result is not None:
                self.unanswered.pop(fence, None)
                self.unanswered[fence] = boot
        return found

    def level(self, processed: int, waiting: Iterable[str], *, whole: bool) -> Level:
        """What is held when all news are told; `waiting` are Starts that are not begun yet."""
        waiting = list(waiting)
        open_ones = [(fence, _phase(a)) for fence, a in self.attempts.items() if a.stage is not Stage.ENDED]
        digest = level_digest([*open_ones, *((fence, HeldPhase.HELD) for fence in waiting)])
        if not whole:
            return Level(processed, digest, None)
        about_to_start = [Held(fence, started=False, started_ns=0, pid=0, result=None) for fence in waiting]
        return Level(processed, digest, [*self._everything(), *about_to_start])

    @property
    def kill_due(self) -> Instant:
        """When an exclusive attempt has to be dead at the latest."""
        due = FOREVER
        for attempt in self._exclusive.values():
            if attempt.pid and 0 < attempt.kill_at < due:
                due = attempt.kill_at
        return due

    @property
    def news_due(self) -> Instant:
        """When there is something to tell again, or for the first time; to be told on a stream."""
        due = self._fresh_due if self._fresh else FOREVER
        if self.unanswered:
            due = min(due, next(iter(self.unanswered.values())) + REPEAT_AFTER)
        return due

    def take_news(self) -> list[tuple[str, News]]:
        """What is to be told now."""
        boot = self._turn.now.boot
        if self._fresh and boot >= self._fresh_due:
            self.tell_fresh()
        self._repeat(boot)
        if not self.news:
            return []
        found = list(self.news.items())
        self.news.clear()
        unanswered = self.unanswered
        for fence, news in found:
            if type(news) is Result:
                unanswered.pop(fence, None)
                unanswered[fence] = boot
        return found

    def tell_fresh(self) -> None:
        """Tell of processes that have just started, without waiting for their end."""
        for fence in self._fresh:
            attempt = self.attempts.get(fence)
            if attempt is not None and attempt.stage is Stage.RUNNING and fence not in self.news:
                self.news[fence] = Started(attempt.pid, attempt.ticks, attempt.started_ns)
        self._fresh.clear()

    def _repeat(self, boot: Instant) -> None:
        for fence, told_at in self.unanswered.items():
            if told_at + REPEAT_AFTER > boot:
                return
            attempt = self.attempts.get(fence)
            if attempt is not None and attempt.result is not None:
                self.news[fence] = attempt.result


def _is_stopping(attempt: Attempt) -> bool:
    return attempt.stage is not Stage.ENDED and (attempt.fenced or attempt.stopping is not None)


def _phase(attempt: Attempt) -> HeldPhase:
    if _is_stopping(attempt):
        return HeldPhase.STOPPING
    return HeldPhase.STARTED if attempt.stage is Stage.RUNNING else HeldPhase.HELD
