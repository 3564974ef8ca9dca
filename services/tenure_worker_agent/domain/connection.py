"""How does an agent get a session with the leader, and keep having one?

One stream at a time: the old one has ended before a new connect counter is made durable, and only then a
Hello leaves. Everything that was said on an ended stream and has no journal behind it is void.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from tenure_core.timing import FOREVER, Instant
from tenure_worker_agent.domain.commands import (
    CloseStream,
    Finished,
    GiveUp,
    Hello,
    OpenStream,
    SaveIdentity,
)
from tenure_worker_agent.domain.events import IdentitySaved, Redirected, Refused, StreamEnded, Welcomed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenure_worker_agent.domain.commands import Held
    from tenure_worker_agent.domain.identity import Identity
    from tenure_worker_agent.domain.places import Places
    from tenure_worker_agent.domain.turn import Turn

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
GREETING_PATIENCE: Final = 15.0
SHORTEST_PATIENCE: Final = 1.0
PARTING: Final = 1.5
"""Seconds that it takes to give an unanswered Hello up and to say the next one."""
REFUSED_PAUSE: Final = 2.0
DIRECT_AGAIN: Final = 10.0
"""Seconds that a detour lasts at least: a leader that answers now and then does not change it each time."""
MOST_COMPLAINTS: Final = 20
LASTING: Final = frozenset({"INCARNATION", "INVALID_HELLO"})
"""Refusals that no later Hello of this process could change."""


class Phase(Enum):
    """Where the agent is on its way to a session."""

    BOOTING = "booting"
    """It does not know yet what it holds."""
    WAITING = "waiting"
    SAVING = "saving"
    """A connect counter is being made durable."""
    GREETING = "greeting"
    HELD = "held"
    CLOSING = "closing"
    """The stream is being ended by us."""
    OVER = "over"
    """No further Hello."""


class Connection:
    """The way to the leader."""

    def __init__(
        self, turn: Turn, places: Places, identity: Identity, held: Callable[[], list[Held]]
    ) -> None:
        self._turn = turn
        self._places = places
        self.identity = identity
        self._held = held
        self.reduced: list[str] = []
        self.boot_id = ""
        self.phase = Phase.BOOTING
        self.stream = 0
        self._leaving = False
        self._retry_at: Instant = FOREVER
        self._patience: Instant = FOREVER
        self._longest_patience = GREETING_PATIENCE
        self._failures = 0
        self._redirects = 0
        self._asked = ""
        """Where the present stream was opened."""
        self._through = ""
        """The replica that the next Hello asks to hand the stream on to the leader."""
        self._detour = False
        """Whether the present Hello asked for that."""
        self._direct_from: Instant = FOREVER
        """When a detour may end."""
        self._avoid = ""
        """Who was silent until our patience ended, be it behind a detour: the next Hello goes elsewhere."""
        self._unreached = ""
        """Where no scheduler answered a Hello of ours, last of all."""
        self._told: set[str] = set()
        """What is wrong, as told to people since the last Welcome."""

    @property
    def is_held(self) -> bool:
        return self.phase is Phase.HELD

    @property
    def due(self) -> Instant:
        if self.phase is Phase.WAITING:
            return self._retry_at
        return self._patience if self.phase is Phase.GREETING else FOREVER

    def begin(self) -> None:
        """It is known what this worker holds: connect."""
        if self.phase is Phase.BOOTING:
            self._wait(0.0)

    def tick(self) -> None:
        """Do what is due."""
        boot = self._turn.now.boot
        if self.phase is Phase.WAITING and boot >= self._retry_at:
            self._dial()
        elif self.phase is Phase.GREETING and boot >= self._patience:
            self._complain("the scheduler does not answer the hello")
            self._not_reached()
            self._avoid = self._unreached
            self.close()

    def _dial(self) -> None:
        identity = self.identity
        identity.connect += 1
        self.phase = Phase.SAVING
        self._turn.do(
            SaveIdentity(
                identity.connect,
                identity.warden,
                identity.alias,
                identity.incarnation,
                identity.epoch,
                identity.welcomed,
            )
        )

    def saved(self, event: IdentitySaved) -> None:
        """The counter is durable: say Hello."""
        identity = self.identity
        if self.phase is not Phase.SAVING or event.connect != identity.connect:
            return
        if self._leaving:
            self._over()
            return
        self.phase = Phase.GREETING
        self.stream += 1
        self._patience = self._turn.now.boot + self._longest_patience
        hello = Hello(
            instance=identity.instance,
            boot_id=self.boot_id,
            connect=identity.connect,
            incarnation=identity.incarnation,
            epoch=identity.epoch,
            welcomed=identity.welcomed,
            held=self._held(),
            reduced=self.reduced,
            forward=bool(self._through),
        )
        self._asked, self._detour = self._through or self._places.for_session(self._avoid), hello.forward
        self._through = self._avoid = ""
        self._turn.do(OpenStream(self.stream, self._asked, hello))

    def welcomed(self, event: Welcomed) -> bool:
        """The session holds; False when this answers an earlier Hello."""
        identity = self.identity
        if self.phase is not Phase.GREETING or event.stream != self.stream:
            return False
        if event.connect != identity.connect:
            return False
        self.phase = Phase.HELD
        self._failures = self._redirects = 0
        self._told.clear()
        identity.welcomed_by(event.incarnation, event.epoch, event.connect)
        self._places.learn(event.schedulers)
        # Who asked a leader that froze has to find the next one within its grace, a term and a margin.
        patience = max(SHORTEST_PATIENCE, event.ttl + event.margin - PARTING)
        self._longest_patience = min(GREETING_PATIENCE, patience)
        facts: dict[str, object] = {"session": event.session, "epoch": event.epoch}
        if self._detour:
            self._direct_from = self._turn.now.boot + DIRECT_AGAIN
            facts["through"] = self._asked
        else:
            self._unreached = ""
        self._turn.say("info", "connected", **facts)
        return True

    def leader_answers(self) -> None:
        """A beat was answered by the leader itself: a detour through another replica may end."""
        self._unreached = ""
        if self.phase is Phase.HELD and self._detour and self._turn.now.boot >= self._direct_from:
            self.close()

    def redirected(self, event: Redirected) -> None:
        """Another replica leads: go there, without a pause unless they send us round in circles.

        A leader that did not answer is reached through the replica that names it.
        """
        if self.phase is not Phase.GREETING or event.stream != self.stream:
            return
        self._redirects += 1
        self._places.leads(event.leader)
        if event.leader and event.leader == self._unreached and not self._detour:
            self._through = self._asked
        if not event.leader:
            self._failures += 1
            self._complain("no scheduler leads at the moment")
        self.close()

    def refused(self, event: Refused) -> None:
        """The leader does not want this worker now, or never."""
        if self.phase is not Phase.GREETING or event.stream != self.stream:
            return
        if event.reason in LASTING:
            self._turn.do(GiveUp(f"the scheduler refuses this worker: {event.message} ({event.reason})"))
            self._leaving = True
        elif event.reason == "STALE_CONNECT":
            self._rename(event.message)
        else:
            self._complain(f"the scheduler refuses this worker: {event.message} ({event.reason})")
            self._retry_at = self._turn.now.boot + self._turn.about(event.retry_after or REFUSED_PAUSE, 0.2)
            self._places.answers(self._asked)
        self.close(keep_pause=event.reason != "STALE_CONNECT")

    def _rename(self, message: str) -> None:
        """A used counter means that this is a clone, or that the directory was rolled back."""
        if self.identity.rename():
            self._turn.say("error", "taking a new instance id: the directory was copied or rolled back")
        else:
            self._turn.do(GiveUp(f"the scheduler refuses this worker again: {message}", lasting=False))
            self._leaving = True

    def close(self, *, keep_pause: bool = False) -> None:
        """End the stream in order; what follows is decided when it has ended."""
        if self.phase not in (Phase.GREETING, Phase.HELD):
            return
        if not keep_pause:
            self._retry_at = FOREVER
        self.phase = Phase.CLOSING
        self._turn.do(CloseStream(self.stream))

    def ended(self, event: StreamEnded) -> bool:
        """A stream has ended; True when it was the present one."""
        if event.stream != self.stream or self.phase not in (Phase.GREETING, Phase.HELD, Phase.CLOSING):
            return False
        phase, self.phase = self.phase, Phase.WAITING
        if self._leaving:
            self._over()
        elif phase is Phase.HELD:
            self._turn.say("warning", "lost the stream to the leader; tasks run on", reason=event.reason)
            self._wait(FIRST_PAUSE * self._turn.chance)
        elif phase is Phase.GREETING:
            self._not_reached()
            self._failures += 1
            self._complain(f"no session yet: {event.reason}")
            self._wait(self._pause())
        elif self._retry_at == FOREVER:
            circling = self._redirects > 2 or not self._places.leader
            self._wait(self._pause() if circling else 0.0)
        return True

    def _not_reached(self) -> None:
        """The Hello was not answered; of a detour it is not known who did not answer."""
        if not self._detour:
            self._unreached = self._asked

    def _pause(self) -> float:
        rounds = self._failures // len(self._places.all)
        return self._turn.about(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(rounds, 10)))

    def _wait(self, seconds: float) -> None:
        self.phase = Phase.WAITING
        self._retry_at = self._turn.now.boot + seconds

    def leave(self) -> None:
        """End for good; `Finished` follows."""
        self._leaving = True
        if self.phase in (Phase.GREETING, Phase.HELD):
            self.close()
        elif self.phase in (Phase.BOOTING, Phase.WAITING):
            self._over()

    def _over(self) -> None:
        self.phase = Phase.OVER
        self._turn.do(Finished())

    def _complain(self, sentence: str) -> None:
        """Tell people what is wrong, each fault once until there is a session again."""
        if sentence not in self._told and len(self._told) < MOST_COMPLAINTS:
            self._told.add(sentence)
            self._turn.say("warning", sentence)
