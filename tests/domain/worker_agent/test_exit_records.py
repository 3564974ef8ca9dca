"""Does every end that the warden can record mean the right thing to the scheduler?"""

from typing import Any

import pytest

from tenure_core.states import AttemptOutcome as Outcome
from tenure_core.states import LossEvidence as Evidence
from tenure_worker_agent.domain.results import LogFinals, refusal_of, result_of
from tenure_worker_agent.warden.records import exit_record

FENCE = "1.00000000000000000001.1"


@pytest.mark.parametrize(
    ("cause", "more", "outcome", "evidence"),
    [
        ("self", {"code": 0}, Outcome.SUCCEEDED, None),
        ("self", {"code": 3}, Outcome.FAILED, None),
        ("self", {"signal": 11}, Outcome.FAILED, None),
        ("stop", {"signal": 15, "stop": {"outcome": 5}}, Outcome.CANCELLED, None),
        ("stop", {"code": 0, "stop": {"outcome": 10, "reason": "drained"}}, Outcome.DRAINED, None),
        ("timeout", {"signal": 9, "note": {"limit": 2.0}}, Outcome.TIMED_OUT, None),
        ("deadline", {"signal": 9}, Outcome.LOST, Evidence.LEASE_EXPIRED),
        ("shutdown", {"signal": 15}, Outcome.WORKER_SHUTDOWN, None),
        ("output", {"signal": 9}, Outcome.FAILED, None),
        ("oom", {"signal": 9}, Outcome.LOST, Evidence.OOM_KILLED),
        ("lost", {"evidence": "WARDEN_DIED"}, Outcome.LOST, Evidence.WARDEN_DIED),
        ("lost", {"evidence": "HOST_REBOOTED"}, Outcome.LOST, Evidence.HOST_REBOOTED),
        *(
            ("spawn", {"error": kind, "message": "no"}, Outcome.REJECTED, None)
            for kind in ("not_found", "permission", "exec_format", "cwd", "too_big")
        ),
        *(
            ("spawn", {"error": kind, "message": "no"}, Outcome.INTERNAL_ERROR, None)
            for kind in ("memory", "processes", "files", "disk", "other")
        ),
    ],
)
def test_causes(cause: str, more: dict[str, Any], outcome: Outcome, evidence: Evidence | None) -> None:
    result = result_of(exit_record(FENCE, cause, **more))
    assert (result.outcome, result.evidence) == (outcome, evidence)
    assert (result.exit_code, result.signal) == (more.get("code"), more.get("signal"))
    assert bool(result.reason) == (outcome is not Outcome.SUCCEEDED)


def test_where_the_output_ends_is_told_unless_nobody_knows() -> None:
    assert result_of(exit_record(FENCE, "self", code=0, frames=2, offsets=[7, 1, 0])).log == LogFinals(
        2, 7, 1, 0
    )
    assert result_of(exit_record(FENCE, "lost", evidence="WARDEN_DIED")).log is None


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("late", None),
        ("stopping", None),
        ("stopped", None),
        ("duplicate", Outcome.LOST),
        ("disk", Outcome.INTERNAL_ERROR),
        ("malformed", Outcome.REJECTED),
    ],
)
def test_refusals(kind: str, outcome: Outcome | None) -> None:
    refusal = refusal_of(kind, "a sentence")
    assert (refusal.outcome, refusal.reason) == (outcome, "a sentence")
