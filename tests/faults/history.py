"""What was seen during a fault run, by whom and when?

One file of JSON lines per kind of entry, written as things happen, so that a run that dies can be judged too:
`python -m tests.faults --check FOLDER`. `at` is the machine's CLOCK_BOOTTIME in seconds everywhere: one
clock for all processes, which no fault can change. Tasks on a node whose own began again correct theirs.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from tests.faults.program import machine_clock

if TYPE_CHECKING:
    from pathlib import Path


def now() -> float:
    """The one clock of a run."""
    return machine_clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The run and what its fleet is made of."""

    at: float
    seed: int
    capacity_milli: int
    """Thousandths of a processor that every worker offers."""
    kinds: tuple[str, ...] = ()
    """The kinds of faults that must have happened in the end."""
    by_name: bool = False
    """These kinds were asked for by name: that one cannot be had here is no excuse."""
    least_faults: int = 0
    """Fewer faults, kinds or tasks than these prove too little."""
    least_kinds: int = 0
    least_tasks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A kind of fault that could not be had here."""

    kind: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A submission was acknowledged."""

    at: float
    task: str
    exclusive: bool
    cpu_milli: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """A cancellation was acknowledged; `state` is what the answer said."""

    at: float
    task: str
    state: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """etcd was restored: what it had beyond this revision never was. Begins the next era of revisions."""

    at: float
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Somebody was told how a task stands: a waiter during the run, or the `last` look at its end."""

    at: float
    task: str
    state: int
    attempt: int
    incarnation: int = 0
    log_state: int = 0
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt within a record of etcd; `outcome` 0: it has not ended."""

    number: int
    worker: str
    outcome: int
    exit_code: int | None = None
    relay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A task record as etcd's own watch showed it; `state` 0: the key was deleted."""

    at: float
    revision: int
    task: str
    state: int
    attempt: int = 0
    cancelling: bool = False
    era: int = 0
    """How often etcd had been restored."""
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A task wrote to the ledger, which accepted or refused it. `at` was read by the task before it wrote."""

    at: float
    task: str
    incarnation: int
    attempt: int
    process: str
    """Pid and start time: two executions of one fence differ in it."""
    what: str
    """`start`, `beat` or `effect`."""
    accepted: bool
    worker: str = ""
    """The node on which it ran."""


GAP: Final = "gap"
TORN: Final = "torn"
Piece: TypeAlias = "tuple[int, int] | str"
"""Lines from one number to another without a hole, a gap record, or a line that is not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one reader saw of the output of one attempt, in order."""

    reader: str
    task: str
    attempt: int
    pieces: tuple[Piece, ...]
    finished: bool
    """The output's last line was among it."""
    reasons: tuple[str, ...] = ()
    """What the gap records said."""
    incarnation: int = 0


OPENING: Final = "opening"
"""The kind of the cuts with which every run begins: they count for no floor, since they need no director."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault was injected at `at` and healed at `until`."""

    at: float
    until: float
    kind: str
    targets: tuple[str, ...]
    error: str = ""
    """Why it could not be injected or healed as planned."""


Entry: TypeAlias = (
    Begun | LeftOut | Submitted | Cancelled | Restored | Told | Committed | Written | Read | Fault
)
E = TypeVar("E")
_TYPES: Final[dict[str, type[Any]]] = {
    kind.__name__.lower(): kind
    for kind in (Begun, LeftOut, Submitted, Cancelled, Restored, Told, Committed, Written, Read, Fault)
}


class Recorder:
    """Writes a history while it happens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.counts: dict[str, int] = defaultdict(int)
        self._files: dict[str, IO[str]] = {}

    def add(self, entry: Entry) -> None:
        """Write one entry down."""
        name = type(entry).__name__.lower()
        if name not in self._files:
            self._files[name] = (self.folder / f"{name}.jsonl").open("a", buffering=1)
        self._files[name].write(json.dumps(dataclasses.asdict(entry)) + "\n")
        self.counts[name] += 1

    def close(self) -> None:
        """Nothing follows."""
        for file in self._files.values():
            file.close()


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was seen in one run."""

    entries: list[Any] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> History:
        """The history that a Recorder has written there."""
        found = []
        for file in sorted(folder.glob("*.jsonl")):
            kind = _TYPES[file.stem]
            with file.open() as lines:
                found += [_entry(kind, json.loads(line)) for line in lines]
        return cls(found)

    def all(self, kind: type[E]) -> list[E]:
        """The entries of one kind, as they were written."""
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def by_task(self, kind: type[E]) -> dict[str, list[E]]:
        """The entries of one kind by their task."""
        found: dict[str, list[E]] = defaultdict(list)
        for entry in self.entries:
            if isinstance(entry, kind):
                found[entry.task].append(entry)  # type: ignore[attr-defined]
        return found


def _entry(kind: type[Any], raw: dict[str, Any]) -> Any:
    if "attempts" in raw:
        raw["attempts"] = tuple(Attempt(**attempt) for attempt in raw["attempts"])
    if "pieces" in raw:
        raw["pieces"] = tuple(piece if isinstance(piece, str) else tuple(piece) for piece in raw["pieces"])
    for name in {"targets", "reasons", "kinds"} & raw.keys():
        raw[name] = tuple(raw[name])
    return kind(**raw)
