"""What becomes of traces and metrics when nobody takes them?

They are dropped, which is told once, and once more when the collector is back. The SDK's own complaints, one
per failed try, are switched off. A process that ends waits `FLUSH_SECONDS` at most for a collector, and not
at all for one that is away already.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tenure_runtime.logging_setup import get_logger

FLUSH_SECONDS: Final = 1.0
_GIVE_UP_SECONDS: Final = 0.5
_RECONNECT_SECONDS: Final = 10.0
"""Traces and metrics have a connection each: when one is back, the other follows within this time."""
_log = get_logger("telemetry")


class Delivery:
    """How the collector fares; shared by all exporters of a process, whose threads call it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self.failing = False
        """Whether the newest export failed."""
        self._back_at = float("-inf")
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def heard(self, delivered: bool) -> None:
        """An export ended well or not."""
        now = time.monotonic()
        with self._lock:
            if not delivered and now - self._back_at < _RECONNECT_SECONDS:
                return
            if delivered and self.failing:
                self._back_at = now
            changed, self.failing = self.failing is delivered, not delivered
        if changed and delivered:
            _log.info("traces and metrics are taken again", collector=self._target)
        elif changed:
            _log.warning("nobody takes traces and metrics: they are dropped", collector=self._target)


class Spans(SpanExporter):
    """Tells of each export of another exporter."""

    def __init__(self, inner: SpanExporter, delivery: Delivery) -> None:
        self._inner = inner
        self._delivery = delivery

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        self._delivery.heard(result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class Metrics(MetricExporter):
    """The same for metrics."""

    def __init__(self, inner: MetricExporter, delivery: Delivery) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner = inner
        self._delivery = delivery

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **options: Any
    ) -> MetricExportResult:
        result = self._inner.export(metrics_data, timeout_millis, **options)
        self._delivery.heard(result is MetricExportResult.SUCCESS)
        return result

    def shutdown(self, timeout_millis: float = 30_000, **options: Any) -> None:
        self._inner.shutdown(timeout_millis, **options)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._inner.force_flush(timeout_millis)


async def within(seconds: float, flush: Callable[[], None], give_up: Callable[[], None]) -> None:
    """Run `flush` beside the loop; after so many seconds `give_up` has to bring it to its end.

    The thread is a daemon: one that hangs all the same does not hold up the end of the process.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        try:
            flush()
        finally:
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:
                pass  # the process did not wait any longer

    threading.Thread(target=work, name="flush telemetry", daemon=True).start()
    for patience, then in ((seconds, give_up), (_GIVE_UP_SECONDS, lambda: None)):
        try:
            await asyncio.wait_for(done.wait(), patience)
            return
        except TimeoutError:
            then()
