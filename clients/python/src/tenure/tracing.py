"""How does a call show in the traces of the program that makes it?

A program that uses OpenTelemetry gets a span per call, and its trace goes on in the servers and in the task;
one that does not pays a look into a dictionary, and hands on what it finds in `TRACEPARENT`.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

_NOTHING: Final = nullcontext()


def client_span(path: str) -> AbstractContextManager[Any]:
    """A span of kind CLIENT for one call, however often it has to be made; for `with`."""
    if "opentelemetry.trace" not in sys.modules:
        return _NOTHING
    from opentelemetry import trace

    service, _, method = path[1:].partition("/")
    return trace.get_tracer("tenure").start_as_current_span(
        path[1:],
        _context(),
        trace.SpanKind.CLIENT,
        {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
    )


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """The trace that a call belongs to: of the active OpenTelemetry span, or of `TRACEPARENT`."""
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry.propagate import inject

        carrier: dict[str, str] = {}
        inject(carrier, _context())
        if carrier:
            return tuple(carrier.items())
    return _inherited()


def _inherited() -> tuple[tuple[str, str], ...]:
    parent = os.environ.get("TRACEPARENT")
    return (("traceparent", parent),) if parent else ()


def _context() -> Any:
    """The active context; where no span is active, the one that the environment names."""
    from opentelemetry import trace
    from opentelemetry.propagate import extract

    if trace.get_current_span().get_span_context().is_valid:
        return None
    return extract(dict(_inherited()))
