"""How does a trace travel between processes? As W3C `traceparent`, with or without OpenTelemetry."""

from __future__ import annotations

import re
import secrets
from typing import Final

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


def parse_traceparent(text: str) -> tuple[int, int, int] | None:
    """Trace id, span id and flags of a W3C traceparent of version 00; None when it is malformed."""
    match = _TRACEPARENT.fullmatch(text)
    return None if match is None else (int(match[1], 16), int(match[2], 16), int(match[3], 16))


def new_traceparent(*, sampled: bool = True) -> str:
    """The traceparent of a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{'01' if sampled else '00'}"
