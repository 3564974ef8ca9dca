"""Does every invariant hold, whatever happens in whatever order?

Nodes behave as agents must; the network, the clock, the leaders and the operators do what they like. Each
step may end with the leader's death before, in the middle of, or after its commits.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tenure_core.resources import Capacity, Demand
from tenure_core.retry import RetryPolicy
from tenure_core.states import TERMINAL, AttemptOutcome, LogState, OnDisconnect, TaskState
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.model import Relay
from tests.domain.scheduler.node import Node
from tests.domain.scheduler.rig import Rig, Spec

NODES = ("w1", "w2", "w3")
names = st.sampled_from(NODES)
SPECS = (
    Spec(kind="noop"),
    Spec(demand=Demand(cpu_milli=1_000), has_output=True),
    Spec(demand=Demand(cpu_milli=2_000, indexed=(("gpu", 1),)), priority=5),
    Spec(retry=RetryPolicy(max_failures=2, max_losses=4)),
    Spec(on_disconnect=OnDisconnect.STOP, demand=Demand(cpu_milli=500)),
    Spec(queue_timeout=20.0, demand=Demand(cpu_milli=4_000)),
    Spec(demand=Demand(cpu_milli=99_000), queue_timeout=300.0),
)
outcomes = st.sampled_from(
    [
        AttemptOutcome.SUCCEEDED,
        AttemptOutcome.SUCCEEDED,
        AttemptOutcome.FAILED,
        AttemptOutcome.REJECTED,
        AttemptOutcome.LOST,
        AttemptOutcome.TIMED_OUT,
        AttemptOutcome.INTERNAL_ERROR,
    ]
)


class SchedulerMachine(RuleBasedStateMachine):
    """One cluster."""

    specs: ClassVar[tuple[Spec, ...]] = SPECS
    """What is submitted."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(CoreConfig(log_unknown_after=5.0))
        capacities = (Capacity(2_000, 0, {}, {"gpu": (0, 1)}), Capacity(4_000), Capacity(8_000))
        self.nodes = {name: Node(name, capacity) for name, capacity in zip(NODES, capacities, strict=True)}
        self.late: list[e.ReportsReceived] = []

    # --- what the core says --------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Hand what the core said to whom it concerns, as far as they are still connected."""
        while self.rig.recorded:
            self.leases_end()
            command = self.rig.recorded.pop(0)
            match command:
                case c.SendCommands():
                    node = self.nodes[command.worker]
                    if node.stream == command.stream:
                        node.obey(command)
                        self.check_exclusive()
                case c.WelcomeWorker():
                    node = self.nodes[command.worker]
                    if node.stream == command.stream:
                        node.welcome = True
                        assert set(command.adopted) <= node.running.keys()
                case c.CloseStream() | c.RefuseHello():
                    node = self.nodes[command.worker]
                    if node.stream == command.stream:
                        node.stream = 0
                case c.AnswerWorkers() | c.AnswerRelease() | c.AnswerError() | c.TellFinished():
                    pass
                case c.AnswerSubmit() | c.AnswerCancel() | c.RaiseAlarm():
                    assert not isinstance(command, c.RaiseAlarm), command

    def leases_end(self) -> None:
        """Nodes know when their lease is over, and keep to it."""
        for name, gone_at in self.rig.gone_at.items():
            if self.rig.boot >= gone_at + self.rig.config.worker_ttl:
                self.nodes[name].stop_exclusive()

    def check_exclusive(self) -> None:
        """I10: executions of a `stop` task never overlap."""
        held = [fence.task for node in self.nodes.values() for fence in node.exclusive & node.running.keys()]
        assert len(held) == len(set(held)), f"I10: {sorted(held)}"

    def do(self, *events: e.Event) -> None:
        self.rig.do(*events)
        self.deliver()

    def known(self) -> list[str]:
        return list(self.rig.core.world.tasks)

    # --- clients and operators -----------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        for node in self.nodes.values():
            self.say_hello(node)

    @rule(number=st.integers(0, len(SPECS) - 1), count=st.integers(1, 4))
    def submit(self, number: int, count: int) -> None:
        spec = self.specs[number % len(self.specs)]
        self.do(e.TasksSubmitted(1, [self.rig.item(spec) for _ in range(count)]))

    @rule(number=st.integers(0, 3), spec=st.sampled_from(SPECS[:2]))
    def submit_again(self, number: int, spec: Spec) -> None:
        self.do(e.TasksSubmitted(1, [self.rig.item(spec, request_id=f"r{number}")]))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if known := self.known():
            self.do(e.CancelRequested(1, [data.draw(st.sampled_from(known))]))

    @rule()
    def release(self) -> None:
        self.do(e.ReleaseRequested(1, self.known()))

    @rule(name=names, cordoned=st.booleans())
    def cordon(self, name: str, cordoned: bool) -> None:
        self.do(e.CordonRequested(1, [name], cordoned))

    @rule(name=names, deadline=st.sampled_from([0.0, 5.0]))
    def drain(self, name: str, deadline: float) -> None:
        self.do(e.DrainRequested(1, [name], deadline))

    @rule(name=names)
    def cancel_drain(self, name: str) -> None:
        self.do(e.DrainCancelled(1, [name]))

    @rule(name=names)
    def declare_dead(self, name: str) -> None:
        node = self.nodes[name]
        node.die(reboot=True)
        self.do(e.DeadDeclared(1, [name]))

    @rule(count=st.integers(0, 2))
    def relays_change(self, count: int) -> None:
        self.do(e.RelaysChanged(tuple(Relay(f"r{n}", f"address {n}") for n in range(count))))

    # --- nodes ---------------------------------------------------------------------------------------------

    def say_hello(self, node: Node) -> None:
        if node.stream:
            self.do(e.StreamClosed(node.name, node.stream, e.StreamEnd.ENDED))
        self.rig.streams += 1
        self.do(node.hello(self.rig.streams, self.rig.epoch))

    @rule(name=names)
    def hello(self, name: str) -> None:
        self.say_hello(self.nodes[name])

    @rule(name=names, how=st.sampled_from(e.StreamEnd))
    def disconnect(self, name: str, how: e.StreamEnd) -> None:
        node = self.nodes[name]
        stream, node.stream = node.stream, 0
        self.do(e.StreamClosed(name, stream, how))

    @rule(name=names, reboot=st.booleans())
    def node_dies(self, name: str, reboot: bool) -> None:
        node = self.nodes[name]
        stream = node.stream
        node.die(reboot=reboot)
        self.do(e.StreamClosed(name, stream, e.StreamEnd.RESET))

    @rule(name=names)
    def lease_expires(self, name: str) -> None:
        revision = self.rig.store.lives.get(name)
        if revision is not None:
            self.rig.end_lease(name)
            self.do(e.LiveGone(name, revision, self.rig.boot))

    @rule(name=names)
    def lease_expires_in_a_commit(self, name: str) -> None:
        """The commit finds the lease gone: Starts that waited for it are thrown away."""
        revision = self.rig.store.lives.get(name)
        if revision is None:
            return
        self.rig.end_lease(name)
        self.rig.decide(e.TasksSubmitted(1, [self.rig.item(SPECS[0])]))
        kept = [w for w in self.rig.waiting if not isinstance(w, c.SendCommands) or w.worker != name]
        if kept != self.rig.waiting and self.nodes[name].stream:
            self.nodes[name].stream = 0
        self.rig.waiting = kept
        self.do(e.WorkerLeaseGone(name, revision, self.rig.boot))

    @rule(name=names, data=st.data())
    def attempt_starts(self, name: str, data: st.DataObject) -> None:
        node = self.nodes[name]
        if fences := [fence for fence, started in node.running.items() if not started]:
            node.start(data.draw(st.sampled_from(fences)))

    @rule(name=names, data=st.data(), outcome=outcomes)
    def attempt_ends(self, name: str, data: st.DataObject, outcome: AttemptOutcome) -> None:
        node = self.nodes[name]
        if node.running:
            node.end(data.draw(st.sampled_from(sorted(node.running))), outcome)

    @rule(name=names, data=st.data())
    def attempt_is_given_up(self, name: str, data: st.DataObject) -> None:
        node = self.nodes[name]
        if fences := [fence for fence, started in node.running.items() if not started]:
            node.never_ran(data.draw(st.sampled_from(fences)))

    @rule(name=names, data=st.data())
    def report(self, name: str, data: st.DataObject) -> None:
        """Some of what the node could say, in any order, perhaps twice."""
        node = self.nodes[name]
        reports = node.reports()
        if node.welcome and node.stream and reports:
            chosen = data.draw(st.lists(st.sampled_from(reports), min_size=1, max_size=4))
            event = e.ReportsReceived(name, node.stream, node.processed, chosen)
            self.late.append(event)
            self.do(event)
            node.sent(chosen)

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def report_arrives_late(self, data: st.DataObject) -> None:
        self.do(data.draw(st.sampled_from(self.late[-5:])))

    @rule(name=names)
    def report_level(self, name: str) -> None:
        node = self.nodes[name]
        if node.welcome and node.stream:
            self.do(node.level())

    @rule(name=names)
    def report_digest(self, name: str) -> None:
        node = self.nodes[name]
        if node.welcome and node.stream:
            self.do(node.digest())
            if node.list_wanted and node.stream:
                self.do(node.level())
                self.do(node.digest())
                assert not node.list_wanted or not node.stream, "the list repairs what the digest showed"

    @rule(name=names, seconds=st.sampled_from([1.0, 30.0, 500.0]))
    def announce_hold(self, name: str, seconds: float) -> None:
        node = self.nodes[name]
        if node.welcome and node.stream:
            self.do(e.HoldAnnounced(name, node.stream, seconds))

    @rule(data=st.data(), state=st.sampled_from([LogState.COMPLETE, LogState.INCOMPLETE]))
    def log_arrives(self, data: st.DataObject, state: LogState) -> None:
        if known := self.known():
            task = self.rig.core.world.tasks[data.draw(st.sampled_from(known))]
            self.do(e.LogStateReported(self.rig.fence(task, task.attempt or 1), state))

    # --- time and leaders ----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.05, 0.5, 2.5, 13.0, 130.0]))
    def time_passes(self, seconds: float) -> None:
        self.rig.after(seconds)
        self.deliver()

    @rule()
    def stall(self) -> None:
        self.do(e.StallNoticed(5.0, "test"))

    @rule()
    def new_leader(self) -> None:
        self.rig.depose()
        self.forget_streams()

    @rule(spec=st.sampled_from(SPECS), ops=st.integers(3, 9), name=names)
    def leader_dies_in_the_middle(self, spec: Spec, ops: int, name: str) -> None:
        """Events are applied, only the first part of what they changed is committed, nobody is told."""
        node = self.nodes[name]
        events: list[e.Event] = [e.TasksSubmitted(1, [self.rig.item(spec) for _ in range(3)])]
        if node.welcome and node.stream:
            events.append(e.ReportsReceived(name, node.stream, node.processed, node.reports()))
        self.rig.decide(*events)
        dirty = self.rig.core.take_dirty(ops)
        self.rig.core.committed(dirty, self.rig.store.commit(dirty))
        self.rig.note(self.rig.history.commit(dirty.tasks))
        self.new_leader()

    def forget_streams(self) -> None:
        for node in self.nodes.values():
            node.stream = 0

    # --- what must hold ------------------------------------------------------------------------------------

    @invariant()
    def one_attempt_runs_unless_given_away(self) -> None:
        """At most one accepted success per task, over all leaders."""
        self.rig.check()

    def teardown(self) -> None:
        """When the storm is over every acknowledged task ends or is held."""
        rig = self.rig
        self.do(e.ReleaseRequested(1, self.known()), e.DrainCancelled(1, list(NODES)))
        self.do(e.CordonRequested(1, list(NODES), cordoned=False))
        for _ in range(150):
            for node in self.nodes.values():
                if not node.stream:
                    self.say_hello(node)
                self.finish_all(node)
            rig.after(5.0)
            self.deliver()
            waiting = [task for task in rig.core.world.tasks.values() if task.state not in TERMINAL]
            if all(task.profile.shape.demand.cpu_milli > 8_000 for task in waiting):
                break
        self.cancel_what_cannot_run()
        rig.note(rig.history.unfinished())
        rig.check()

    def finish_all(self, node: Node) -> None:
        for fence in list(node.running):
            node.end(fence, AttemptOutcome.SUCCEEDED)
        if node.welcome and node.stream:
            reports = node.reports()
            self.do(e.ReportsReceived(node.name, node.stream, node.processed, reports))
            node.sent(reports)

    def cancel_what_cannot_run(self) -> None:
        """Only tasks that no node can hold may still wait."""
        for task in self.rig.core.world.tasks.values():
            if task.state is TaskState.PENDING:
                workers = self.rig.core.workers().values()
                kept = [(w.name, sorted(w.attempts), w.leftovers, w.pool.cpu_milli) for w in workers]
                assert task.profile.shape.demand.cpu_milli > 8_000, (self.rig.core.explain(task), kept)
        self.do(e.CancelRequested(1, self.known()))


class ExclusiveMachine(SchedulerMachine):
    """The same with many exclusive tasks: what may break I10 takes rare steps close together."""

    specs: ClassVar[tuple[Spec, ...]] = (SPECS[4],)

    @rule(name=names)
    def stream_and_lease_end(self, name: str) -> None:
        """A worker connects anew, and soon afterwards a commit finds its lease gone."""
        self.say_hello(self.nodes[name])
        self.lease_expires_in_a_commit(name)

    @rule(name=names)
    def lease_ends_between_streams(self, name: str) -> None:
        """It connects anew without a lease, gets another one, and a commit finds that one gone as well."""
        self.lease_expires(name)
        self.stream_and_lease_end(name)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=200, stateful_step_count=50)
TestExclusive = ExclusiveMachine.TestCase
TestExclusive.settings = settings(max_examples=200, stateful_step_count=50)
