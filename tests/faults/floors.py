"""How much must a fault run have done before its silence means something?

A run in which hardly anything happened violates nothing. What it was to do is written at the beginning of
its history, so that a history that is judged again is held to the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults.history import Begun, Fault, History, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least that a run must have done."""

    faults: int
    """Injected and healed."""
    kinds: int
    tasks: int
    every_kind: bool = False
    """Long enough for each kind that can be had here."""


OF_A_LONG_RUN: Final = Floor(faults=300, kinds=20, tasks=5000, every_kind=True)
OF_A_SHORT_RUN: Final = Floor(faults=30, kinds=15, tasks=500)
OF_ANY_RUN: Final = Floor(faults=1, kinds=1, tasks=1)
"""Of one whose size was chosen by hand: nobody knows what it can reach."""


def shortfalls(history: History, done: Mapping[str, int], tasks: int) -> list[str]:
    """What the run was to do and did not, in sentences; `done` is how often each kind was healed."""
    begun = history.all(Begun)
    return [
        *(_too_few(begun[0], done, tasks) if begun else ()),
        *(_left_undone(begun[0], history) if begun else ()),
        *_always_failed(history, done),
    ]


def _too_few(begun: Begun, done: Mapping[str, int], tasks: int) -> Iterator[str]:
    found = (
        (sum(done.values()), begun.least_faults, "faults were injected and healed"),
        (len(done), begun.least_kinds, "kinds of faults were injected"),
        (tasks, begun.least_tasks, "tasks were acknowledged"),
    )
    for count, least, what in found:
        if count < least:
            yield f"{count} {what}, and this run proves nothing with fewer than {least}."


def _left_undone(begun: Begun, history: History) -> Iterator[str]:
    """What must happen must at least have been tried; that it failed is told elsewhere."""
    left_out = {entry.kind: entry.why for entry in history.all(LeftOut)}
    tried = {fault.kind for fault in history.all(Fault)}
    for kind in begun.kinds:
        if kind in left_out and begun.by_name:
            yield f"{kind} was asked for and cannot be had here: {left_out[kind]}"
        elif kind not in left_out and kind not in tried:
            yield f"{kind} was to happen and its turn never came."


def _always_failed(history: History, done: Mapping[str, int]) -> Iterator[str]:
    """A neighbour's fault may be in the way once; what never works is broken."""
    errors: dict[str, list[str]] = defaultdict(list)
    for fault in history.all(Fault):
        if fault.error:
            errors[fault.kind].append(fault.error)
    for kind, failures in sorted(errors.items()):
        if kind not in done:
            yield f"{kind} failed every time, {len(failures)} in all, the last time with: {failures[-1]}"
