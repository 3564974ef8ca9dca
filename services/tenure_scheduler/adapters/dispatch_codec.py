"""How do the core's events and commands look on a session stream?

Between messages of `tenure.dispatch.v1` and the domain's objects. Reports and Commands are the hot path:
one message carries news of hundreds of attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure_core.errors import InvalidArgument
from tenure_core.fence import Fence, MalformedFence
from tenure_core.levels import LevelDigest
from tenure_core.resources import Capacity
from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_core.timing import SECOND_NS, UtcNs
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.events import AttemptReport, ReportKind
from tenure_scheduler.domain.model import LogFinals

_OUTCOMES: Final = {int(outcome): outcome for outcome in AttemptOutcome}
_EVIDENCE: Final = {int(evidence): evidence for evidence in LossEvidence}
_STARTED, _RESULT = ReportKind.STARTED, ReportKind.RESULT


def hello_of(message: pb.Hello) -> e.Hello:
    """Who an agent says that it is."""
    capacity = message.capacity
    return e.Hello(
        worker=message.worker,
        instance=message.instance,
        boot_id=message.boot_id,
        connect=message.connect,
        capacity=Capacity(
            capacity.cpu_milli,
            capacity.memory_bytes,
            dict(capacity.counts),
            {name: tuple(range(count)) for name, count in capacity.indexed.items()},
        ),
        task_types=frozenset(message.task_types),
        labels=dict(message.labels),
        incarnation=message.incarnation,
        epoch=message.epoch,
        welcomed=message.welcomed,
        version=message.version,
        reduced_guarantees=tuple(message.reduced_guarantees),
        held=[_held(attempt) for attempt in message.held],
    )


def level_of(worker: str, stream: int, level: pb.Level, phase: int) -> e.DigestReported | e.LevelReported:
    """What an agent says that it holds, in short or as a list."""
    if level.whole:
        held = [_held(attempt) for attempt in level.held]
        return e.LevelReported(worker, stream, level.last_command, held, phase)
    digest = LevelDigest(level.count, level.digest)
    return e.DigestReported(worker, stream, level.last_command, digest, phase)


def _held(held: pb.HeldAttempt) -> AttemptReport:
    fence = fence_of(held.fence)
    if held.HasField("result"):
        report = _result(fence, held.result)
        report.started_ns = report.started_ns or _ns(held, "started_at")
        report.pid = report.pid or held.pid
        report.ticks = report.ticks or held.start_ticks
        return report
    kind = _STARTED if held.started else ReportKind.HELD
    return AttemptReport(
        fence,
        kind,
        started_ns=_ns(held, "started_at"),
        pid=held.pid,
        ticks=held.start_ticks,
        stopping=held.stopping,
    )


def reports_of(messages: Iterable[pb.AttemptReport]) -> list[AttemptReport]:
    """News of attempts; InvalidArgument when one has no fence or says nothing."""
    return [_report(message) for message in messages]


def _report(message: pb.AttemptReport) -> AttemptReport:
    fence = fence_of(message.fence)
    kind = message.WhichOneof("kind")
    if kind == "result":
        return _result(fence, message.result)
    if kind == "started":
        started = message.started
        return AttemptReport(
            fence, _STARTED, started_ns=_ns(started, "at"), pid=started.pid, ticks=started.start_ticks
        )
    if kind == "not_started":
        return AttemptReport(fence, ReportKind.NOT_STARTED, reason=message.not_started)
    if kind == "stopped":
        end = _result(fence, message.end) if message.HasField("end") else None
        return AttemptReport(fence, ReportKind.STOPPED, end=end)
    raise InvalidArgument(f"the report on {message.fence} says nothing")


def _result(fence: Fence, result: pb.AttemptResult) -> AttemptReport:
    report = AttemptReport(
        fence,
        _RESULT,
        _OUTCOMES.get(result.outcome, AttemptOutcome.INTERNAL_ERROR),
        result.exit_code if result.HasField("exit_code") else None,
        result.signal if result.HasField("signal") else None,
        result.reason,
        _EVIDENCE.get(result.evidence),
        _ns(result, "started_at"),
        _ns(result, "ended_at"),
        result.pid,
        ticks=result.start_ticks,
    )
    if result.HasField("log") and (log := result.log).frames:
        report.log = LogFinals(log.frames, log.stdout, log.stderr, log.records)
    return report


def fence_of(text: str) -> Fence:
    """A fence from its text; InvalidArgument when it is none."""
    try:
        return Fence.parse(text)
    except MalformedFence as error:
        raise InvalidArgument(str(error)) from None


def _ns(message: Any, field: str) -> UtcNs:
    if not message.HasField(field):
        return 0
    value = getattr(message, field)
    return int(value.seconds * SECOND_NS + value.nanos)


def commands_bytes(command: c.SendCommands, n: int, relay_address: Callable[[str], str]) -> bytes:
    """A Commands message as it goes over the stream; `n` is the incarnation."""
    response = pb.SessionResponse()
    message = response.commands
    message.number = command.number
    for stop in command.stops:
        message.stops.add(
            fence=str(stop.fence),
            outcome=stop.outcome,
            reason=stop.reason,
        )
    if command.accepted:
        message.accepted.extend([f"{n}.{task}.{attempt}" for n, task, attempt in command.accepted])
    for fenced in command.fenced:
        # The attempt that counts is of the present incarnation, whatever that of the fenced one is.
        current = f"{n}.{fenced.fence.task}.{fenced.current}" if fenced.current else ""
        message.fenced.add(fence=str(fenced.fence), current=current, reason=fenced.reason)
    for fence, relay in command.placements:
        message.placements.add(fence=str(fence), relay_id=relay.id, relay_address=relay.address)
    message.list_held = command.list_held
    message.hold_ms = int(command.hold * 1000)
    if command.starts:
        _add_starts(message, command, n, relay_address)
    return response.SerializeToString()


def _add_starts(
    message: pb.Commands, command: c.SendCommands, n: int, relay_address: Callable[[str], str]
) -> None:
    add = message.starts.add
    for task, attempt in command.starts:
        start = add(fence=f"{n}.{task.id}.{attempt.number}", spec=task.spec)
        if attempt.relay:
            start.relay_id = attempt.relay
            start.relay_address = relay_address(attempt.relay)
        if task.traceparent:
            start.traceparent = task.traceparent
        for name, indexes in attempt.grant.indexes:
            start.granted[name].indexes.extend(indexes)
