"""How does a test play the world around an agent?

The rig answers commands as scheduler, warden and disk would, at times that the test chooses, and checks
invariant I4 at every command: nothing is exec'd after the deadline, for an ended connect, or twice for one
fence.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from tenure_core.states import AttemptOutcome
from tenure_core.timing import Now
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.agent import Agent
from tenure_worker_agent.domain.identity import Identity
from tenure_worker_agent.domain.plans import NOTHING_TO_RUN, RunProcess, Start
from tenure_worker_agent.domain.results import Result

C = TypeVar("C", bound=c.Command)
TTL, MARGIN = 10.0, 2.0
PLACES = ("s1:1", "s2:1")


def fence(number: int, attempt: int = 1) -> str:
    """A fence with a task id made of this number."""
    return f"1.{number:020d}.{attempt}"


def noop(number: int) -> Start:
    return Start(fence(number), NOTHING_TO_RUN)


def process(number: int, *, exclusive: bool = False, relay: str = "r:1") -> Start:
    order: dict[str, Any] = {"argv": ["true"]}
    return Start(fence(number), RunProcess(order, 5.0, exclusive), relay)


class Rig:
    """One agent, its clock, and everything that it asked for and nobody has done yet."""

    def __init__(self, identity: Identity | None = None, *, hold: float = 0.0) -> None:
        self.agent = Agent(PLACES, identity or Identity(spare="spare"), hold)
        self.boot = 1000.0
        self.chance = 0.5
        self.asked: list[c.Command] = []
        self.deadline = float("-inf")
        """As the world knows it."""
        self.stream = 0
        """The open one; 0: none."""
        self.offered: dict[str, int] = {}
        """Fences of Starts, with the stream that they came on last."""
        self.begun: set[str] = set()
        self.number = 0
        self.lease = 0

    def do(self, *events: e.Event) -> list[c.Command]:
        """Let things happen; returns what the agent wants, which is also kept in `asked`."""
        commands = self.agent.apply(events, Now(self.boot, int(self.boot * 1e9)), self.chance)
        for command in commands:
            self._check(command)
        self.asked += commands
        return commands

    def _check(self, command: c.Command) -> None:
        match command:
            case c.OpenStream():
                assert not self.stream, "the old stream has not ended"
                self.stream = command.stream
            case c.OrderProcess():
                self._begins(command.fence)
                assert command.not_after <= self.deadline
                if command.exclusive is not None:
                    term_at, kill_at = command.exclusive
                    assert command.not_after <= term_at < kill_at, "it may begin when it is to be stopped"
                    assert self.boot < term_at, "it is to be stopped before it begins"
            case c.KeepResults():
                for each, result in command.results:
                    if result.outcome is AttemptOutcome.SUCCEEDED:
                        self._begins(each)

    def _begins(self, fence: str) -> None:
        """Invariant I4."""
        assert self.boot < self.deadline, "it begins after the deadline"
        assert self.offered.get(fence) == self.stream, "its Start belongs to an ended connect"
        assert fence not in self.begun, "it begins twice"
        self.begun.add(fence)

    def take(self, kind: type[C]) -> list[C]:
        """Everything of this kind that was asked for, no longer to be done."""
        found: list[C] = [command for command in self.asked if isinstance(command, kind)]
        self.asked = [command for command in self.asked if not isinstance(command, kind)]
        return found

    def one(self, kind: type[C]) -> C:
        """The only command of this kind."""
        (command,) = self.take(kind)
        return command

    def wait(self, seconds: float) -> list[c.Command]:
        """Time passes."""
        self.boot += seconds
        return self.do(e.Ticked())

    # --- the way to a session ---------------------------------------------------------------------------

    def begin(self, *listed: e.WardenListed) -> "Rig":
        """The agent learns what it holds."""
        self.do(e.OutboxRead([]))
        self.do(*(listed or (e.WardenListed("instance", "boot"),)))
        return self

    def greet(self) -> c.Hello:
        """Let it save its counter and say Hello."""
        while not any(isinstance(command, c.SaveIdentity) for command in self.asked):
            assert self.agent.due() < float("inf")
            self.wait(max(0.0, self.agent.due() - self.boot))
        self.do(e.IdentitySaved(self.one(c.SaveIdentity).connect))
        return self.one(c.OpenStream).hello

    def welcome(self, hello: c.Hello, *, same_lease: bool = False, session: int = 1) -> None:
        """The leader takes it."""
        if not same_lease:
            self.lease += 1
            self.deadline = float("-inf")
        self.number = 0
        self.do(
            e.Welcomed(
                stream=self.stream,
                session=session,
                connect=hello.connect,
                lease_id=self.lease,
                live_revision=self.lease,
                ttl=TTL,
                margin=MARGIN,
                incarnation=1,
                epoch=1,
                schedulers=[*PLACES, "s3:1"],
            )
        )

    def beat(self, *exclusive: str, after: float = 0.0) -> None:
        """Answer the beat that was asked for."""
        beat = self.one(c.SendBeat)
        sent_at = self.boot
        self.boot += after
        self.deadline = max(self.deadline, sent_at + TTL - MARGIN)
        self.do(e.BeatAcked(beat.ticket, sent_at, TTL, list(exclusive), ""))

    def connected(self) -> "Rig":
        """All the way to a live session."""
        self.begin()
        self.welcome(self.greet())
        self.beat()
        self.take(c.Say)
        self.take(c.SendReport)  # what it holds: nothing
        return self

    def lose_stream(self) -> None:
        stream, self.stream = self.stream, 0
        self.do(e.StreamEnded(stream, "reset"))

    # --- what others say --------------------------------------------------------------------------------

    def command(self, *starts: Start, **more: Any) -> list[c.Command]:
        """The leader wants something."""
        self.number += 1
        self.offered.update((start.fence, self.stream) for start in starts)
        return self.do(e.Commanded(self.stream, self.number, starts=list(starts), **more))

    def started(self, number: int) -> None:
        self.do(e.ProcessStarted(fence(number), 100 + number, 7, 1))

    def exited(self, number: int, **record: Any) -> list[c.Command]:
        known = {"fence": fence(number), "cause": "self", "code": 0, "frames": 0, "offsets": [0, 0, 0]}
        return self.do(e.ProcessExited({**known, **record}))

    def told(self) -> dict[str, c.News]:
        """Everything that was reported, the last word on each fence."""
        return dict(pair for report in self.take(c.SendReport) for pair in report.news)


def outcomes(news: Iterable[c.News]) -> list[AttemptOutcome]:
    """The outcomes of results."""
    return [one.outcome for one in news if isinstance(one, Result)]
