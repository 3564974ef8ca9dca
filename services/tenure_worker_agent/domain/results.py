"""How did an attempt end, in the scheduler's words?

The warden's exit records say what happened to a process; here is what that means.
"""

from __future__ import annotations

from signal import Signals
from typing import Any, Final, NamedTuple

from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_core.timing import UtcNs

O = AttemptOutcome  # noqa: E741


class LogFinals(NamedTuple):
    """Where the output of an attempt ends."""

    frames: int
    stdout: int
    stderr: int
    records: int


class Result(NamedTuple):
    """What became of one attempt."""

    outcome: AttemptOutcome
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    evidence: LossEvidence | None = None
    started_ns: UtcNs = 0
    ended_ns: UtcNs = 0
    pid: int = 0
    log: LogFinals | None = None
    """None: nobody knows."""
    ticks: int = 0
    """Start time of the process in clock ticks since boot."""


class Refusal(NamedTuple):
    """Why the warden did not start an order: an outcome, or None when another attempt may try."""

    outcome: AttemptOutcome | None
    reason: str


NO_OUTPUT: Final = LogFinals(0, 0, 0, 0)
REJECTING: Final = frozenset({"not_found", "permission", "exec_format", "cwd", "too_big"})
"""Spawn errors that are the task's own fault: they would be the same at every try on this worker."""

_CAUSES: Final = {
    "timeout": O.TIMED_OUT,
    "shutdown": O.WORKER_SHUTDOWN,
    "output": O.FAILED,
    "deadline": O.LOST,
    "oom": O.LOST,
    "lost": O.LOST,
}
_EVIDENCE: Final = {"deadline": LossEvidence.LEASE_EXPIRED, "oom": LossEvidence.OOM_KILLED}
_LOST: Final = {
    "WARDEN_DIED": "the warden died, so nobody saw how it ended",
    "HOST_REBOOTED": "its node was booted again, so nobody saw how it ended",
}
_REFUSED: Final = {
    "duplicate": O.LOST,
    "disk": O.INTERNAL_ERROR,
    "malformed": O.REJECTED,
}


def result_of(record: dict[str, Any]) -> Result:
    """What an exit record of the warden means."""
    cause = record["cause"]
    code, signal = record.get("code"), record.get("signal")
    outcome = _outcome(record, cause, code)
    return Result(
        outcome=outcome,
        exit_code=code,
        signal=signal,
        reason=_reason(record, cause, code, signal),
        evidence=_evidence(record, cause) if outcome is O.LOST else None,
        started_ns=record.get("started", 0),
        ended_ns=record.get("ended", 0),
        pid=record.get("pid", 0),
        log=_finals(record),
        ticks=record.get("ticks", 0),
    )


def _outcome(record: dict[str, Any], cause: str, code: int | None) -> AttemptOutcome:
    if cause == "self":
        return O.SUCCEEDED if code == 0 else O.FAILED
    if cause == "spawn":
        return O.REJECTED if record.get("error") in REJECTING else O.INTERNAL_ERROR
    if cause == "stop":
        return AttemptOutcome((record.get("stop") or {}).get("outcome", O.CANCELLED))
    return _CAUSES.get(cause, O.INTERNAL_ERROR)


def _reason(record: dict[str, Any], cause: str, code: int | None, signal: int | None) -> str:
    match cause:
        case "self":
            return _own_end(code, signal)
        case "spawn":
            return str(record.get("message", "the process could not be started"))
        case "stop":
            return str((record.get("stop") or {}).get("reason", "")) or "stopped"
        case "timeout":
            limit = (record.get("note") or {}).get("limit", 0.0)
            return f"it ran longer than its limit of {limit:g} s (timeouts.run)"
        case "deadline":
            return "stopped because the worker could not renew its lease (on_disconnect: stop)"
        case "shutdown":
            return "its worker was shut down"
        case "output":
            return "it wrote more output than its log policy allows"
        case "oom":
            return "the kernel killed it for want of memory"
        case "lost":
            return _LOST.get(record.get("evidence", ""), "its node cannot say how it ended")
    return f"it ended for a reason that this agent does not know: {cause}"


def _own_end(code: int | None, signal: int | None) -> str:
    if signal:
        return f"killed by {signal_name(signal)}"
    return f"exit code {code}" if code else ""


def signal_name(number: int) -> str:
    """SIGKILL and the like; "signal 35" for one without a name."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def _evidence(record: dict[str, Any], cause: str) -> LossEvidence:
    if found := _EVIDENCE.get(cause):
        return found
    name = record.get("evidence", "")
    return LossEvidence[name] if name in LossEvidence.__members__ else LossEvidence.PROCESS_VANISHED


def _finals(record: dict[str, Any]) -> LogFinals | None:
    if "frames" not in record:
        return None
    return LogFinals(record["frames"], *record["offsets"])


def refusal_of(kind: str, message: str) -> Refusal:
    """What it means that the warden refused an order."""
    return Refusal(_REFUSED.get(kind), message or kind)
