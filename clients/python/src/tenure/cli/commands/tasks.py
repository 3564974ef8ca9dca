"""`wait`, `ps`, `show`, `cancel`, `retry`, `release`, `explain`, `history`, `verify-fence`: known tasks."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli import options as o

if TYPE_CHECKING:
    from tenure.client import Client
    from tenure.v1.task_pb2 import TaskFilter

States = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="STATE", help="pending, running, failed and so on. Repeatable."),
]
Names = Annotated[
    list[str] | None, typer.Option("--name", metavar="NAME", help="Name; * stands for anything. Repeatable.")
]
Queues = Annotated[list[str] | None, typer.Option("--queue", metavar="QUEUE", help="Repeatable.")]
OnWorkers = Annotated[list[str] | None, typer.Option("--worker", metavar="WORKER", help="Repeatable.")]
Namespaces = Annotated[list[str] | None, typer.Option("--namespace", metavar="NS", help="Repeatable.")]
OPEN_STATES = ("pending", "backoff", "assigned", "running", "cancelling", "quarantined")


def wait(
    ids: o.TaskIds,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="Give up after this time: 30s, 10m.")
    ] = None,
    any_of: Annotated[bool, typer.Option("--any", help="Until one of them has ended.")] = False,
    as_json: o.Json = False,
) -> None:
    """Wait until tasks have ended.

    - in place of ids reads them from standard input.

    The exit code is the task's own; of several: 0 when all succeeded, else 1; 124 when the time is up.
    """
    from tenure import specs
    from tenure.cli.running import with_client
    from tenure.errors import BadConfiguration

    if ids == ["-"]:
        ids = sys.stdin.read().split()
    try:
        seconds = None if timeout is None else specs.parse_duration(timeout)
    except ValueError as error:
        raise BadConfiguration(f"--timeout: {error}") from None
    if ids:
        with_client(lambda client: _wait(client, ids, seconds, any_of, as_json))


async def _wait(client: "Client", ids: list[str], timeout: float | None, any_of: bool, as_json: bool) -> int:
    from tenure.cli import exits, showing
    from tenure.errors import DeadlineExceeded
    from tenure.v1.task_pb2 import TASK_STATE_SUCCEEDED

    try:
        tasks = await client.wait_many(ids, any_of=any_of, timeout=timeout)
    except DeadlineExceeded as error:
        exits.say(error.message)
        return exits.TIMED_OUT
    for task in tasks:
        showing.task_line(task, as_json)
    if len(tasks) == 1:
        return exits.of_task(tasks[0])
    return int(any(task.state != TASK_STATE_SUCCEEDED for task in tasks))


def ps(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Finished tasks too.")] = False,
    state: States = None,
    name: Names = None,
    label: o.Label = None,
    queue: Queues = None,
    worker: OnWorkers = None,
    namespace: Namespaces = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="At most so many, newest first. [default: 100]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only ids.")] = False,
    as_json: o.Json = False,
) -> None:
    """List tasks, newest first.

    Without -a or --state those that have not ended.
    """
    from tenure.cli.running import with_client

    states = state or ([] if everything else list(OPEN_STATES))
    where = _filter((), states, name, label, queue, worker, namespace)
    with_client(lambda client: _ps(client, where, limit, quiet, as_json))


async def _ps(client: "Client", where: "TaskFilter", wanted: int | None, quiet: bool, as_json: bool) -> None:
    from tenure.cli import exits, showing

    limit = wanted or 100
    tasks = [task async for task in client.list(where, limit=limit + 1)]
    more = len(tasks) > limit and wanted is None
    showing.task_list(tasks[:limit], quiet, as_json)
    if more:
        exits.say(f"only the newest {limit} are shown; --limit shows more")
    if damaged := await client.damaged():
        exits.say(
            f"the records of {damaged} further tasks are damaged;"
            " the log of the leading scheduler names their keys"
        )


def show(ids: o.TaskIds, as_json: o.Json = False) -> None:
    """Show everything about tasks."""
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        for number, task_id in enumerate(ids):
            if number and not as_json:
                print()
            showing.task(await client.get(task_id), as_json)

    with_client(act)


def cancel(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Task ids or prefixes.", autocompletion=o.complete_task),
    ] = None,
    state: States = None,
    name: Names = None,
    label: o.Label = None,
    queue: Queues = None,
    worker: OnWorkers = None,
    namespace: Namespaces = None,
    reason: o.Reason = "",
    as_json: o.Json = False,
) -> None:
    """Cancel tasks, by id or by filter.

    Returns when the cancellation is stored; processes get SIGTERM and, after their grace, SIGKILL.
    """
    from tenure.cli.running import with_client

    where = _filter(ids or (), state, name, label, queue, worker, namespace)
    if not where.ByteSize():
        raise typer.BadParameter("say which tasks, by id or by a filter such as --state pending")

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.cancelled(await client.cancel(where=where, reason=reason), as_json)

    with_client(act)


def retry(ids: o.TaskIds, as_json: o.Json = False) -> None:
    """Submit ended tasks once more.

    Prints the ids of the new ones.
    """
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli.json_form import dumps

        for task_id in ids:
            new = await client.retry(task_id)
            print(dumps({"task_id": new, "retry_of": task_id}) if as_json else new)

    with_client(act)


def release(ids: o.TaskIds, as_json: o.Json = False) -> None:
    """Let quarantined tasks run again."""
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import exits
        from tenure.cli.json_form import dumps

        released = await client.release(*ids)
        for task_id in released:
            print(dumps({"task_id": task_id}) if as_json else task_id)
        if len(released) < len(ids):
            exits.say(f"{len(ids) - len(released)} of {len(ids)} were not quarantined")

    with_client(act)


def explain(task_id: o.TaskId, as_json: o.Json = False) -> None:
    """Say why a task stands where it stands.

    And what would change that: which workers do not take it, and why.
    """
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.explanation(await client.explain(task_id), as_json)

    with_client(act)


def history(task_id: o.TaskId, as_json: o.Json = False) -> None:
    """Tell what happened to a task.

    Every attempt with its fence, its worker and its process, who decided its end and on what, and when two
    attempts ran at the same time, or may have.
    """
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import timeline

        timeline.history(await client.history(task_id), as_json)

    with_client(act)


def verify_fence(
    fence: Annotated[
        str | None, typer.Argument(metavar="[FENCE]", help="A fence. [default: $TENURE_FENCE, inside a task]")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Say whether a fence still holds its task.

    The exit code is 0 if it does, and 1 if it does not. It may be over a moment later: a resource that must
    never be written by a stale attempt has to compare fences itself.
    """
    from tenure.cli.running import with_client

    async def act(client: "Client") -> int:
        from tenure.cli import showing

        answer = await client.verify_fence(fence)
        showing.fence(answer, as_json)
        return int(not answer.valid)

    with_client(act)


def _filter(
    ids: "list[str] | tuple[()]",
    states: list[str] | None,
    names: list[str] | None,
    labels: list[str] | None,
    queues: list[str] | None,
    workers: list[str] | None,
    namespaces: list[str] | None,
) -> "TaskFilter":
    from tenure.cli.describe import pairs
    from tenure.errors import BadConfiguration
    from tenure.v1 import task_pb2 as pb

    known = {
        name.removeprefix("TASK_STATE_").lower(): number for name, number in pb.TaskState.items() if number
    }
    for state in states or ():
        if state.lower() not in known:
            raise BadConfiguration(f"--state: {state!r} is none of {', '.join(known)}")
    return pb.TaskFilter(
        ids=ids,
        states=[known[state.lower()] for state in states or ()],  # type: ignore[misc]
        names=names,
        labels=dict(pairs("--label", labels)),
        queues=queues,
        workers=workers,
        namespaces=namespaces,
    )
