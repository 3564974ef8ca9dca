"""How do traces and metrics leave a process, and what does it cost when they do not?

Off (the default): `start` returns `Telemetry`, whose methods do nothing, and OpenTelemetry is not imported.
The W3C `traceparent` of a caller is handed on all the same (see `rpc.call.Call.traceparent`), so that a
service without telemetry never tears a trace.

On: spans around RPCs by `observer`, other spans by `span` and `begin_span`, metrics by `add`, `record`,
`watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from tenure_runtime.config_sections import TelemetryConfig
    from tenure_runtime.rpc.handlers import CallObserver
    from tenure_runtime.telemetry_metrics import Metric

Value = str | int | float | bool
Reading = Callable[[], Iterable[tuple[float, Mapping[str, Value]]]]


class Span:
    """Something that takes time; without telemetry it only hands on its parent."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent
        """What to give to the processes that this span causes something in."""

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""

    def end(self, error: str = "") -> None:
        """It is over, with an error or well."""


class Telemetry:
    """Telemetry that is off."""

    on = False
    """Whether anything is recorded."""

    @property
    def observer(self) -> CallObserver | None:
        """For `Server(observer=…)`."""
        return None

    def begin_span(self, name: str, *, parent: str | None = None, **attributes: Value) -> Span:
        """A span that `end` closes, perhaps much later; below `parent`, else below the current one."""
        return Span(parent)

    @contextmanager
    def span(self, name: str, *, parent: str | None = None, **attributes: Value) -> Iterator[Span]:
        """A span for the length of a `with` block; an exception marks it as failed."""
        span = self.begin_span(name, parent=parent, **attributes)
        try:
            yield span
        except BaseException as error:
            span.end(type(error).__name__)
            raise
        span.end()

    def add(self, metric: Metric, amount: int = 1, **attributes: Value) -> None:
        """Count."""

    def record(self, metric: Metric, value: float, **attributes: Value) -> None:
        """Add a sample."""

    def watch(self, metric: Metric, reading: Reading) -> None:
        """Read a gauge whenever metrics are sent: `reading()` yields (value, attributes)."""

    async def close(self) -> None:
        """Send what is left."""


def start(config: TelemetryConfig, *, service: str, instance: str) -> Telemetry:
    """The telemetry of this process; CannotStart without its library, or a file that can be written."""
    if not config.on:
        return Telemetry()
    try:
        from tenure_runtime.telemetry_otel import OpenTelemetry
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"telemetry.exporter is {config.exporter}, but {error.name} is not installed: "
            "pip install 'tenure[otel]'"
        ) from None
    return OpenTelemetry(config, service=service, instance=instance)
