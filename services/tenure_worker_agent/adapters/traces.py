"""How does an attempt show in a trace? As one span from its order to its end, below the submission's.

An agent that is killed takes the spans of its running attempts along; the tasks run on and keep their trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tenure_runtime.telemetry import Span, Telemetry

MOST_OPEN: Final = 1_000
"""More than a worker may hold: what is beyond was never started, and nobody told us of its end."""


class Traces:
    """The spans of attempts that have not ended."""

    def __init__(self, telemetry: Telemetry, worker: str) -> None:
        self.on = telemetry.on
        self._telemetry = telemetry
        self._worker = worker
        self._spans: dict[str, Span] = {}

    def begin(self, fence: str, parent: str) -> str:
        """The trace context for the task; without telemetry that of the submission."""
        if not self.on or not parent:
            return parent
        span = self._spans.get(fence)
        if span is None:
            attributes = {"tenure.fence": fence, "tenure.worker": self._worker}
            span = self._spans[fence] = self._telemetry.begin_span("attempt", parent=parent, **attributes)
            if len(self._spans) > MOST_OPEN:
                self.end(next(iter(self._spans)), "never started")
        return span.traceparent or parent

    def end(self, fence: str, error: str = "") -> None:
        """The attempt has ended."""
        span = self._spans.pop(fence, None)
        if span is not None:
            span.end(error)

    def exited(self, record: dict[str, Any]) -> None:
        """The attempt has ended as the warden's exit record says."""
        if self.on:
            self.end(record["fence"], _error_of(record))


def _error_of(record: dict[str, Any]) -> str:
    code, signal = record.get("code"), record.get("signal")
    if record["cause"] != "self":
        return str(record["cause"])
    return f"signal {signal}" if code is None else f"exit code {code}" if code else ""
