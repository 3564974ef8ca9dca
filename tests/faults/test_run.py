"""Does a fault run work: real processes, faults that hurt, stale writes refused, nothing violated?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = ("node-killed", "agent-killed", "leader-killed", "relay-killed", "cut-agent-scheduler")


@pytest.mark.faults
@pytest.mark.timeout(240)
def test_a_run_ends_with_nothing_violated(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    size = ("--minutes", "0.7", "--tasks", "160", "--agents", "4", "--lanes", "2")
    command = (sys.executable, "-m", "tests.faults", *size, "--report", str(report), "--kinds", *KINDS)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=230, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["tasks"] == 160
    assert found["faults"] == sum(found["kinds"].values()) > 5
    assert found["stale_rejected"] > 0
    zeros = ("lost", "duplicate_effects", "gaps_unexplained")
    assert [found[name] for name in zeros] == [0, 0, 0]
    assert found["violations"] == []


def test_a_history_is_judged_again(tmp_path: Path) -> None:
    """Without a stale write that was refused, the judgement is no pass."""
    (tmp_path / "begun.jsonl").write_text('{"at": 1, "seed": 7, "capacity_milli": 1000}\n')
    command = (sys.executable, "-m", "tests.faults", "--check", str(tmp_path))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "this run proves nothing" in done.stdout


def test_an_unknown_kind_is_refused_by_name() -> None:
    command = (sys.executable, "-m", "tests.faults", "--kinds", "gremlins")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "node-killed" in done.stderr
