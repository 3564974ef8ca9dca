"""Is a run refused that hardly did anything, or whose faults never worked?"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.faults import floors, report
from tests.faults.checker import judge
from tests.faults.director import TRIES, Bounds, Director
from tests.faults.history import OPENING, Begun, Fault, History, LeftOut, Recorder, Submitted, now
from tests.faults.kinds import base
from tests.faults.run import floor_of, sized

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tests.faults.kinds.base import Scene

SMALL = Begun(at=0, seed=1, capacity_milli=1000, least_faults=3, least_kinds=2, least_tasks=2)


def a_fault(kind: str, error: str = "") -> Fault:
    return Fault(at=1, until=2, kind=kind, targets=("worker-1",), error=error)


def shortfalls(*entries: Any) -> list[str]:
    history = History(list(entries))
    done = Counter(fault.kind for fault in history.all(Fault) if not fault.error)
    return floors.shortfalls(history, done, len(history.all(Submitted)))


TASKS = [Submitted(at=1, task=task, exclusive=False, cpu_milli=1) for task in "tu"]
ENOUGH: list[Any] = [*TASKS, *map(a_fault, ("node-killed", "node-killed", "link-down"))]


def test_a_run_that_did_enough_falls_short_of_nothing() -> None:
    assert shortfalls(SMALL, *ENOUGH) == []


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (ENOUGH[:-1], "2 faults were injected and healed, and this run proves nothing with fewer than 3"),
        ([*ENOUGH[:-1], a_fault("node-killed")], "1 kinds of faults were injected"),
        (ENOUGH[1:], "1 tasks were acknowledged, and this run proves nothing with fewer than 2"),
        ([*ENOUGH[:-1], a_fault("link-down", "no ip")], "link-down failed every time, 1 in all, the last"),
    ],
)
def test_a_run_that_did_too_little_says_so(entries: list[Any], sentence: str) -> None:
    assert any(found.startswith(sentence) for found in shortfalls(SMALL, *entries))


def test_a_kind_that_was_asked_for_must_have_happened() -> None:
    kinds = ("node-killed", "link-down", "fleet-lost")
    asked = Begun(at=0, seed=1, capacity_milli=1, kinds=kinds, by_name=True)
    seen = (a_fault("node-killed"), LeftOut(kind="link-down", why="it needs root"))
    never = "fleet-lost was to happen and its turn never came."
    assert shortfalls(asked, *seen) == [
        "link-down was asked for and cannot be had here: it needs root",
        never,
    ]
    assert shortfalls(dataclasses.replace(asked, by_name=False), *seen) == [never]


def test_one_failure_is_forgiven_to_a_kind_that_works() -> None:
    assert shortfalls(a_fault("node-killed"), a_fault("node-killed", "etcd was away")) == []


def test_the_opening_alone_is_no_fault() -> None:
    begun = Begun(at=0, seed=1, capacity_milli=1, least_faults=1, least_kinds=1)
    verdict = judge(History([begun, a_fault(OPENING)]))
    assert verdict.kinds == {}
    assert [found.partition(",")[0] for found in verdict.shortfalls] == [
        "0 faults were injected and healed",
        "0 kinds of faults were injected",
    ]


def test_failures_are_told_and_fail_the_judgement() -> None:
    verdict = judge(History([SMALL, *ENOUGH, a_fault("leader-killed", "nobody leads")]))
    assert verdict.failed_injections == {"leader-killed": 1}
    assert not verdict.passed
    assert "leader-killed failed every time" in report.as_table(verdict, 7, Path())
    assert '"failed_injections": {\n  "leader-killed": 1' in report.as_json(verdict, 7, 0.0)


@pytest.mark.parametrize(
    ("arguments", "floor"),
    [
        ("", floors.OF_A_LONG_RUN),
        ("--seed 7", floors.OF_A_LONG_RUN),
        ("--short", floors.OF_A_SHORT_RUN),
        ("--short --minutes 1", floors.OF_ANY_RUN),
        ("--minutes 60", floors.OF_ANY_RUN),
        ("--faults 3", floors.OF_ANY_RUN),
        ("--kinds node-killed", floors.OF_ANY_RUN),
    ],
)
def test_a_run_of_a_known_size_is_held_to_it(arguments: str, floor: floors.Floor) -> None:
    assert floor_of(arguments.split()) == floor


def test_a_long_run_is_held_to_what_the_project_promises() -> None:
    assert floors.Floor(faults=300, kinds=20, tasks=5000, every_kind=True) == floors.OF_A_LONG_RUN


class _NoFleet:
    names = ("worker-1",)


class _NoScene:
    """As much of a scene as a fault uses that touches nothing."""

    fleet = _NoFleet()
    rng = random.Random(1)


class _Broken(base.Fault):
    """Fails where it is told to."""

    hold = (0.0, 0.0)

    def __init__(self, scene: Scene, where: str) -> None:
        super().__init__(scene)
        self._where = where

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of(self.fleet.names, free)

    def _fail(self, where: str) -> None:
        if where == self._where:
            raise OSError(f"it cannot {where}")

    async def inject(self) -> None:
        self._fail("inject")

    async def prove(self) -> None:
        self._fail("prove")

    async def heal(self) -> None:
        self._fail("heal")


class _Wide(_Broken):
    """Needs the whole fleet for itself."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.fleet.names if set(self.fleet.names) <= set(free) else []


