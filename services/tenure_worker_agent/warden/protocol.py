"""How do the agent and its warden talk?

Over one Unix stream socket that the warden makes before it starts the agent. A message is its length
(uint32, little-endian) and a JSON array of objects, so that many commands or events cost one write. Nothing
is answered in order: every event says by itself what it is about, and a fence names the attempt. After a
restart of either side the agent asks for a `list`; nothing else needs to be remembered.

Commands, by their "do":

| do | fields | effect |
|---|---|---|
| list | | one `snapshot` event |
| start | an order, see `orders.Order` | journaled, then exec'd at most once per fence; else `refused` |
| stop | fence, note | TERM to the process group, KILL to the whole tree after the order's grace |
| extend | deadlines: {fence: [term at, kill at]} | moves exclusive deadlines, CLOCK_BOOTTIME seconds |
| acked | positions: {fence: spool bytes} | the relay has everything before these positions on its disk |
| accept | fences | the scheduler has the results; `snapshot` says so from now on |
| forget | fences | exit record and spool are needed no more |
| stdin | fence, data (base64), eof | for orders with stdin_pipe |
| upgrade | | the warden re-executes itself in place |

Events, by their "is":

| is | fields |
|---|---|
| snapshot | instance, boot_id, reduced: [sentence], queued: [fence], and the three below |
| | attempts: [{fence, pid, ticks, at, note}] |
| | exits: [{accepted, record}] |
| | spools: {fence: [first position, end position]} |
| started | fence, pid, ticks (start time of the process in clock ticks), at (wall clock ns) |
| refused | fence, kind (duplicate, late, stopping, stopped, disk, malformed), message: it does not run |
| exited | record: see `records.exit_record` |
| progress | spools: {fence: [first position, end position]}: the spool holds the bytes between them |
| stopping | the warden was told to end: attempts are being stopped |
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Message = dict[str, Any]

_LENGTH: Final = struct.Struct("<I")
MAX_MESSAGE: Final = 64 << 20


class ProtocolError(ValueError):
    """The peer sent something that is not a message."""


to_json: Final = json.JSONEncoder(separators=(",", ":")).encode


def encode(messages: Sequence[Message]) -> bytes:
    """One message on the wire."""
    return framed(map(to_json, messages))


def framed(texts: Iterable[str]) -> bytes:
    """One message on the wire, of objects that are JSON already."""
    body = f"[{','.join(texts)}]".encode()
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Puts received pieces together again."""

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending = bytearray()
        """The beginning of a message."""

    def feed(self, data: bytes) -> Iterable[Message]:
        """The messages that `data` completes.

        Raises:
            ProtocolError: a length or a body that no peer of ours would send.
        """
        buffer = self.pending
        buffer += data
        start = 0
        messages: list[Message] = []
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_MESSAGE:
                raise ProtocolError(f"a message of {length} bytes")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            messages += _objects(buffer[start + _LENGTH.size : end])
            start = end
        del buffer[:start]
        return messages


def _objects(body: bytearray) -> list[Message]:
    try:
        decoded = json.loads(body)
    except ValueError as error:
        raise ProtocolError(f"not JSON: {error}") from None
    if not isinstance(decoded, list) or not all(isinstance(each, dict) for each in decoded):
        raise ProtocolError("not an array of objects")
    return decoded
