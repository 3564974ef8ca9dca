"""What does the history of a task look like to a person?

A timeline in 100 columns: when, how long after the submission, which attempt, what happened and on what that
rests; then the attempts with their fences; then when two of them ran at the same time.
"""

from __future__ import annotations

import time
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from tenure.cli.json_form import dumps, enum_word, of_message
from tenure.cli.tables import clean, duration, show_table, time_of

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from tenure.v1 import task_pb2 as pb
    from tenure.v1 import task_service_pb2 as ts

WIDTH: Final = 100
_MARGIN: Final = " " * 42


def history(answer: ts.GetTaskHistoryResponse, as_json: bool) -> None:
    """Everything that is known of a task's attempts."""
    if as_json:
        print(dumps(of_message(answer)))
        return
    task = answer.task
    print(clean(f"{task.id}  {task.name}  {_word(task, 'state')}"))
    _timeline(answer)
    if answer.dropped:
        print(f"\n{answer.dropped} older attempts are no longer kept.")
    if answer.attempts:
        print()
        headings = ("TRY", "FENCE", "WORKER", "SESSION", "OUTCOME", "EXIT", "TOOK", "COUNTED")
        show_table(headings, [_row(attempt) for attempt in answer.attempts])
        print()
        _overlaps(answer)


def _word(message: Message, field: str) -> str:
    described = message.DESCRIPTOR.fields_by_name[field]
    assert described.enum_type is not None
    return enum_word(described.enum_type, getattr(message, field))


def _timeline(answer: ts.GetTaskHistoryResponse) -> None:
    zone = time.strftime("%Z", time.localtime(answer.task.created_at.seconds))
    print(f"began {time_of(answer.task.created_at)} {zone}, {_ago(answer.task.created_at)}\n")
    last_day = ""
    for event in answer.events:
        day, _, clock = time_of(event.at).partition(" ")
        if day != last_day:
            if last_day:
                print(day)
            last_day = day
        after = (event.at.ToNanoseconds() - answer.task.created_at.ToNanoseconds()) / 1e9
        attempt = f"#{event.attempt}" if event.attempt else ""
        what = _word(event, "kind").replace("_", " ")
        head = f"{clock}.{event.at.nanos // 1_000_000:03} {_signed(after):>9} {attempt:>4}  {what}"
        _paragraph(head, event.text)


def _paragraph(head: str, text: str) -> None:
    """The head, and the text beside it, wrapped."""
    lines = wrap(clean(text), WIDTH - len(_MARGIN)) or [""]
    print(f"{head:<{len(_MARGIN)}}{lines[0]}".rstrip())
    for line in lines[1:]:
        print(_MARGIN + line)


def _signed(seconds: float) -> str:
    return f"-{duration(-seconds)}" if seconds < 0 else f"+{duration(seconds)}"


def _ago(instant: Timestamp) -> str:
    return f"{duration(time.time() - instant.ToNanoseconds() / 1e9)} ago"


def _row(attempt: pb.Attempt) -> tuple[str, ...]:
    ended = str(attempt.exit_code) if attempt.HasField("exit_code") else ""
    if attempt.HasField("signal"):
        ended = f"signal {attempt.signal}"
    outcome = _word(attempt, "outcome") if attempt.outcome else "open"
    return (
        f"#{attempt.number}",
        attempt.fence,
        attempt.worker,
        str(attempt.session),
        outcome,
        ended,
        _took(attempt),
        "yes" if attempt.counted else "",
    )


def _took(attempt: pb.Attempt) -> str:
    """From its start to its end as it really was; "?" for one that was given up while nobody knows."""
    late = attempt.late_end
    began = attempt.started_at if attempt.HasField("started_at") else late.started_at
    if not began.ByteSize():
        return ""
    if attempt.HasField("late_end"):
        ended = late.ended_at.ToNanoseconds()
    elif attempt.HasField("ruling") and not attempt.ruling.reported:
        return "?"
    else:
        ended = attempt.ended_at.ToNanoseconds() or time.time_ns()
    return duration((ended - began.ToNanoseconds()) / 1e9)


def _overlaps(answer: ts.GetTaskHistoryResponse) -> None:
    if not answer.overlaps:
        print("No two attempts ran at the same time.")
        return
    print("At the same time, by the clocks of the nodes:")
    for overlap in answer.overlaps:
        begins, ends = overlap.begins_at, overlap.ends_at
        if overlap.HasField("ends_at"):
            length = duration((ends.ToNanoseconds() - begins.ToNanoseconds()) / 1e9)
            window = f"{_clock(begins)} to {_clock(ends)} ({'' if overlap.certain else 'at most '}{length})"
        else:
            window = f"{_clock(begins)} until nobody knows when"
        text = clean(f"#{overlap.earlier} and #{overlap.later}: {window}: {overlap.text}")
        print("\n".join(wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")))


def _clock(instant: Timestamp) -> str:
    return f"{time_of(instant).partition(' ')[2]}.{instant.nanos // 1_000_000:03}"
