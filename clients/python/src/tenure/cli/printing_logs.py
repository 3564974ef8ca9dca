"""How is the output of a task printed?"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenure.cli import exits
from tenure.cli.following import gap_sentence, write
from tenure.cli.json_form import dumps, of_tail
from tenure.v1 import log_service_pb2 as pb

if TYPE_CHECKING:
    from tenure.client import Client

_CONTROL: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_CHANNELS: Final = {pb.LOG_CHANNEL_STDOUT: 1, pb.LOG_CHANNEL_STDERR: 2, pb.LOG_CHANNEL_RECORDS: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be printed, and how."""

    follow: bool
    attempt: int
    last: int | None
    after: str
    raw: bool
    as_json: bool


async def print_logs(client: Client, task_id: str, wanted: Wanted) -> None:
    """Print until the output ends; gaps and attempts beyond the first are told on standard error."""
    messages = client.follow_logs(
        task_id,
        follow=wanted.follow,
        attempt=wanted.attempt,
        cursor=wanted.after,
        last_lines=wanted.last,
        raw=wanted.raw,
        entry_cursors=wanted.as_json,
    )
    async for message in messages:
        if wanted.as_json:
            sys.stdout.writelines(dumps(item) + "\n" for item in of_tail(message))
            sys.stdout.flush()
            continue
        kind = message.WhichOneof("item")
        if kind == "lines":
            _print_lines(message.lines)
        elif kind == "chunk":
            write(_CHANNELS[message.chunk.channel], message.chunk.data)
        elif kind == "gap":
            exits.say(gap_sentence(message.gap))
        elif kind == "attempt_begin" and message.attempt_begin.attempt > 1:
            exits.say(f"attempt {message.attempt_begin.attempt} begins")


def _print_lines(lines: pb.LogLines) -> None:
    """Neighbouring lines of one channel in one write, so that both channels keep their order."""
    pending: list[str] = []
    descriptor = 1
    for entry in lines.entries:
        if _CHANNELS[entry.channel] != descriptor:
            write(descriptor, "".join(pending).encode())
            pending, descriptor = [], _CHANNELS[entry.channel]
        pending.append(printable(entry.text))
        pending.append("" if entry.partial and len(entry.text) >= 65_536 else "\n")
    write(descriptor, "".join(pending).encode())


def printable(text: bytes) -> str:
    """The line as text, without what could play with the reader's terminal."""
    return _CONTROL.sub("", text.decode("utf-8", "replace"))
