"""How do spans and metrics go out through OpenTelemetry? Imported only where telemetry is on.

The SDK exports from threads of its own. An RPC's span is made current in the context of the task that
serves the call and never detached: that context ends with the task.
"""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING, Any, Final

import grpc
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from tenure_runtime.logging_setup import bind
from tenure_runtime.startup import CannotStart
from tenure_runtime.telemetry import Reading, Span, Telemetry, Value
from tenure_runtime.telemetry_delivery import FLUSH_SECONDS, Delivery, Metrics, Spans, within
from tenure_runtime.telemetry_metrics import METRICS, RPC_SECONDS, Metric
from tenure_runtime.trace_context import parse_traceparent

if TYPE_CHECKING:
    from tenure_runtime.config_sections import TelemetryConfig
    from tenure_runtime.rpc.call import Call

_AMONG_US: Final = "/tenure.dispatch."
_SERVER_FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)


class OtelSpan(Span):
    """A span of the SDK."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        context = span.get_span_context()
        flags = int(context.trace_flags)
        super().__init__(f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}")
        self._span = span

    def set(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def end(self, error: str = "") -> None:
        if error:
            self._span.set_status(trace.StatusCode.ERROR, error)
        self._span.end()


class OpenTelemetry(Telemetry):
    """Telemetry that is on."""

    on = True

    def __init__(self, config: TelemetryConfig, *, service: str, instance: str) -> None:
        resource = Resource.create({"service.name": service, "service.instance.id": instance})
        self._file = _opened(config)
        sampler = ParentBased(TraceIdRatioBased(config.sample))
        self._traces = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self._exporters = _exporters(config, self._file)
        self._delivery = delivery = Delivery(
            config.endpoint if config.exporter == "otlp" else config.exporter
        )
        spans, metrics = self._exporters
        self._traces.add_span_processor(BatchSpanProcessor(Spans(spans, delivery)))
        reader = PeriodicExportingMetricReader(
            Metrics(metrics, delivery), export_interval_millis=config.interval * 1000
        )
        self._metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer("tenure")
        self._instruments = self._make_instruments()

    def _make_instruments(self) -> dict[str, Any]:
        meter = self._metrics.get_meter("tenure")
        make: dict[str, Any] = {"counter": meter.create_counter, "histogram": meter.create_histogram}
        return {
            m.name: make[m.kind](m.name, unit=m.unit, description=m.description)
            for m in METRICS
            if m.kind in make
        }

    @property
    def observer(self) -> RpcSpans:
        return RpcSpans(self)

    def begin_span(self, name: str, *, parent: str | None = None, **attributes: Value) -> OtelSpan:
        return OtelSpan(self.start_span(name, trace.SpanKind.INTERNAL, parent, attributes))

    def start_span(
        self, name: str, kind: trace.SpanKind, parent: str | None, attributes: dict[str, Value]
    ) -> trace.Span:
        """A span of the SDK, below `parent` where that is a well-formed traceparent."""
        return self._tracer.start_span(name, _context_of(parent), kind, attributes)

    def add(self, metric: Metric, amount: int = 1, **attributes: Value) -> None:
        self._instruments[metric.name].add(amount, attributes)

    def record(self, metric: Metric, value: float, **attributes: Value) -> None:
        self._instruments[metric.name].record(value, attributes)

    def watch(self, metric: Metric, reading: Reading) -> None:
        def observe(_options: object) -> list[Observation]:
            return [Observation(value, dict(attributes)) for value, attributes in reading()]

        meter = self._metrics.get_meter("tenure")
        meter.create_observable_gauge(
            metric.name, [observe], unit=metric.unit, description=metric.description
        )

    async def close(self) -> None:
        """Send what is left, for a moment: a collector that is away does not hold up the end."""
        await within(0.0 if self._delivery.failing else FLUSH_SECONDS, self._flush, self._give_up)
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        self._traces.shutdown()
        self._metrics.shutdown()

    def _give_up(self) -> None:
        for exporter in self._exporters:
            exporter.shutdown()


class RpcSpans:
    """Tells OpenTelemetry of every call that a server serves.

    What the parts of Tenure say to each other (beats, sessions, pushes) is timed, but begins no trace: nobody
    asked for it.
    """

    def __init__(self, telemetry: OpenTelemetry) -> None:
        self._telemetry = telemetry

    def begin(self, call: Call) -> tuple[trace.Span | None, float]:
        """Open the call's span, make it current, and let what the call causes hang below it."""
        if call.traceparent is None and call.method.startswith(_AMONG_US):
            return None, time.perf_counter()
        service, _, method = call.method[1:].partition("/")
        attributes: dict[str, Value] = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "tenure.identity": str(call.identity),
        }
        if call.hops:
            attributes["tenure.hops"] = call.hops
        span = self._telemetry.start_span(
            call.method[1:], trace.SpanKind.SERVER, call.traceparent, attributes
        )
        otel_context.attach(trace.set_span_in_context(span))
        call.traceparent = OtelSpan(span).traceparent
        bind(trace=f"{span.get_span_context().trace_id:032x}")
        return span, time.perf_counter()

    def end(self, token: Any, call: Call, code: grpc.StatusCode) -> None:
        """Close the span and record the call's duration."""
        span, begun = token
        elapsed = time.perf_counter() - begun
        if span is not None:
            span.set_attribute("rpc.grpc.status_code", code.value[0])
            if code in _SERVER_FAULTS:
                span.set_status(trace.StatusCode.ERROR, code.name)
            span.end()
        self._telemetry.record(RPC_SECONDS, elapsed, method=call.method[1:], code=code.name)


def _context_of(parent: str | None) -> otel_context.Context | None:
    ids = parse_traceparent(parent) if parent else None
    if ids is None:
        return None
    remote = trace.SpanContext(ids[0], ids[1], is_remote=True, trace_flags=trace.TraceFlags(ids[2]))
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), otel_context.Context())


def _opened(config: TelemetryConfig) -> IO[str] | None:
    if config.exporter != "file" or config.file is None:
        return None
    try:
        return config.file.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise CannotStart(f"telemetry.file: cannot write {config.file}: {error.strerror}") from None


def _exporters(config: TelemetryConfig, file: IO[str] | None) -> tuple[SpanExporter, MetricExporter]:
    if config.exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        insecure = config.endpoint.startswith("http://")
        return (
            OTLPSpanExporter(endpoint=config.endpoint, insecure=insecure),
            OTLPMetricExporter(endpoint=config.endpoint, insecure=insecure),
        )
    import sys

    out = file or sys.stderr
    return (
        ConsoleSpanExporter(out=out, formatter=_span_line),
        ConsoleMetricExporter(out=out, formatter=lambda data: data.to_json(indent=None) + "\n"),
    )


def _span_line(span: ReadableSpan) -> str:
    text: str = span.to_json(indent=None)
    return text + "\n"
