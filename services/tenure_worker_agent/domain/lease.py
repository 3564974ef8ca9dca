"""When is the lease renewed, and when must this worker stop believing that it holds it?

The server starts counting when it handles a keepalive, which is never before it was sent. Counting from the
send therefore errs on the safe side. A Welcome alone proves no lifetime: it may confirm a lease that was
renewed long ago. So the first beat follows it at once, and nothing is exec'd before that beat's ack.
"""

from __future__ import annotations

from typing import Final

from tenure_core.timing import FOREVER, NEVER, Duration, Instant
from tenure_worker_agent.domain.commands import SendBeat
from tenure_worker_agent.domain.events import BeatAcked, BeatFailed, Welcomed
from tenure_worker_agent.domain.places import Places
from tenure_worker_agent.domain.turn import Turn

SHORTEST_WAIT: Final = 0.3
LONGEST_WAIT: Final = 1.5


class Lease:
    """The lease of the present session."""

    def __init__(self, turn: Turn, places: Places) -> None:
        self._turn = turn
        self._places = places
        self.deadline: Instant = NEVER
        """The last instant at which this worker may start something."""
        self.ttl: Duration = 0.0
        self.margin: Duration = 0.0
        self._session: Welcomed | None = None
        self._ticket = 0
        self.asked = ""
        """Where the newest beat was sent."""
        self._in_flight = False
        self._next_at: Instant = FOREVER
        self._failures = 0

    @property
    def live(self) -> bool:
        """Whether the worker may start something now."""
        return self._turn.now.boot < self.deadline

    @property
    def punctual(self) -> bool:
        """Whether it is live and no beat is due, under way or to be repeated.

        What runs until the lease ends may begin only then: the next beats still have the time that they are
        meant to have before a TERM is due. Later the TERM may be due already, in a lease that is still live.
        """
        waits = not self._in_flight and not self._failures
        return waits and self.live and self._turn.now.boot < self._next_at

    @property
    def due(self) -> Instant:
        return FOREVER if self._in_flight else self._next_at

    def begin(self, welcome: Welcomed) -> None:
        """A session begins, or is confirmed on a new stream."""
        known = self._session
        if known is None or known.lease_id != welcome.lease_id:
            self.deadline = NEVER
        self._session = welcome
        self.ttl, self.margin = welcome.ttl, welcome.margin
        self._ticket += 1
        self._in_flight, self._failures = False, 0
        self._next_at = self._turn.now.boot

    def end(self) -> None:
        """The session is lost."""
        self.deadline = NEVER
        self._session = None
        self._ticket += 1
        self._in_flight, self._next_at = False, FOREVER

    def tick(self) -> None:
        """Send the beat that is due."""
        session = self._session
        if session is None or self._in_flight or self._turn.now.boot < self._next_at:
            return
        self._in_flight = True
        self._ticket += 1
        self.asked = self._places.for_beat(self._failures)
        timeout = min(LONGEST_WAIT, max(SHORTEST_WAIT, self.ttl / 8))
        self._turn.do(
            SendBeat(
                self._ticket,
                self.asked,
                session.session,
                session.lease_id,
                session.live_revision,
                timeout,
            )
        )

    def acked(self, event: BeatAcked) -> bool:
        """Extend the deadline; False for a late ack of an earlier session or try, which extends nothing."""
        if event.ticket != self._ticket or not self._in_flight:
            return False
        if self._failures >= len(self._places.all):
            self._turn.say("info", "the lease is being renewed again")
        self._in_flight, self._failures = False, 0
        self.ttl = event.ttl
        self.deadline = max(self.deadline, event.sent_at + event.ttl - self.margin)
        self._next_at = event.sent_at + self._turn.about(event.ttl / 4, 0.2)
        return True

    def failed(self, event: BeatFailed) -> bool:
        """Try the next replica; after a round of all of them wait a little. True: the session is lost."""
        if event.ticket != self._ticket or not self._in_flight:
            return False
        self._in_flight = False
        if event.session_lost:
            # The leader that we had may be frozen, and the grace of the next one is running.
            self._places.answers(self.asked)
            return True
        self._failures += 1
        rounds, rest = divmod(self._failures, len(self._places.all))
        self._next_at = self._turn.now.boot
        if rest == 0:
            self._next_at += self._turn.about(self.ttl / 20)
            if rounds == 1:
                self._turn.say("warning", "no scheduler renews the lease; tasks run on", reason=event.reason)
        return False

    def kill_times(self, grace: Duration) -> tuple[Instant, Instant]:
        """When TERM and KILL are due for an exclusive attempt, as far as the lease reaches now.

        The grace is cut so that beats have most of the lease's life to arrive before a TERM is due.
        """
        longest = (self.ttl - self.margin) / 3
        return self.deadline - min(grace, longest), self.deadline
