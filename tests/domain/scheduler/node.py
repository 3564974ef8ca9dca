"""A node that behaves: it starts each fence once, keeps results until they are acknowledged, and obeys."""

from __future__ import annotations

from dataclasses import dataclass, field

from tenure_core.fence import Fence
from tenure_core.levels import HeldPhase, level_digest
from tenure_core.resources import Capacity
from tenure_core.states import AttemptOutcome, OnDisconnect
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tests.domain.scheduler.rig import START_NS, result, running

TYPES = frozenset({"noop", "process"})


@dataclass
class Node:
    """One worker as it is, whatever the scheduler believes."""

    name: str
    capacity: Capacity
    instance: int = 1
    boot: int = 1
    connect: int = 0
    stream: int = 0
    """0: not connected."""
    welcome: bool = False
    processed: int = 0
    running: dict[Fence, bool] = field(default_factory=dict)
    """Attempts that it holds → whether they have started."""
    outbox: dict[Fence, e.AttemptReport] = field(default_factory=dict)
    exclusive: set[Fence] = field(default_factory=set)
    """Those of `stop` tasks, which must not outlive its lease."""
    executed: set[Fence] = field(default_factory=set)
    accepted: set[Fence] = field(default_factory=set)
    refused: int = 0
    list_wanted: bool = False
    """The scheduler asked what it holds."""

    def hello(self, stream: int, epoch: int) -> e.HelloReceived:
        self.connect += 1
        self.stream, self.welcome, self.processed, self.list_wanted = stream, False, 0, False
        held = [*self.holding(), *self.outbox.values()]
        hello = e.Hello(
            self.name,
            f"i{self.instance}",
            f"b{self.boot}",
            self.connect,
            self.capacity,
            TYPES,
            incarnation=1,
            epoch=epoch,
            held=held,
        )
        return e.HelloReceived(stream, True, hello)

    def holding(self) -> list[e.AttemptReport]:
        return [
            running(fence) if started else e.AttemptReport(fence, e.ReportKind.HELD)
            for fence, started in self.running.items()
        ]

    def digest(self) -> e.DigestReported:
        """What it holds, in short."""
        phases = {False: HeldPhase.HELD, True: HeldPhase.STARTED}
        held = level_digest((str(fence), phases[started]) for fence, started in self.running.items())
        return e.DigestReported(self.name, self.stream, self.processed, held)

    def level(self) -> e.LevelReported:
        """All that it holds."""
        self.list_wanted = False
        return e.LevelReported(
            self.name, self.stream, self.processed, [*self.holding(), *self.outbox.values()]
        )

    def reports(self) -> list[e.AttemptReport]:
        """Everything that it could say now."""
        started = [running(fence) for fence, started in self.running.items() if started]
        return [*started, *self.outbox.values()]

    def sent(self, reports: list[e.AttemptReport]) -> None:
        """What is not answered is said once; should it be lost with its stream, the next Hello says it."""
        for report in reports:
            if report.kind in (e.ReportKind.NOT_STARTED, e.ReportKind.STOPPED):
                self.outbox.pop(report.fence, None)

    def obey(self, message: c.SendCommands) -> None:
        assert message.number == self.processed + 1, "commands are numbered without a gap"
        assert self.welcome, "nothing before the welcome"
        self.processed = message.number
        self.list_wanted |= message.list_held
        for stop in message.stops:
            if stop.fence in self.running:
                self.end(stop.fence, stop.outcome)
        for fence in message.accepted:
            self.outbox.pop(fence, None)
            self.accepted.add(fence)
        for fenced in message.fenced:
            self.refused += 1
            self.outbox.pop(fenced.fence, None)
            started = self.running.pop(fenced.fence, None)
            if started is not None:
                end = result(fenced.fence, AttemptOutcome.LOST, None) if started else None
                self.outbox[fenced.fence] = e.AttemptReport(fenced.fence, e.ReportKind.STOPPED, end=end)
        for task, attempt in message.starts:
            fence = Fence(1, task.id, attempt.number)
            assert fence not in self.executed, f"{fence} is started twice"
            self.executed.add(fence)
            self.running[fence] = False
            if task.profile.on_disconnect is OnDisconnect.STOP:
                self.exclusive.add(fence)

    def stop_exclusive(self) -> None:
        """The lease was not renewed in time: what must not run twice ends."""
        for fence in self.exclusive & self.running.keys():
            del self.running[fence]
            self.outbox[fence] = e.AttemptReport(fence, e.ReportKind.STOPPED)

    def start(self, fence: Fence) -> None:
        self.running[fence] = True

    def end(self, fence: Fence, outcome: AttemptOutcome) -> None:
        """The process ends; its result stays in the outbox until it is acknowledged or fenced."""
        del self.running[fence]
        code = {AttemptOutcome.SUCCEEDED: 0, AttemptOutcome.FAILED: 3}.get(outcome)
        self.outbox[fence] = result(fence, outcome, code)

    def die(self, *, reboot: bool) -> None:
        """Warden and agent are gone; what the disk holds (the outbox) comes back."""
        self.instance += 1
        self.boot += reboot
        self.connect = 0
        self.running.clear()
        self.stream = 0

    def never_ran(self, fence: Fence) -> None:
        """It gives an attempt up before it starts."""
        del self.running[fence]
        self.outbox[fence] = e.AttemptReport(
            fence, e.ReportKind.NOT_STARTED, reason="no room on the disk", ended_ns=START_NS
        )
