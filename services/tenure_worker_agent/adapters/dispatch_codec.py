"""How do the agent's events and commands look on a session stream?

Between messages of `tenure.dispatch.v1` and the domain's objects. Starts and results are the hot path: one
message carries hundreds of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure.v1.worker_admin_service_pb2 import Capacity, WorkerPhase
from tenure_core.states import AttemptOutcome
from tenure_core.timing import SECOND_NS, Duration, UtcNs
from tenure_worker_agent.adapters.traces import Traces
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.plans import NOTHING_TO_RUN, Impossible, Plan, RunProcess, Start
from tenure_worker_agent.domain.results import Result
from tenure_worker_agent.drivers.catalog import Catalog
from tenure_worker_agent.drivers.process import Grant

_READY: Final = WorkerPhase.WORKER_PHASE_READY
_STOPPING: Final = WorkerPhase.WORKER_PHASE_STOPPING
_OUTCOMES: Final = {int(outcome): outcome for outcome in AttemptOutcome}


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What every Hello of this worker says."""

    worker: str
    version: str
    capacity: Capacity
    labels: Mapping[str, str]
    task_types: Iterable[str]


def hello_bytes(known: Introduction, hello: c.Hello) -> bytes:
    """The first message of a stream."""
    message = pb.Hello(
        worker=known.worker,
        instance=hello.instance,
        boot_id=hello.boot_id,
        connect=hello.connect,
        incarnation=hello.incarnation,
        epoch=hello.epoch,
        welcomed=hello.welcomed,
        version=known.version,
        capacity=known.capacity,
        labels=known.labels,
        task_types=known.task_types,
        reduced_guarantees=hello.reduced,
        forward=hello.forward,
    )
    _add_held(message.held.add, hello.held)
    return pb.SessionRequest(hello=message).SerializeToString()


def _add_held(add: Any, all_held: Iterable[c.Held]) -> None:
    for held in all_held:
        entry = add(
            fence=held.fence,
            started=held.started,
            pid=held.pid,
            stopping=held.stopping,
            start_ticks=held.ticks,
        )
        if held.started_ns:
            _set_time(entry.started_at, held.started_ns)
        if held.result is not None:
            entry.result.CopyFrom(_result(held.result))


def report_bytes(
    last_command: int,
    news: Iterable[tuple[str, c.News]],
    *,
    stopping: bool,
    level: c.Level | None = None,
) -> bytes:
    """A Report. Results that many attempts share (of a batch of noops) are converted once."""
    request = pb.SessionRequest()
    report = request.report
    report.last_command = last_command
    report.phase = _STOPPING if stopping else _READY
    add = report.attempts.add
    shared: Result | None = None
    message: pb.AttemptResult | None = None
    for fence, one in news:
        if type(one) is Result:
            if one is not shared:
                shared, message = one, _result(one)
            add(fence=fence, result=message)
        else:
            _tell(add(fence=fence), one)
    if level is not None:
        told = report.level
        told.last_command, (told.count, told.digest) = level.last_command, level.digest
        if level.held is not None:
            told.whole = True
            _add_held(told.held.add, level.held)
    return request.SerializeToString()


def hold_bytes(seconds: Duration) -> bytes:
    """The announcement of a planned restart."""
    return pb.SessionRequest(hold=pb.Hold(hold_ms=int(seconds * 1000))).SerializeToString()


def _tell(report: pb.AttemptReport, news: c.News) -> None:
    match news:
        case c.Started(pid, ticks, at_ns):
            report.started.pid = pid
            report.started.start_ticks = ticks
            _set_time(report.started.at, at_ns)
        case c.NotStarted(reason):
            report.not_started = reason
        case c.Stopped(end):
            report.stopped = True
            if end is not None:
                report.end.CopyFrom(_result(end))
        case Result():
            report.result.CopyFrom(_result(news))


def _result(result: Result) -> pb.AttemptResult:
    message = pb.AttemptResult(
        outcome=int(result.outcome),  # type: ignore[arg-type]
        reason=result.reason,
        pid=result.pid,
        start_ticks=result.ticks,
    )
    if result.exit_code is not None:
        message.exit_code = result.exit_code
    if result.signal is not None:
        message.signal = result.signal
    if result.evidence is not None:
        message.evidence = int(result.evidence)  # type: ignore[assignment]
    if result.started_ns:
        _set_time(message.started_at, result.started_ns)
    if result.ended_ns:
        _set_time(message.ended_at, result.ended_ns)
    if result.log is not None:
        log = result.log
        message.log.frames = log.frames
        message.log.stdout, message.log.stderr, message.log.records = log.stdout, log.stderr, log.records
    return message


def _set_time(message: Any, when: UtcNs) -> None:
    message.seconds, message.nanos = divmod(when, SECOND_NS)


class Reader:
    """What the scheduler says on one stream, as events."""

    def __init__(self, stream: int, catalog: Catalog, traces: Traces) -> None:
        self._stream = stream
        self._catalog = catalog
        self._traces = traces

    def event(self, data: bytes) -> e.Event | None:
        """The event in one message; None for kinds that a newer scheduler added."""
        response = pb.SessionResponse.FromString(data)
        match response.WhichOneof("kind"):
            case "commands":
                return self._commands(response.commands)
            case "welcome":
                return self._welcome(response.welcome)
            case "redirect":
                return e.Redirected(self._stream, response.redirect.leader_address)
            case "refusal":
                refusal = response.refusal
                retry_after = refusal.retry_after_ms / 1000
                return e.Refused(self._stream, refusal.reason, refusal.message, retry_after)
        return None

    def _welcome(self, message: pb.Welcome) -> e.Welcomed:
        return e.Welcomed(
            stream=self._stream,
            session=message.session,
            connect=message.connect,
            lease_id=message.lease_id,
            live_revision=message.live_revision,
            ttl=message.ttl_ms / 1000,
            margin=message.margin_ms / 1000,
            incarnation=message.incarnation,
            epoch=message.epoch,
            schedulers=list(message.schedulers),
        )

    def _commands(self, message: pb.Commands) -> e.Commanded:
        return e.Commanded(
            self._stream,
            message.number,
            [
                e.Stop(s.fence, _OUTCOMES.get(s.outcome, AttemptOutcome.CANCELLED), s.reason)
                for s in message.stops
            ],
            list(message.accepted),
            [(fenced.fence, fenced.reason) for fenced in message.fenced],
            [(placement.fence, placement.relay_address) for placement in message.placements],
            [Start(start.fence, self._plan(start), start.relay_address) for start in message.starts],
            message.list_held,
            message.hold_ms > 0,
        )

    def _plan(self, start: pb.Start) -> Plan:
        spec = start.spec
        if self._catalog.is_noop(spec):
            if self._traces.on:
                self._traces.begin(start.fence, start.traceparent)
                self._traces.end(start.fence)
            return NOTHING_TO_RUN
        grant = Grant(
            fence=start.fence,
            traceparent=self._traces.begin(start.fence, start.traceparent),
            indexes={name: list(granted.indexes) for name, granted in start.granted.items()},
        )
        plan = self._catalog.plan(spec, grant)
        if not isinstance(plan, RunProcess):
            self._traces.end(start.fence, plan.reason if isinstance(plan, Impossible) else "")
        return plan
