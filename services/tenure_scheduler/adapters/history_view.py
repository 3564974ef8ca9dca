"""How does the history of a task look to its readers?"""

from __future__ import annotations

from tenure.v1 import task_pb2 as tasks_pb
from tenure.v1 import task_service_pb2 as pb
from tenure_scheduler.adapters.public import TaskWriter, timestamp
from tenure_scheduler.domain.history import Overlap, overlaps, timeline
from tenure_scheduler.domain.model import Attempt, Task
from tenure_scheduler.domain.notes import LateEnd, Note


def history_message(writer: TaskWriter, task: Task) -> pb.GetTaskHistoryResponse:
    """Every attempt with its evidence, the timeline, and when two attempts ran at the same time."""
    return pb.GetTaskHistoryResponse(
        task_id=task.id,
        task=writer.task(task),
        attempts=[_attempt(writer, task, attempt) for attempt in task.attempts],
        dropped=task.dropped_attempts,
        events=[_event(note) for note in timeline(task)],
        overlaps=[_overlap(overlap) for overlap in overlaps(task)],
    )


def _attempt(writer: TaskWriter, task: Task, attempt: Attempt) -> tasks_pb.Attempt:
    message = writer.attempt(task, attempt)
    if attempt.ruling is not None:
        epoch, saw, excuse, reported = attempt.ruling
        message.ruling.CopyFrom(tasks_pb.LossRuling(epoch=epoch, saw=saw, excuse=excuse, reported=reported))
    if attempt.late is not None:
        message.late_end.CopyFrom(_late_end(attempt.late))
    return message


def _late_end(late: LateEnd) -> tasks_pb.LateEnd:
    message = tasks_pb.LateEnd(
        outcome=late.outcome,  # type: ignore[arg-type]
        exit_code=late.exit_code,
        signal=late.signal,
        reason=late.reason,
        ended_at=timestamp(late.ended_ns),
        reported_at=timestamp(late.reported_ns),
        unseen=late.unseen,
    )
    if late.started_ns:
        message.started_at.CopyFrom(timestamp(late.started_ns))
    return message


def _event(note: Note) -> pb.HistoryEvent:
    return pb.HistoryEvent(
        at=timestamp(note.at_ns),
        kind=note.kind,  # type: ignore[arg-type]
        attempt=note.attempt,
        text=note.text,
    )


def _overlap(overlap: Overlap) -> pb.Overlap:
    message = pb.Overlap(
        earlier=overlap.earlier,
        later=overlap.later,
        begins_at=timestamp(overlap.begins_ns),
        certain=overlap.certain,
        text=overlap.text,
    )
    if overlap.ends_ns:
        message.ends_at.CopyFrom(timestamp(overlap.ends_ns))
    return message
