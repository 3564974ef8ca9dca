"""Do people see what a worker cannot promise?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.cli import showing
from tenure.v1.worker_admin_service_pb2 import Worker

if TYPE_CHECKING:
    import pytest

SENTENCE = "no control groups: a process that leaves its session may outlive its attempt"


def test_guarantees_that_are_reduced_stand_below_the_workers(capsys: pytest.CaptureFixture[str]) -> None:
    showing.workers([Worker(name="whole"), Worker(name="bare", reduced_guarantees=[SENTENCE])], as_json=False)
    said = capsys.readouterr().out
    assert said.endswith(f"Guarantees that are reduced:\n  - bare: {SENTENCE}\n")
    showing.workers([Worker(name="whole")], as_json=False)
    assert "reduced" not in capsys.readouterr().out
