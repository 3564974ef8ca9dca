"""What do tasks, attempts and workers look like to a person, and as JSON?"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tenure.cli.json_form import dumps, enum_word, of_message
from tenure.cli.tables import SHORT_ID, age, clean, show_table, size, time_of
from tenure.v1 import task_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message

    from tenure.v1 import task_service_pb2 as ts
    from tenure.v1.cluster_service_pb2 import GetServerInfoResponse, VerifyFenceResponse
    from tenure.v1.task_spec_pb2 import TaskSpec
    from tenure.v1.worker_admin_service_pb2 import Worker


def word(message: Message, field: str) -> str:
    """The value of an enum field in short."""
    described = message.DESCRIPTOR.fields_by_name[field]
    assert described.enum_type is not None
    return enum_word(described.enum_type, getattr(message, field))


def task_line(task: pb.Task, as_json: bool) -> None:
    """One ended task."""
    print(dumps(of_message(task)) if as_json else f"{task.id}  {word(task, 'state')}{_how(task)}")


def task_list(tasks: Sequence[pb.Task], quiet: bool, as_json: bool) -> None:
    """Tasks as `ps` lists them."""
    if as_json:
        for task in tasks:
            print(dumps(of_message(task)))
    elif quiet:
        for task in tasks:
            print(task.id)
    else:
        headings = ("ID", "NAME", "STATE", "TRIES", "WORKER", "AGE", "TOOK", "WHY")
        show_table(headings, [_row(task) for task in tasks])


def task(task: pb.Task, as_json: bool) -> None:
    """Everything about one task."""
    if as_json:
        print(dumps(of_message(task)))
        return
    rows = [
        ("id", task.id),
        ("name", task.name),
        ("state", word(task, "state") + _how(task)),
        ("reason", task.reason),
        ("command", command(task.spec)),
        ("queue", task.queue),
        ("namespace", task.namespace),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(task.spec.labels.items()))),
        ("created", time_of(task.created_at)),
        ("finished", time_of(task.finished_at)),
        ("next attempt", time_of(task.next_attempt_at)),
        ("attempt", _attempt(task.attempt) if task.HasField("attempt") else "none yet"),
        ("failures", str(task.failures) if task.failures else ""),
        ("losses", str(task.losses) if task.losses else ""),
        ("output", word(task, "log_state") if task.log_state else ""),
        ("retry of", task.retry_of),
        ("request id", task.request_id),
    ]
    _rows(rows)


def command(spec: TaskSpec) -> str:
    """What a task runs, in a line."""
    body = spec.WhichOneof("body")
    if body == "process":
        return shlex.join(spec.process.argv)
    if body == "call":
        return f"{spec.call.type} {spec.call.version}".strip()
    return body or ""


def cancelled(results: Iterable[ts.CancelTasksResult], as_json: bool) -> None:
    """What a cancellation did."""
    found = list(results)
    for result in found:
        print(dumps(of_message(result)) if as_json else f"{result.task_id}  {word(result, 'state')}")
    if not found and not as_json:
        print("no task matches")


def explanation(answer: ts.ExplainTaskResponse, as_json: bool) -> None:
    """Why a task stands where it stands."""
    if as_json:
        print(dumps(of_message(answer)))
        return
    print(f"{answer.task.id} {word(answer.task, 'state')}: {answer.summary}")
    if answer.ahead:
        print(f"{answer.ahead} tasks go before it.")
    _list("What happened", answer.story)
    _list("Workers", [_verdict(worker) for worker in answer.workers])
    _list("What would change it", answer.suggestions)


def fence(answer: VerifyFenceResponse, as_json: bool) -> None:
    """Whether a fence holds."""
    if as_json:
        print(dumps(of_message(answer)))
    elif answer.valid:
        print(f"valid: {answer.current_fence}")
    else:
        newest = f"; the newest fence is {answer.current_fence}" if answer.current_fence else ""
        print(f"not valid: {answer.reason}{newest}")


def workers(found: Iterable[Worker], as_json: bool) -> None:
    """The workers of the fleet."""
    if as_json:
        for worker in found:
            print(dumps(of_message(worker)))
        return
    headings = ("NAME", "VERDICT", "PHASE", "TASKS", "CPU", "MEMORY", "LABELS")
    known = list(found)
    show_table(headings, [_worker_row(worker) for worker in known])
    reduced = [f"{worker.name}: {each}" for worker in known for each in worker.reduced_guarantees]
    _list("Guarantees that are reduced", reduced)


def server(info: GetServerInfoResponse, as_json: bool) -> None:
    """The servers of the cluster."""
    if as_json:
        print(dumps(of_message(info)))
        return
    _rows(
        [
            ("answered by", f"{info.replica} {info.version}{' (leading)' if info.leading else ''}"),
            ("leader", f"{info.leader} at {info.leader_address}" if info.leader else "none is known"),
            ("cluster", f"{info.cluster}, incarnation {info.incarnation}, epoch {info.epoch}"),
            ("etcd", info.etcd_version),
            ("schedulers", ", ".join(f"{server.id} at {server.address}" for server in info.schedulers)),
            ("log relays", ", ".join(f"{relay.id} at {relay.address}" for relay in info.log_relays)),
            ("worker ttl", f"{info.limits.worker_ttl.ToNanoseconds() / 1e9:g}s"),
        ]
    )


def _rows(rows: Iterable[tuple[str, str]]) -> None:
    for label, value in rows:
        if value:
            print(f"{label:<13} {clean(value)}")


def _list(title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        print(f"{title}:")
        for line in found:
            print(f"  - {clean(line)}")


def _row(task: pb.Task) -> tuple[str, ...]:
    attempt = task.attempt
    took = age(attempt.started_at, attempt.ended_at) if attempt.ByteSize() else ""
    why = task.reason if task.state != pb.TASK_STATE_SUCCEEDED else ""
    return (
        task.id[:SHORT_ID],
        task.name,
        word(task, "state"),
        str(attempt.number or ""),
        attempt.worker,
        age(task.created_at),
        took,
        why,
    )


def _how(task: pb.Task) -> str:
    if task.state == pb.TASK_STATE_SUCCEEDED:
        return ""
    if task.HasField("exit_code"):
        return f" (exit {task.exit_code})"
    if task.HasField("signal"):
        return f" (signal {task.signal})"
    return f" ({word(task, 'outcome')})" if task.outcome else ""


def _attempt(attempt: pb.Attempt) -> str:
    outcome = word(attempt, "outcome") if attempt.outcome else "open"
    return (
        f"{attempt.number} on {attempt.worker}: {outcome}{' – ' + attempt.reason if attempt.reason else ''}"
    )


def _verdict(worker: ts.WorkerVerdictReason) -> str:
    return f"{worker.worker}: {'fits' if worker.fits else '; '.join(worker.reasons)}"


def _phase(worker: Worker) -> str:
    if not worker.connected:
        return "not connected"
    return word(worker, "phase") if worker.phase else "connected"


def _worker_row(worker: Worker) -> tuple[str, ...]:
    verdict = "cordoned" if worker.cordoned else word(worker, "verdict")
    if worker.HasField("drain_deadline"):
        verdict += f" until {time_of(worker.drain_deadline)}"
    labels = {key: value for key, value in worker.labels.items() if not key.startswith("tenure/")}
    return (
        worker.name,
        verdict,
        _phase(worker),
        str(worker.attempts),
        f"{worker.granted.cpu_milli / 1000:g}/{worker.capacity.cpu_milli / 1000:g}",
        f"{size(worker.granted.memory_bytes)}/{size(worker.capacity.memory_bytes)}",
        ", ".join(f"{key}={value}" for key, value in sorted(labels.items())),
    )
