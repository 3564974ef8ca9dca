"""How does a service write its log?

One JSON object or one console line per event on standard error, with UTC time, level, component and the bound
context (task, attempt, worker, trace). Below the chosen level an event costs a comparison.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, merge_contextvars, unbind_contextvars

Logger = structlog.typing.FilteringBoundLogger
Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

bind = bind_contextvars
"""Add fields (task=…, attempt=…, worker=…) to every later event of this asyncio task."""
unbind = unbind_contextvars
bound = bound_contextvars
"""The same for the length of a `with` block."""


def get_logger(name: str) -> Logger:
    """A logger; it may be made at import time, what `configure_logging` sets applies at its first event."""
    logger: Logger = structlog.get_logger(component=name)
    return logger


def configure_logging(
    *, level: str = "info", fmt: str = "auto", service: str = "", stream: TextIO | None = None
) -> None:
    """Set up the process's log once, before its first event; `auto` is console on a terminal, else JSON."""
    out = stream or sys.stderr
    tolerant: Any = _Tolerant(out)
    console = fmt == "console" or (fmt == "auto" and out.isatty())
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *([_naming(service)] if service else []),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=tolerant),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(name)s: %(message)s", force=True)


class _Tolerant(io.TextIOBase):
    """A log that nobody reads any more, or a full disk, must not fail what is being logged."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        try:
            return self._out.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._out.flush()
        except (OSError, ValueError):
            return


def _naming(service: str) -> Any:
    def name(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event["service"] = service
        return event

    return name
