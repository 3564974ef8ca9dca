"""What would an OpenTelemetry collector get? A real OTLP/gRPC receiver that keeps everything in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span, as far as tests look at it."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    failed: bool


@dataclass(slots=True)
class Series:
    """The newest state of one metric."""

    unit: str
    description: str
    kind: str
    points: dict[tuple[tuple[str, Any], ...], float] = field(default_factory=dict)
    """Attributes, the service and its instance among them, to the value; of a histogram the count."""
    sums: dict[tuple[tuple[str, Any], ...], float] = field(default_factory=dict)
    """The same, of a histogram the sum."""

    def total(self, **attributes: Any) -> float:
        """The sum over all points with these attributes."""
        wanted = set(attributes.items())
        return sum(value for key, value in self.points.items() if wanted <= set(key))


class Collector:
    """Takes traces and metrics on a port of the loopback interface."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._server: grpc.aio.Server | None = None
        self.spans: list[Span] = []
        self.metrics: dict[str, Series] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        server = self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_traces: Any = trace_grpc.add_TraceServiceServicer_to_server
        add_metrics: Any = metrics_grpc.add_MetricsServiceServicer_to_server
        add_traces(_Traces(self), server)
        add_metrics(_Metrics(self), server)
        self._port = server.add_insecure_port(f"127.0.0.1:{self._port}")
        await server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        await self._server.stop(None)

    def named(self, service: str, name: str) -> list[Span]:
        """The spans of a service with this end of a name."""
        return [span for span in self.spans if span.service == service and span.name.endswith(name)]

    def take_spans(self, request: Any) -> None:
        for resource in request.resource_spans:
            service = _facts(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        service=service,
                        name=span.name,
                        kind=span.kind,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        attributes=_facts(span.attributes),
                        failed=span.status.code == 2,
                    )
                    for span in scope.spans
                ]

    def take_metrics(self, request: Any) -> None:
        for resource in request.resource_metrics:
            facts = _facts(resource.resource.attributes)
            own = {"service": facts["service.name"], "instance": facts["service.instance.id"]}
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._take_metric(metric, own)

    def _take_metric(self, metric: Any, own: dict[str, Any]) -> None:
        kind = metric.WhichOneof("data")
        series = self.metrics.setdefault(metric.name, Series(metric.unit, metric.description, kind))
        for point in getattr(metric, kind).data_points:
            key = tuple(sorted({**own, **_facts(point.attributes)}.items()))
            if kind == "histogram":
                series.points[key], series.sums[key] = point.count, point.sum
            else:
                series.points[key] = getattr(point, point.WhichOneof("value"))


class _Traces(trace_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:
        self._collector.take_spans(request)
        return trace_pb.ExportTraceServiceResponse()


class _Metrics(metrics_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:
        self._collector.take_metrics(request)
        return metrics_pb.ExportMetricsServiceResponse()


def _facts(attributes: Iterable[Any]) -> dict[str, Any]:
    return {fact.key: getattr(fact.value, fact.value.WhichOneof("value")) for fact in attributes}
