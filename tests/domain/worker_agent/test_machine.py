"""Do the invariants hold whatever happens, in whatever order?

The rig checks I4 at every command. Beyond that: a result that nobody acknowledged is never forgotten, and
what the agent holds is what the world knows that it began.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tenure_core.states import AttemptOutcome
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.connection import Phase
from tenure_worker_agent.domain.results import Result
from tests.domain.worker_agent.rig import TTL, Rig, fence, noop, process

NUMBERS = st.integers(min_value=1, max_value=12)
ENDED = (AttemptOutcome.SUCCEEDED, AttemptOutcome.FAILED)


class AgentMachine(RuleBasedStateMachine):
    """An agent, and a world that answers late, twice or never."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig().begin()
        self.hello: c.Hello | None = None
        self.beats: list[tuple[c.SendBeat, float, int]] = []
        self.orders: dict[int, str] = {}
        """Processes of the warden: ordered, running, ended."""
        self.owed: set[str] = set()
        """Fences with a durable result that nobody acknowledged."""

    def settle(self) -> None:
        """Take note of what was asked for."""
        rig = self.rig
        for opened in rig.take(c.OpenStream):
            self.hello = opened.hello
            assert self.owed <= {held.fence for held in opened.hello.held if held.result}
        for command in rig.take(c.KeepResults):
            self.owed |= {each for each, _ in command.results if each in rig.agent.holdings.attempts}
        self.beats += [(beat, rig.boot, rig.lease) for beat in rig.take(c.SendBeat)]
        self.orders.update((int(order.fence.split(".")[1]), "ordered") for order in rig.take(c.OrderProcess))
        rig.take(c.Say)

    @rule(seconds=st.sampled_from([0.0, 0.03, 0.3, 1.0, 3.0, 9.0]), chance=st.floats(0.0, 1.0))
    def wait(self, seconds: float, chance: float) -> None:
        self.rig.chance = chance
        self.rig.wait(seconds)
        self.settle()

    @rule()
    def save(self) -> None:
        for command in self.rig.take(c.SaveIdentity):
            self.rig.do(e.IdentitySaved(command.connect))
        self.settle()

    @precondition(lambda self: self.rig.agent.connection.phase is Phase.GREETING)
    @rule(same_lease=st.booleans())
    def welcome(self, same_lease: bool) -> None:
        assert self.hello is not None
        self.rig.welcome(self.hello, same_lease=same_lease and self.rig.lease > 0)
        self.settle()

    @precondition(lambda self: self.rig.agent.connection.phase is Phase.GREETING)
    @rule(reason=st.sampled_from(["DUPLICATE_WORKER", "DRAINED", ""]))
    def turn_away(self, reason: str) -> None:
        stream = self.rig.stream
        self.rig.do(e.Refused(stream, reason, "no", 0.5) if reason else e.Redirected(stream, "s3:1"))
        self.settle()

    @precondition(lambda self: self.rig.stream)
    @rule()
    def lose_stream(self) -> None:
        self.rig.lose_stream()
        self.settle()

    @precondition(lambda self: self.beats)
    @rule(data=st.data(), how=st.sampled_from(["acked", "failed", "lost"]))
    def answer_a_beat(self, data: st.DataObject, how: str) -> None:
        beat, sent_at, lease = self.beats.pop(data.draw(st.integers(0, len(self.beats) - 1)))
        rig = self.rig
        if how == "acked":
            if lease == rig.lease:
                rig.deadline = max(rig.deadline, sent_at + 8.0)
            running = [fence(number) for number in self.orders]
            rig.do(e.BeatAcked(beat.ticket, sent_at, TTL, running, "s2:1"))
        else:
            rig.do(e.BeatFailed(beat.ticket, session_lost=how == "lost", reason="why"))
        self.settle()

    @precondition(lambda self: self.rig.agent.connection.is_held)
    @rule(numbers=st.lists(NUMBERS, max_size=4), exclusive=st.booleans())
    def start(self, numbers: list[int], exclusive: bool) -> None:
        starts = [noop(n) if n % 2 else process(n, exclusive=exclusive) for n in dict.fromkeys(numbers)]
        self.rig.command(*starts)
        self.settle()

    @precondition(lambda self: self.rig.agent.connection.is_held)
    @rule(numbers=st.lists(NUMBERS, max_size=3), how=st.sampled_from(["stop", "fence", "accept"]))
    def end(self, numbers: list[int], how: str) -> None:
        fences = [fence(number) for number in numbers]
        if how == "stop":
            self.rig.command(stops=[e.Stop(each, AttemptOutcome.CANCELLED, "") for each in fences])
        elif how == "fence":
            self.owed -= set(fences)
            self.rig.command(fenced=[(each, "given away") for each in fences])
        else:
            fences = [each for each in fences if each in self.owed]
            self.owed -= set(fences)
            self.rig.command(accepted=fences)
        self.settle()

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), how=st.sampled_from(["started", "exited", "refused"]))
    def answer_an_order(self, data: st.DataObject, how: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.orders)))
        attempt = self.rig.agent.holdings.attempts.get(fence(number))
        if how == "started" and self.orders[number] == "ordered":
            self.orders[number] = "running"
            self.rig.started(number)
        elif how == "refused" and self.orders[number] == "ordered":
            del self.orders[number]
            self.rig.do(e.ProcessRefused(fence(number), "late", "late"))
        elif how == "exited":
            del self.orders[number]
            if attempt is not None and not attempt.fenced:
                self.owed.add(fence(number))
            self.rig.exited(number, code=number % 3)
        self.settle()

    @invariant()
    def nothing_owed_is_forgotten(self) -> None:
        held = self.rig.agent.holdings.attempts
        assert all(isinstance(held[each].result, Result) for each in self.owed)

    @invariant()
    def what_runs_is_held(self) -> None:
        held = self.rig.agent.holdings.attempts
        assert all(fence(number) in held for number in self.orders)

    @invariant()
    def there_is_always_something_to_wait_for(self) -> None:
        phase = self.rig.agent.connection.phase
        if phase in (Phase.WAITING, Phase.GREETING):
            assert self.rig.agent.due() < float("inf")


AgentMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestAgentMachine = AgentMachine.TestCase
