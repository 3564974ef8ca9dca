"""What does `--json` print?

The fields of the public messages under their own names: enum values in lower case without their prefix,
instants in RFC 3339, durations in seconds, 64-bit numbers as numbers, bytes as text where they are UTF-8 and
as {"base64": …} where they are not. Plain fields are always there; absent messages and optional fields are
null.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from tenure.v1 import log_service_pb2 as logs


def dumps(value: Any) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def of_message(message: Message) -> Any:
    """A message as plain data."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        return message.ToJsonString()  # type: ignore[attr-defined]
    if name == "google.protobuf.Duration":
        return message.ToNanoseconds() / 1e9  # type: ignore[attr-defined]
    if name.startswith("google.protobuf."):
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(message)
    fields: Any = message.DESCRIPTOR.fields
    return {field.name: _field(message, field) for field in fields if _shown(message, field)}


def of_tail(message: logs.TailLogsResponse) -> Iterator[dict[str, Any]]:
    """A message as objects: one per line of output, or one per marker, with its `type` first.

    A relay that cannot give each line a cursor gives the last of a batch one; the others have null then.
    """
    kind = message.WhichOneof("item")
    if kind == "lines":
        left = len(message.lines.entries)
        for entry in message.lines.entries:
            left -= 1
            cursor = entry.cursor or (None if left else message.cursor)
            yield {"type": "line", **_line(entry), "cursor": cursor}
    elif kind is not None:
        yield {"type": kind, **of_message(getattr(message, kind)), "cursor": message.cursor}


def _line(entry: logs.LogEntry) -> dict[str, Any]:
    seconds, nanos = divmod(entry.time_unix_nanos, 10**9)
    channel = entry.DESCRIPTOR.fields_by_name["channel"].enum_type
    assert channel is not None
    line: dict[str, Any] = {
        "channel": enum_word(channel, entry.channel),
        "offset": entry.offset,
        "time": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09}Z",
        "text": entry.text.decode("utf-8", "replace"),
        "partial": entry.partial,
    }
    if line["text"].encode() != entry.text:
        line["base64"] = base64.b64encode(entry.text).decode()
    return line


def enum_word(enum: Any, number: int) -> str:
    """A value of an enum in short: TASK_STATE_SUCCEEDED is "succeeded"."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(value.name).removeprefix(prefix).lower()


def _shown(message: Message, field: FieldDescriptor) -> bool:
    """The members of a oneof that are not set are left out: they are alternatives, not absent values."""
    alternative = field.containing_oneof is not None and not field.containing_oneof.name.startswith("_")
    return not alternative or message.HasField(field.name)


def _field(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of_value = field.message_type.fields_by_name["value"]
        return {str(key): _single(of_value, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_single(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return of_message(value)
    if field.enum_type is not None:
        return enum_word(field.enum_type, value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return value
