"""How does an attempt show in a trace? As one span from its order to its end, below the submission's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure_runtime.telemetry import Span, Telemetry


class Traces:
    """The spans of attempts that have not ended."""

    def __init__(self, telemetry: Telemetry, worker: str, *, on: bool) -> None:
        self._telemetry = telemetry
        self._worker = worker
        self._on = on
        self._spans: dict[str, Span] = {}

    def begin(self, fence: str, parent: str) -> str:
        """The trace context for the task; without telemetry that of the submission."""
        if not self._on or not parent:
            return parent
        span = self._telemetry.begin_span("attempt", parent=parent, fence=fence, worker=self._worker)
        self._spans[fence] = span
        return span.traceparent or parent

    def end(self, fence: str, error: str = "") -> None:
        """The attempt has ended."""
        span = self._spans.pop(fence, None)
        if span is not None:
            span.end(error)
