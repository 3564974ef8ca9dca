"""Does every promise hold under drawn faults, does a seed replay, and would the loss of any guard be noticed?

CI runs 2,000 seeds beside the tests (`make simulate`); here a few show that the simulation itself works.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.plans import ALL_KINDS
from tests.simulation.run import LEAST_OF_EACH, Totals, shortfalls

ROOT = Path(__file__).parents[2]
SEEDS = 40
MOST_SEEDS = 80
"""A mutation that none of so many seeds notices is missed."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=170, check=False
    )


def report(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    file = tmp_path / "report.json"
    result = run(*arguments, "--report", str(file))
    assert result.returncode == 0, result.stdout + result.stderr
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@pytest.mark.timeout(180)
def test_no_seed_violates_anything(tmp_path: Path) -> None:
    found = report(tmp_path, "--seeds", str(SEEDS), "--first", "100000")
    assert found["seeds"] == SEEDS
    assert found["tasks"] >= 100 * SEEDS
    assert found["lost_attempts"] > 0, "faults have to hurt"
    assert found["lost_workers"] > 0, "the rules for losses need some to judge"
    assert found["fenced"] > 0, "a run in which nothing stale was refused proves nothing"
    assert found["handed_on"] > 0, "some agents have to reach their leader through a follower only"
    assert len(found["faults"]) > 20


@pytest.mark.timeout(180)
def test_a_seed_gives_the_same_run_each_time(tmp_path: Path) -> None:
    one = report(tmp_path, "--seeds", "6", "--first", "18", "--workers", "1")
    two = report(tmp_path, "--seeds", "6", "--first", "18", "--workers", "2")
    assert one["fingerprints"] == two["fingerprints"]
    assert len(set(one["fingerprints"].values())) == 6
    for seed in ("19", "20"):
        again = run("--seed", seed)
        assert f"fingerprint {one['fingerprints'][seed]}\n" in again.stdout, "it has to replay alone as well"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_loss_of_a_guard_is_noticed(mutation: Mutation) -> None:
    result = run("--mutation", mutation.name, "--seeds", str(MOST_SEEDS))
    assert result.returncode == 1, f"nothing noticed that {mutation.name} is gone:\n{result.stdout}"
    assert "again: " in result.stdout


def test_a_full_run_that_saw_too_little_proves_nothing() -> None:
    counts = Counter(dict.fromkeys(ALL_KINDS, LEAST_OF_EACH))
    enough = Totals(
        seeds=2000,
        tasks=200_000,
        faults=counts,
        lost_workers=1,
        fenced=1,
        stale_effects=1,
        orphans=1,
        gave_up=1,
        handed_on=1,
    )
    assert shortfalls(enough) == []
    rarely = counts - Counter({"kill etcd": 1})
    assert shortfalls(replace(enough, faults=rarely)) == [
        "'kill etcd' happened 9 times, at least 10 are wanted"
    ]
    assert shortfalls(replace(enough, tasks=199_999)) == ["199999 tasks, at least 200000 are wanted"]
    assert len(shortfalls(Totals())) == 1 + len(ALL_KINDS) + 6


def test_a_wrong_mutation_is_refused_by_name() -> None:
    result = run("--mutation", "gravity")
    assert result.returncode == 2
    assert "leader compare" in result.stderr
