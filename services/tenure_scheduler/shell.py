"""How does the core run: who feeds it events, and when do its commands leave?

One leadership is one `Shell`. Everything that arrived in one turn of the event loop is applied at once;
what became dirty is committed in one batch as soon as the batch before it is; and what the core wants told
leaves when the commit that it depends on has succeeded. With nothing to do nothing waits; under load the
batches grow.

    events ──▶ core.apply ──▶ commands ──▶ queue ──(committed far enough)──▶ outlets
                   │                                        ▲
                   └──▶ dirty records ──▶ one commit at a time
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, assert_never

from tenure_core.errors import ResourceExhausted, TenureError, Unavailable
from tenure_core.timing import Instant, Now
from tenure_runtime.etcd.commit import CommitChain, Committed, Deposed, Holder, Outcome, Refused
from tenure_runtime.etcd.errors import EtcdNoSpace
from tenure_runtime.etcd.leadership import boottime
from tenure_runtime.logging_setup import get_logger
from tenure_scheduler.adapters.callers import RETRY_AFTER, Caller, Listener, gives_up_at
from tenure_scheduler.adapters.sealing import Sealed, Sealer
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.model import Task

STALL_SECONDS: Final = 0.5
"""A commit that takes longer than this makes callers look at their deadlines."""
_SWEEP_SECONDS: Final = 0.1
_GATHER_SECONDS: Final = 0.01
"""How long events wait for the commit in flight before they are applied without it."""
_LEISURE_SECONDS: Final = 0.05
"""How long an event may wait that changes nothing now."""
_REFUSED_PAUSE: Final = 1.0
_log = get_logger("shell")


class Outlets(Protocol):
    """Where commands go when they leave."""

    def send_commands(self, command: c.SendCommands) -> None:
        """Write a Commands message to its stream."""

    def welcome(self, command: c.WelcomeWorker) -> None:
        """Tell an agent that its session stands."""

    def refuse(self, command: c.RefuseHello) -> None:
        """Tell an agent that it cannot have a session, and end its stream."""

    def close_stream(self, command: c.CloseStream) -> None:
        """End a session stream."""

    def grant_lease(self, command: c.GrantLease) -> None:
        """Begin to grant a lease; the answer is an event."""

    def prove_live(self, command: c.ProveLive) -> None:
        """Begin to read `live` keys; the answers are events."""

    def orphans(self, command: c.TellOrphans) -> None:
        """Tell people of attempts that a restore has left without a record."""

    def sealed(self, index: int, tasks: list[Task]) -> None:
        """These records go into commit number `index`: look at them now, they change."""

    def committing(self, tasks: list[Task], seconds: float) -> None:
        """These records were committed just now; they do not know their revision yet."""

    def committed(self, index: int, revision: int) -> None:
        """What was sealed as commit number `index` is committed at this revision."""


class _Waiting(NamedTuple):
    """A command, or a future of a reader, and what must be committed before it leaves."""

    mark: int
    after: int
    command: Any


class Shell:
    """One leadership's loop. `over` is done when it ended, with the reason."""

    def __init__(
        self, core: Core, chain: CommitChain, sealer: Sealer, outlets: Outlets, holder: Holder
    ) -> None:
        self.core = core
        self._holder = holder
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.blocked: TenureError | None = None
        """Why nothing can be stored at present; None: it can."""
        self.revision = 0
        """Revision of the last commit."""
        self._loop = asyncio.get_running_loop()
        self._chain = chain
        self._sealer = sealer
        self._outlets = outlets
        self._inbox: list[e.Event] = []
        self._turning = False
        self._queue: deque[_Waiting] = deque()
        self._callers: dict[int, Caller | Listener] = {}
        self._ticket = 0
        self._committed_mark = core.dirty_taken
        self._begun = 0
        self._done = 0
        self._begun_at: Instant | None = None
        self._registrations: deque[c.RegisterWorker] = deque()
        self._live_deletes: list[tuple[str, int]] = []
        self._lives: dict[str, int] = {}
        """Create revision of the newest `live` of each worker that this leadership registered."""
        self._committing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: Instant = float("inf")
        self._later: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    # --- in ------------------------------------------------------------------------------------------

    def post(self, event: e.Event) -> None:
        """Hand an event to the core, together with all others of this turn of the loop.

        While a commit is in flight nothing new could be committed anyway: events gather until it is done (or
        takes long), so that under load one turn, one batch and one message per worker serve many of them.
        """
        self._inbox.append(event)
        if self._begun_at is not None:
            self._turn_later(_GATHER_SECONDS)
        elif not self._turning:
            self._turning = True
            self._loop.call_soon(self._scheduled_turn)

    def _turn_later(self, seconds: float) -> None:
        if not self._turning and self._later is None:
            self._later = self._loop.call_later(seconds, self._turn)

    async def ask(self, event_of: Callable[[int], e.Event], remaining: float | None) -> Any:
        """Hand in a request and wait for the core's answer; `remaining`: seconds that the caller has."""
        self.check_open()
        self._ticket += 1
        ticket = self._ticket
        future = self._loop.create_future()
        self._callers[ticket] = Caller(future, gives_up_at(remaining))
        self.post(event_of(ticket))
        try:
            return await future
        finally:
            self._callers.pop(ticket, None)

    def listen(self, event_of: Callable[[int], e.Event]) -> Listener:
        """Hand in a request that is answered more than once; `unlisten` ends it."""
        self.check_open()
        self._ticket += 1
        listener = self._callers[self._ticket] = Listener(self._ticket)
        self.post(event_of(self._ticket))
        return listener

    def unlisten(self, listener: Listener) -> None:
        """Nobody reads these answers any more."""
        self._callers.pop(listener.ticket, None)

    async def settled(self, remaining: float | None = None) -> None:
        """Return when everything that the caller can have seen up to now is committed."""
        self.check_open()
        mark = self.core.dirty_marked
        if mark > self._committed_mark:
            await self._commit_after(mark, -1, remaining)

    async def proved(self, remaining: float | None = None) -> None:
        """Return when everything seen up to now is committed, and a commit begun after this call succeeded.

        A replica may have been replaced without knowing it: its lease was revoked, or somebody usurped the
        lead. Its memory may be old then, but the commit that follows fails. So whatever must never be said
        from an old memory waits for this.
        """
        self.check_open()
        await self._commit_after(self.core.dirty_marked, self._begun, remaining)

    async def _commit_after(self, mark: int, after: int, remaining: float | None) -> None:
        """Wait for the commit that covers `mark` and for one with a number above `after`."""
        self._ticket += 1
        ticket = self._ticket
        future = self._loop.create_future()
        self._callers[ticket] = Caller(future, gives_up_at(remaining))
        self._queue.append(_Waiting(mark, after, future))
        self._commit_next()
        try:
            await future
        finally:
            self._callers.pop(ticket, None)

    async def applied(self) -> None:
        """Return when the core has seen everything that was posted up to now."""
        if self._inbox:
            self._turn()

    def check_open(self) -> None:
        """Raise Unavailable when this leadership is over."""
        if self.over.done() or self._holder.remaining() <= 0:
            raise Unavailable("this replica no longer leads", retry_after=RETRY_AFTER)

    # --- the turn ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Apply what the load left to do, and keep the core's time."""
        self.post(e.TimePassed())

    def _scheduled_turn(self) -> None:
        if self._turning:
            self._turn()

    def _turn(self) -> None:
        self._turning = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self.over.done():
            return
        events, self._inbox = self._inbox, []
        try:
            commands = self.core.apply(events, clock())
        except Exception as error:  # noqa: BLE001  (half a change may be in memory: all of it is dropped)
            _log.error("the core failed; its memory is dropped", exc_info=error, events=repr(events)[:2000])
            self.end("an internal error")
            return
        mark = self.core.dirty_marked
        for command in commands:
            self._take(command, mark)
        self._release()
        self._commit_next()
        self._arm()

    def _take(self, command: c.Command, mark: int) -> None:
        match command:
            case c.CloseStream():
                self._outlets.close_stream(command)
            case c.GrantLease():
                self._outlets.grant_lease(command)
            case c.ProveLive():
                self._outlets.prove_live(command)
            case c.TellOrphans():
                self._outlets.orphans(command)
            case c.RaiseAlarm():
                _log.error("alarm", alarm=command.name, reason=command.message)
            case c.SendCommands():
                self._queue.append(_Waiting(mark, self._begun if command.needs_proof else -1, command))
            case c.WelcomeWorker():
                self._queue.append(_Waiting(mark, self._begun, command))
            case (
                c.RefuseHello()
                | c.RegisterWorker()
                | c.DeleteLive()
                | c.AnswerSubmit()
                | c.AnswerCancel()
                | c.AnswerRelease()
                | c.AnswerWorkers()
                | c.AnswerError()
                | c.TellFinished()
            ):
                self._queue.append(_Waiting(mark, -1, command))
            case _:
                assert_never(command)

    def _arm(self) -> None:
        wake = self.core.next_wakeup() or float("inf")
        if self._timer is not None:
            if wake == self._armed_for:
                return
            self._timer.cancel()
            self._timer = None
        self._armed_for = wake
        if wake < float("inf"):
            # The loop's clock stands still while the machine sleeps: look again at least every second.
            delay = min(max(wake - boottime(), 0.001), 1.0)
            self._timer = self._loop.call_later(delay, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self.post(e.TimePassed())

    # --- commits -------------------------------------------------------------------------------------

    def _commit_next(self) -> None:
        if self._committing is None and not self.over.done() and self._work():
            self._committing = self._loop.create_task(self._commit(), name="commits")

    def _work(self) -> bool:
        """Whether a commit is needed: something is dirty, or somebody waits for proof that we lead."""
        return bool(
            self.core.dirty_marked > self.core.dirty_taken
            or self._registrations
            or self._live_deletes
            or self._queue
        )

    async def _commit(self) -> None:
        try:
            while not self.over.done() and self._work():
                sealed = self._seal()
                self._begun_at = proved_at = boottime()
                self._sweep_later()
                outcome = await self._definite(sealed)
                self._begun_at = None
                if not isinstance(outcome, Committed):
                    self.end(outcome.reason)
                    return
                self._finish(sealed, outcome, proved_at)
                # What arrived with etcd's answer is on its way through the loop: let it into the next batch.
                await asyncio.sleep(0)
                if self._inbox:
                    self._turn()
        except Exception as error:  # noqa: BLE001  (what was committed is unknown: the memory is dropped)
            _log.error("a commit failed", exc_info=error)
            self.end("an internal error")
        finally:
            self._committing = None

    def _seal(self) -> Sealed:
        self._begun += 1
        if self._registrations:
            return self._sealer.registration(self._begun, self._registrations.popleft())
        # A deletion that had to wait, for etcd to have room perhaps, must not meet a newer session's `live`.
        deletes = [
            (worker, made) for worker, made in self._live_deletes if made >= self._lives.get(worker, 0)
        ]
        self._live_deletes = []
        sealed = self._sealer.dirty(self._begun, deletes)
        self._outlets.sealed(sealed.index, sealed.dirty.tasks)
        return sealed

    async def _definite(self, sealed: Sealed) -> Committed | Deposed:
        """Commit; while etcd refuses (it is full), the same batch again and again."""
        while True:
            outcome: Outcome = await self._chain.commit(sealed.batch)
            if not isinstance(outcome, Refused):
                if self.blocked is not None:
                    _log.warning("etcd takes writes again")
                    self.blocked = None
                return outcome
            self._refused(outcome)
            await asyncio.sleep(_REFUSED_PAUSE)

    def _refused(self, outcome: Refused) -> None:
        full = isinstance(outcome.error, EtcdNoSpace)
        if self.blocked is None:
            _log.error("etcd refuses writes", reason=str(outcome.error))
        sentence = f"nothing can be stored: {outcome.error}"
        self.blocked = (
            ResourceExhausted(sentence, retry_after=5.0) if full else Unavailable(sentence, retry_after=5.0)
        )
        for caller in list(self._callers.values()):
            caller.fail(self.blocked)

    def _finish(self, sealed: Sealed, outcome: Committed, proved_at: Instant) -> None:
        self._done = sealed.index
        self._committed_mark = max(self._committed_mark, sealed.mark)
        self.revision = outcome.revision
        self._outlets.committing(sealed.dirty.tasks, boottime() - proved_at)
        self.core.committed(sealed.dirty, outcome.revision)
        if sealed.registration is not None:
            self._registered(sealed.registration, outcome)
        elif outcome.leases_gone:
            self._leases_gone(sealed, outcome, proved_at)
        for worker, revision in sealed.live_deleted:
            self.post(e.LiveDeleted(worker, revision, proved_at, outcome.revision))
        self._outlets.committed(sealed.index, outcome.revision)
        self._release()

    def _registered(self, command: c.RegisterWorker, outcome: Committed) -> None:
        name = command.worker.name
        if name in outcome.leases_gone:
            reason = "the new lease ended, or an older session was still there"
            self.post(e.JoinFailed(name, command.ticket, reason))
        else:
            self._lives[name] = outcome.revision
            self.post(e.WorkerRegistered(name, command.ticket, outcome.revision))

    def _leases_gone(self, sealed: Sealed, outcome: Committed, proved_at: Instant) -> None:
        """The Starts that waited for this commit are void: their `own` keys were not written."""
        gone = frozenset(outcome.leases_gone)
        self._queue = deque(
            entry
            for entry in self._queue
            if not (
                entry.mark <= sealed.mark
                and isinstance(entry.command, c.SendCommands)
                and entry.command.worker in gone
            )
        )
        for session in sealed.batch.leased:
            if session.worker in gone:
                self.post(
                    e.WorkerLeaseGone(session.worker, session.live_revision, proved_at, outcome.revision)
                )

    # --- out -----------------------------------------------------------------------------------------

    def _release(self) -> None:
        """Let everything leave whose commits are done, in order."""
        queue, mark, done = self._queue, self._committed_mark, self._done
        while queue and queue[0].mark <= mark and queue[0].after < done:
            self._leave(queue.popleft().command)

    def _leave(self, command: Any) -> None:
        match command:
            case asyncio.Future():
                if not command.done():
                    command.set_result(None)
            case c.SendCommands():
                self._outlets.send_commands(command)
                if command.starts:
                    sent = e.CommandsSent(command.worker, command.stream, command.number)
                    self._inbox.append(sent)
                    self._turn_later(_LEISURE_SECONDS)
            case c.WelcomeWorker():
                self._outlets.welcome(command)
            case c.RefuseHello():
                self._outlets.refuse(command)
            case c.RegisterWorker():
                self._registrations.append(command)
                self._commit_next()
            case c.DeleteLive():
                self._live_deletes.append((command.worker, command.live_revision))
                self._commit_next()
            case c.TellFinished():
                self._tell(command)
            case _:
                self._answer(command)

    def _answer(self, command: Any) -> None:
        caller = self._callers.get(command.ticket)
        if caller is not None:
            caller.answer(command)

    def _tell(self, command: c.TellFinished) -> None:
        for ticket, item in (*command.tasks, *command.unknown):
            caller = self._callers.get(ticket)
            if caller is not None:
                caller.answer(item)

    # --- trouble -------------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(STALL_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """While a commit hangs: tell callers to come again before their deadlines pass."""
        self._sweeper = None
        if self._begun_at is None or self.over.done():
            return
        now = boottime()
        if now - self._begun_at >= STALL_SECONDS:
            sentence = "the store does not answer; what was asked for may still happen"
            for caller in list(self._callers.values()):
                if now >= caller.gives_up_at:
                    caller.fail(Unavailable(sentence, retry_after=1.0))
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    @property
    def stalled_for(self) -> float:
        """Seconds for which the commit in flight has been without an answer; 0: none is."""
        return 0.0 if self._begun_at is None else boottime() - self._begun_at

    def end(self, reason: str) -> None:
        """This leadership is over: nothing leaves any more, and everybody who waits is told to come again."""
        if self.over.done():
            return
        self.over.set_result(reason)
        for handle in (self._timer, self._sweeper, self._later):
            if handle is not None:
                handle.cancel()
        self._queue.clear()
        for caller in list(self._callers.values()):
            caller.fail(Unavailable(f"this replica no longer leads: {reason}", retry_after=RETRY_AFTER))

    async def drained(self, seconds: float) -> None:
        """Let the commit in flight finish, and what waits for it leave, for at most so long."""
        committing = self._committing
        if committing is not None and not self.over.done():
            await asyncio.wait({committing}, timeout=seconds)

    async def close(self) -> None:
        """End and wait for the last commit's task."""
        self.end("it was closed")
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.gather(self._committing, return_exceptions=True)


def clock() -> Now:
    """Both clocks, read together."""
    return Now(boottime(), time.time_ns())
