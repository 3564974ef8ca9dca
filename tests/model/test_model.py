"""Does the protocol hold in every order of events, and does each guard of it matter?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.spin import verify

MODEL = Path(__file__).with_name("ownership.pml")
ONE_MILLION = 1_000_000

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("switches", [(), ("EXCLUSIVE",)], ids=["continue", "stop"])
def test_no_order_of_events_violates_anything(tmp_path: Path, switches: tuple[str, ...]) -> None:
    verdict = verify(MODEL, tmp_path, *switches)
    assert verdict.complete, verdict.output
    assert verdict.states > ONE_MILLION


@pytest.mark.parametrize(
    ("switches", "assertion"),
    [
        (("NO_FENCE",), "((m_accepted==0)||(m_accepted==m_attempt))"),
        (("NO_LEADER_COMPARE",), "((accepted==0)||(m_accepted==accepted))"),
        (("TELL_FIRST",), "(attempt>=a)"),
        (("FROM_RECEIPT",), "!(lapsed[me])"),
        (("EXCLUSIVE", "NO_PROOF_WAIT"), "(running[(1-me)]==0)"),
        (("EXCLUSIVE", "NO_READ_AFTER_RENEW"), "(running[(1-me)]==0)"),
        (("EXCLUSIVE", "ANY_SESSION"), "(running[(1-me)]==0)"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_without_a_guard_there_is_a_counterexample(
    tmp_path: Path, switches: tuple[str, ...], assertion: str
) -> None:
    verdict = verify(MODEL, tmp_path, *switches)
    assert verdict.errors == 1, verdict.output
    assert verdict.assertion.strip() == assertion