async def test_a_kind_that_needs_the_whole_fleet_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six lanes are always at work on one part each; nothing but waiting ever leaves all six free."""
    monkeypatch.setattr(_NoFleet, "names", tuple(f"worker-{n}" for n in range(6)))
    monkeypatch.setattr(_Broken, "hold", (0.01, 0.02))
    monkeypatch.setattr("tests.faults.director.BUSY_SECONDS", 0.0)
    monkeypatch.setattr("tests.faults.director.SETTLE", (0.0, 0.0))
    kinds = ["wide", *(f"narrow-{n}" for n in range(12))]
    for name in kinds:
        monkeypatch.setitem(base.KINDS, name, partial(_Wide if name == "wide" else _Broken, where=""))
    recorder = Recorder(tmp_path)
    director = Director(cast("Scene", _NoScene()), recorder, kinds, lambda sentence: None)
    await director.run(Bounds(faults=120, until=now() + 60, lanes=6))
    recorder.close()
    times = Counter(fault.kind for fault in History.read(tmp_path).all(Fault))
    assert times["wide"] >= 4  # as often as the others it would come nine times


@pytest.mark.parametrize("where", ["inject", "prove", "heal"])
async def test_a_fault_that_fails_is_written_down_and_tried_again(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(base.KINDS, "broken", lambda scene: _Broken(scene, where))
    monkeypatch.setattr("tests.faults.director.SETTLE", (0.0, 0.0))
    recorder = Recorder(tmp_path)
    director = Director(cast("Scene", _NoScene()), recorder, ["broken"], lambda sentence: None)
    await director.run(Bounds(faults=TRIES, until=now() + 60, lanes=1))
    recorder.close()
    history = History.read(tmp_path)
    assert [fault.error for fault in history.all(Fault)] == [f"it cannot {where}"] * TRIES
    assert director.healed == 0
    assert shortfalls(*history.entries) == [
        f"broken failed every time, {TRIES} in all, the last time with: it cannot {where}"
    ]


def test_a_shorter_run_has_as_many_tasks_a_minute() -> None:
    assert sized(["--minutes", "1.8"]).tasks == 520
    assert sized(["--short", "--minutes", "5"]).tasks == 1200
    assert sized(["--minutes", "1.8", "--tasks", "7"]).tasks == 7
    assert (sized([]).tasks, sized(["--short"]).tasks) == (5200, 600)
