"""What does a reader ask for, once its request is checked?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tenure.v1.log_service_pb2 import (
    LOG_CHANNEL_STDERR,
    LOG_CHANNEL_STDOUT,
    LOG_FORMAT_CHUNKS,
    TailLogsRequest,
)
from tenure_core.errors import InvalidArgument, Unimplemented, Violation
from tenure_core.ids import is_prefix
from tenure_log_relay.domain.cursor import Cursor, MalformedCursor

DEFAULT_CHANNELS: Final = frozenset({LOG_CHANNEL_STDOUT, LOG_CHANNEL_STDERR})
KNOWN_CHANNELS: Final = frozenset({1, 2, 3})
SHORTEST_PREFIX: Final = 4
MOST_LINES: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRequest:
    """A checked request."""

    task: str
    """Id or prefix."""
    attempt: int
    channels: frozenset[int]
    follow: bool
    as_lines: bool
    entry_cursors: bool = False
    cursor: Cursor | None = None
    last_lines: int | None = None
    since_ns: int = 0
    """Also that of the request which the cursor goes back to; 0: from the beginning."""
    offset: int | None = None


def checked(request: TailLogsRequest) -> TailRequest:
    """The request, or InvalidArgument with all that is wrong; Unimplemented for what is not built."""
    if request.HasField("tasks"):
        raise Unimplemented("merged tails of several tasks are not built yet: tail one task_id")
    if request.HasField("filter") and request.filter.ByteSize():
        raise Unimplemented("log filters are not built yet: leave `filter` empty")
    faults: list[Violation] = []
    channels = frozenset(request.channels) or DEFAULT_CHANNELS
    cursor = _cursor(request, faults)
    if not is_prefix(request.task_id) or len(request.task_id) < SHORTEST_PREFIX:
        faults.append(
            Violation("task_id", f"a task id, or at least {SHORTEST_PREFIX} characters of one, is needed")
        )
    if not channels <= KNOWN_CHANNELS:
        faults.append(Violation("channels", f"{sorted(channels - KNOWN_CHANNELS)} are no channels"))
    if request.format not in (0, 1, 2):
        faults.append(Violation("format", f"{request.format} is no format"))
    start = request.WhichOneof("from")
    if start == "offset" and (len(request.channels) != 1 or not request.attempt):
        faults.append(Violation("offset", "needs exactly one channel and an attempt"))
    if start == "last_lines" and request.last_lines > MOST_LINES:
        faults.append(Violation("last_lines", f"at most {MOST_LINES}"))
    if faults:
        raise InvalidArgument(violations=tuple(faults))
    return TailRequest(
        task=request.task_id,
        attempt=request.attempt,
        channels=channels,
        follow=request.follow,
        as_lines=request.format != LOG_FORMAT_CHUNKS,
        entry_cursors=request.entry_cursors,
        cursor=cursor,
        last_lines=request.last_lines if start == "last_lines" else None,
        since_ns=max(0, request.since.ToNanoseconds()) if cursor is None else cursor.since_ns,
        offset=request.offset if start == "offset" else None,
    )


def _cursor(request: TailLogsRequest, faults: list[Violation]) -> Cursor | None:
    if request.WhichOneof("from") != "cursor":
        return None
    try:
        cursor = Cursor.parse(request.cursor)
    except MalformedCursor as error:
        faults.append(Violation("cursor", str(error)))
        return None
    if not cursor.fence.task.startswith(request.task_id):
        faults.append(Violation("cursor", "it belongs to another task"))
    elif request.attempt and cursor.fence.attempt != request.attempt:
        faults.append(Violation("cursor", f"it belongs to attempt {cursor.fence.attempt}"))
    return cursor
