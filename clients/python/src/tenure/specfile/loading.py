"""Which tasks does a spec file describe, and where does each field stand?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenure.errors import BadConfiguration, SpecFileError, Violation
from tenure.specfile.convert import Collected, entries_of
from tenure.specfile.fields import TASK
from tenure.specfile.nodes import Fault, Mapping, Mark, Node, Scalar, Sequence, Unreadable
from tenure.specfile.read_json import read_json
from tenure.specfile.read_toml import read_toml
from tenure.specfile.read_yaml import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tenure.v1.task_spec_pb2 import TaskSpec

MAX_FILE_BYTES: Final = 256 << 20
_READERS: Final = {".yaml": read_yaml, ".yml": read_yaml, ".json": read_json, ".toml": read_toml}


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """One task of a file."""

    spec: TaskSpec
    request_id: str
    """Given by the file as `request_id`; empty: none."""
    file: str
    mark: Mark
    places: dict[str, Mark]

    def locate(self, violation: Violation) -> str:
        """A violation that the server found, told by file, line and column.

        `violation.path` begins at the task: "spec.process.argv[0]".
        """
        path = violation.path.removeprefix("spec").lstrip(".")
        place = path
        while place and place not in self.places:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        mark = self.places.get(place, self.mark)
        return _told(
            self.file, Fault(mark, f"{path}: {violation.description}" if path else violation.description)
        )


def load(file: str, text: str | None = None) -> list[LoadedTask]:
    """The tasks of a file; `-` means that `text` came from the standard input, as YAML or JSON.

    A file holds one task, a list of tasks, several documents, or a mapping whose only key is `tasks`.

    Raises:
        SpecFileError: every fault of the file, each as file:line:column.
        BadConfiguration: the file cannot be read, or its format is unknown.
    """
    shown = "<stdin>" if file == "-" else file
    content = _read(file) if text is None else text
    try:
        documents = _reader(file, content)(content)
        roots = [root for document in documents for root in _tasks_of(document)]
    except Unreadable as error:
        raise SpecFileError((_told(shown, error.fault),)) from None
    if not roots:
        raise SpecFileError((f"{shown}:1:1: there is no task in this file",))
    faults: list[Fault] = []
    tasks = [_task(shown, root, faults) for root in roots]
    if faults:
        ordered = sorted(faults, key=lambda fault: (fault.mark.line, fault.mark.column))
        raise SpecFileError(tuple(_told(shown, fault) for fault in ordered))
    return tasks


def _task(file: str, root: Node, faults: list[Fault]) -> LoadedTask:
    into = Collected()
    request_id = ""
    if isinstance(root, Mapping):
        ids = [entry for entry in root.entries if entry[0].text == "request_id"]
        root = Mapping(root.mark, [entry for entry in root.entries if entry not in ids[:1]])
        if ids and isinstance(ids[0][1], Scalar):
            request_id = ids[0][1].text
        elif ids:
            into.fault(ids[0][1], "expected a text")
    spec = TASK.convert(root, "", into)
    faults.extend(into.faults)
    return LoadedTask(spec, request_id, file, root.mark, into.places)


def _tasks_of(document: Node) -> Iterable[Node]:
    if isinstance(document, Sequence):
        return document.items
    if isinstance(document, Mapping) and any(key.text == "tasks" for key, _ in document.entries):
        into = Collected()
        for key, value in entries_of(document, into):
            if key.text != "tasks":
                into.fault(key, f"{key.text!r} cannot stand beside 'tasks'")
            elif isinstance(value, Sequence):
                tasks = value.items
            else:
                into.fault(value, "expected a list of tasks")
        if into.faults:
            raise Unreadable(into.faults[0].mark, into.faults[0].message)
        return tasks
    return [document]


def _read(file: str) -> str:
    try:
        path = Path(file)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadConfiguration(f"{file} has more than {MAX_FILE_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadConfiguration(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{file} is not UTF-8 text (byte {error.start})") from None


def _reader(file: str, content: str) -> Callable[[str], list[Node]]:
    if file == "-":
        return read_json if content.lstrip()[:1] in ("{", "[") else read_yaml
    suffix = Path(file).suffix.lower()
    if suffix not in _READERS:
        known = ", ".join(_READERS)
        raise BadConfiguration(f"{file}: cannot tell its format, the name should end with one of {known}")
    return _READERS[suffix]


def _told(file: str, fault: Fault) -> str:
    return f"{file}:{fault.mark.line}:{fault.mark.column}: {fault.message}"
