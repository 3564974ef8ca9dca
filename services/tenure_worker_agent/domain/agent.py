"""What does a worker agent do about everything that happens to it?

One door: events in, commands out. Connection, lease, starts and holdings each decide their part; here is
only who hears what, and in which order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from tenure_core.timing import FOREVER, Duration, Instant, Now
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.commands import AnnounceHold, Command, GiveUp, Level, News, SendReport
from tenure_worker_agent.domain.connection import Connection
from tenure_worker_agent.domain.holdings import Holdings
from tenure_worker_agent.domain.identity import Identity
from tenure_worker_agent.domain.lease import Lease
from tenure_worker_agent.domain.places import Places
from tenure_worker_agent.domain.starting import Starting
from tenure_worker_agent.domain.turn import Turn

ACK_DELAY: Final = 0.25
"""How long the number of a command may wait for a report that takes it along."""
HOLD_PATIENCE: Final = 1.0
"""Seconds that an end waits at most for the answer that its hold is committed."""
LAST_WORDS: Final = 5.0
"""Seconds that an end waits at most for the last results to be acknowledged."""


class Agent:
    """The whole agent, without its hands."""

    def __init__(self, schedulers: Iterable[str], identity: Identity, hold: Duration = 0.0) -> None:
        self._turn = turn = Turn()
        places = Places(schedulers)
        self.lease = Lease(turn, places)
        self.holdings = Holdings(turn, self.lease)
        self.starting = Starting(turn, self.lease, self.holdings)
        self.connection = Connection(turn, places, identity, self.holdings.held)
        self._places = places
        self._outbox_read = self._warden_listed = False
        self._processed = 0
        self._ack_due: Instant = FOREVER
        self._level_due = False
        """The leader is to hear with the next report what is held."""
        self._list_due = False
        """It asked for all of it."""
        self._leave_by: Instant = FOREVER
        self._hold = hold
        """For how long an orderly end of this process asks that its tasks are left where they are; 0: not."""
        self._hold_unanswered = False
        self._dying = ""
        """Why this process gives up once its last words are said."""
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            e.Ticked: lambda _: None,
            e.OutboxRead: self._on_outbox_read,
            e.WardenListed: self._on_warden_listed,
            e.ProcessStarted: self.holdings.started,
            e.ProcessRefused: self.holdings.refused,
            e.ProcessExited: self.holdings.exited,
            e.WardenStopping: self._on_warden_stopping,
            e.WardenDied: self._on_warden_died,
            e.IdentitySaved: self.connection.saved,
            e.LogsComplete: lambda event: self.holdings.logs_complete(event.fence),
            e.Welcomed: self._on_welcomed,
            e.Redirected: self.connection.redirected,
            e.Refused: self._on_refused,
            e.Commanded: self._on_commanded,
            e.StreamEnded: self._on_stream_ended,
            e.BeatAcked: self._on_beat_acked,
            e.BeatFailed: self._on_beat_failed,
            e.StopRequested: self._on_stop_requested,
        }

    def apply(self, events: Iterable[e.Event], now: Now, chance: float) -> list[Command]:
        """Take in what happened and say what is to be done; `chance` is random, between 0 and 1."""
        turn = self._turn
        turn.begin(now, chance)
        for event in events:
            self._handlers[type(event)](event)
        self.connection.tick()
        self.lease.tick()
        self.holdings.kill_overdue()
        self._report()
        self._leave_when_said()
        return turn.commands

    def due(self) -> Instant:
        """When `apply` has something to do without any event."""
        due = min(self.connection.due, self.lease.due, self._leave_by, self.holdings.kill_due)
        if self.connection.is_held:
            due = min(due, self._ack_due, self.holdings.news_due)
        return due

    # --- start and end --------------------------------------------------------------------------------

    def _on_outbox_read(self, event: e.OutboxRead) -> None:
        self.holdings.restored(event.results)
        self._outbox_read = True
        self._begin()

    def _on_warden_listed(self, event: e.WardenListed) -> None:
        self.connection.identity.under(event.instance)
        self.connection.boot_id, self.connection.reduced = event.boot_id, event.reduced
        self.holdings.listed(event)
        self._warden_listed = True
        self._begin()

    def _begin(self) -> None:
        if self._outbox_read and self._warden_listed:
            self.connection.begin()

    def _on_warden_stopping(self, _: e.WardenStopping) -> None:
        self.starting.close("its worker is being shut down")
        self._ack_due = self._turn.now.boot

    def _on_warden_died(self, _: e.WardenDied) -> None:
        self.starting.close("its warden died")
        self.holdings.warden_died()
        self._dying = "the warden died"
        self._leave_by = self._turn.now.boot + LAST_WORDS

    def _on_stop_requested(self, _: e.StopRequested) -> None:
        """Tasks run on; only what a stopping warden ended has last words that nobody else would say."""
        patience = 0.0
        if self.starting.closed:
            patience = LAST_WORDS
        elif self._hold and self.holdings.attempts and self.connection.is_held:
            patience, self._hold_unanswered = HOLD_PATIENCE, True
            self._turn.do(AnnounceHold(self.connection.stream, self._hold))
        self._leave_by = min(self._leave_by, self._turn.now.boot + patience)

    def _leave_when_said(self) -> None:
        if self._leave_by == FOREVER:
            return
        said = not self._hold_unanswered
        if self.starting.closed:
            said = not self.holdings.unanswered and not self.holdings.news
        if self._turn.now.boot < self._leave_by and not said and self.connection.is_held:
            return
        self._leave_by = FOREVER
        if self._dying:
            self._turn.do(GiveUp(self._dying, lasting=False))
        if self.connection.is_held:
            self._turn.do(self._report_of([]))
        self.connection.leave()

    # --- the session ----------------------------------------------------------------------------------

    def _on_welcomed(self, event: e.Welcomed) -> None:
        if self.connection.welcomed(event):
            # A node that is shutting down says so on each stream, before anything can be assigned.
            self._processed, self._ack_due = 0, self._turn.now.boot if self.starting.closed else FOREVER
            self._level_due = self._list_due = False
            self.lease.begin(event)

    def _on_refused(self, event: e.Refused) -> None:
        if event.reason == "STALE_CONNECT":
            self.holdings.kill_everything("its worker turned out to be a copy")
        self.connection.refused(event)

    def _on_commanded(self, event: e.Commanded) -> None:
        if not self.connection.is_held or event.stream != self.connection.stream:
            return
        self._processed = event.number
        self._ack_due = min(self._ack_due, self._turn.now.boot + ACK_DELAY)
        holdings = self.holdings
        for stop in event.stops:
            if not self.starting.withdraw(stop.fence, stop.reason):
                holdings.stop(stop)
        if event.accepted:
            holdings.accepted(event.accepted)
        for fence, reason in event.fenced:
            if not self.starting.withdraw(fence, reason):
                holdings.fence_off(fence, reason)
        for fence, relay in event.placements:
            holdings.place(fence, relay)
        if event.starts:
            self.starting.take(event.starts)
        self._list_due |= event.list_held
        self._hold_unanswered &= not event.held

    def _on_stream_ended(self, event: e.StreamEnded) -> None:
        if self.connection.ended(event):
            self.starting.discard()

    def _on_beat_acked(self, event: e.BeatAcked) -> None:
        if self.lease.acked(event):
            self._places.leads(event.leader)
            if event.leader == self.lease.asked:
                self.connection.leader_answers()
            self.holdings.extend(event.exclusive)
            self.starting.resume()
            self._level_due = True

    def _on_beat_failed(self, event: e.BeatFailed) -> None:
        if self.lease.failed(event):
            self._turn.say("warning", "the session ended; saying hello again", reason=event.reason)
            self.lease.end()
            self.connection.close()

    def _report(self) -> None:
        """Tell the leader what there is to tell, and how far its commands were processed."""
        connection = self.connection
        if not connection.is_held:
            return
        boot = self._turn.now.boot
        wants_level = self._level_due or self._list_due
        if wants_level:
            self.holdings.tell_fresh()
        news = self.holdings.take_news()
        if news or wants_level or boot >= self._ack_due:
            self._ack_due = FOREVER
            self._turn.do_first(self._report_of(news, self._level() if wants_level else None))

    def _level(self) -> Level:
        whole, self._level_due, self._list_due = self._list_due, False, False
        return self.holdings.level(self._processed, self.starting.waiting, whole=whole)

    def _report_of(self, news: list[tuple[str, News]], level: Level | None = None) -> SendReport:
        stopping = bool(self.starting.closed)
        return SendReport(self.connection.stream, self._processed, news, stopping, level)
