"""`tenure submit`: tasks that go their own way."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli import options as o

if TYPE_CHECKING:
    from tenure.client import Client
    from tenure.specfile import LoadedTask
    from tenure.v1.task_spec_pb2 import TaskSpec


def submit(
    command: o.Command = None,
    file: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", metavar="FILE", help="YAML, TOML or JSON; - is stdin. Repeatable."),
    ] = None,
    array: Annotated[
        str | None,
        typer.Option("--array", metavar="1-1000", help="One task per index, in TENURE_ARRAY_INDEX."),
    ] = None,
    each_line: Annotated[
        str | None,
        typer.Option("--each-line", metavar="FILE", help="One task per line, in TENURE_EACH_LINE."),
    ] = None,
    cpu: o.Cpu = None,
    memory: o.Memory = None,
    resource: o.Resource = None,
    indexed: o.Indexed = None,
    label: o.Label = None,
    constraint: o.Constraint = None,
    priority: o.Priority = 0,
    queue: o.Queue = "",
    namespace: o.Namespace = "",
    name: o.Name = "",
    env: o.Env = None,
    retries: o.Retries = 0,
    timeout: o.Timeout = None,
    on_disconnect: o.OnDisconnect = None,
    cwd: o.Cwd = "",
    request_id: Annotated[
        str, typer.Option("--request-id", help="Submitting again with this id answers the same task.")
    ] = "",
    as_json: o.Json = False,
) -> None:
    """Submit tasks and print their ids.

    One per line. A command, or files with tasks (docs/reference/spec-file.md); with --array or --each-line
    many of it.
    """
    given = dict(locals())
    from tenure.cli.describe import spec_from_options
    from tenure.cli.running import with_client

    if bool(command) == bool(file):
        raise typer.BadParameter("give either -f FILE or a command, as in: tenure submit -- echo hello")
    if array and each_line:
        raise typer.BadParameter("--array and --each-line exclude each other")
    sources = _from_files(file or [])
    if command:
        spec = spec_from_options(command, **{option: given[option] for option in o.SPEC_OPTIONS})
        sources = [(spec, request_id, None)]
    _refuse_shared_request_id(request_id, len(sources))
    multiplied = list(_multiplied(sources, array, each_line))
    with_client(lambda client: _submit(client, multiplied, as_json))


def _from_files(names: list[str]) -> "list[tuple[TaskSpec, str, LoadedTask | None]]":
    from tenure.specfile import load

    loaded = [task for name in names for task in load(name, sys.stdin.read() if name == "-" else None)]
    return [(task.spec, task.request_id, task) for task in loaded]


def _refuse_shared_request_id(request_id: str, tasks: int) -> None:
    from tenure.errors import BadConfiguration

    if request_id and tasks > 1:
        raise BadConfiguration("--request-id names one task; write request_id into the file instead")


def _multiplied(
    sources: "list[tuple[TaskSpec, str, LoadedTask | None]]", array: str | None, each_line: str | None
) -> "Iterator[tuple[TaskSpec, str, LoadedTask | None]]":
    from tenure.cli.describe import parse_array, with_variable

    if array is None and each_line is None:
        yield from sources
        return
    if array is not None:
        variable, values = "TENURE_ARRAY_INDEX", [(str(index), str(index)) for index in parse_array(array)]
    else:
        lines = _lines(each_line or "")
        variable, values = "TENURE_EACH_LINE", [(str(n), line) for n, line in enumerate(lines, 1)]
    for spec, request_id, origin in sources:
        for (shown, _), copy in zip(values, with_variable(spec, variable, values), strict=True):
            yield copy, f"{request_id}[{shown}]" if request_id else "", origin


def _lines(file: str) -> list[str]:
    from tenure.errors import BadConfiguration

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise BadConfiguration(f"--each-line: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadConfiguration(f"--each-line: {file} is not UTF-8 text") from None
    if "\0" in text:
        raise BadConfiguration(f"--each-line: {file} holds NUL bytes, which no environment can carry")
    return [line for line in text.split("\n") if line]


async def _submit(
    client: "Client", sources: "list[tuple[TaskSpec, str, LoadedTask | None]]", as_json: bool
) -> int:
    from tenure.cli import exits
    from tenure.cli.json_form import dumps
    from tenure.client import new_request_id
    from tenure.errors import InvalidArgument

    ids = [request_id or new_request_id() for _, request_id, _ in sources]
    failed = 0
    for start in range(0, len(sources), 500):
        part = sources[start : start + 500]
        try:
            results = await client.submit_many(
                [spec for spec, _, _ in part], request_ids=ids[start : start + 500]
            )
        except InvalidArgument as error:
            if start:
                exits.say(f"the first {start} tasks are submitted, none of the others")
            for line in _located(error, part):
                exits.say(line)
            return exits.TENURE_FAILED
        for result in results:
            if result.error is not None:
                failed += 1
                exits.complain(result.error)
            elif as_json:
                print(dumps({"task_id": result.task_id, "created": result.created}))
            else:
                print(result.task_id)
    return exits.TENURE_FAILED if failed else 0


def _located(error: "Exception", part: "list[tuple[TaskSpec, str, LoadedTask | None]]") -> Iterator[str]:
    """The violations at their places in the files; without a file by the name of the field."""
    import re

    from tenure.errors import InvalidArgument, Violation

    assert isinstance(error, InvalidArgument)
    for violation in error.violations or (Violation("", error.message),):
        found = re.fullmatch(r"items\[(\d+)\]\.?(.*)", violation.path)
        origin = part[int(found[1])][2] if found and int(found[1]) < len(part) else None
        if found and origin is not None:
            yield origin.locate(Violation(found[2], violation.description))
        else:
            yield str(Violation(found[2] if found else violation.path, violation.description))
