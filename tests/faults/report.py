"""How is the outcome of a fault run told: to people as a table, to programs as JSON?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.checker import Verdict

SHOWN = 20


def as_json(verdict: Verdict, seed: int, seconds: float) -> str:
    """The report file."""
    return (
        json.dumps(
            {
                "seed": seed,
                "passed": verdict.passed,
                "seconds": round(seconds, 1),
                "faults": sum(verdict.kinds.values()),
                "kinds": verdict.kinds,
                "failed_injections": verdict.failed_injections,
                "shortfalls": verdict.shortfalls,
                "left_out": verdict.left_out,
                "tasks": verdict.tasks,
                "lost": verdict.lost,
                "duplicate_effects": verdict.duplicate_effects,
                "stale_rejected": verdict.stale_rejected,
                "gaps_unexplained": verdict.gaps_unexplained,
                "gaps_explained": verdict.gaps_explained,
                "violations": verdict.violations,
            },
            indent=1,
        )
        + "\n"
    )


def as_table(verdict: Verdict, seed: int, folder: Path) -> str:
    """What a person reads."""
    lines = ["", f"  {'fault':<32}times  failed", *_kinds(verdict), ""]
    figures = {
        "faults": sum(verdict.kinds.values()),
        "tasks": verdict.tasks,
        "lost": verdict.lost,
        "duplicate accepted effects": verdict.duplicate_effects,
        "stale writes rejected": verdict.stale_rejected,
        "log gaps unexplained": verdict.gaps_unexplained,
        "log gaps explained by a gap record": verdict.gaps_explained,
        "violations": len(verdict.violations),
    }
    lines += [f"  {name:<36}{figure:>7}" for name, figure in figures.items()]
    if verdict.violations:
        lines += ["", *(f"  {violation}" for violation in verdict.violations[:SHOWN])]
    if verdict.left_out:
        lines += ["", *(f"  left out: {kind}: {why}" for kind, why in verdict.left_out.items())]
    if verdict.shortfalls:
        lines += ["", *(f"  {shortfall}" for shortfall in verdict.shortfalls)]
    if not verdict.stale_rejected:
        lines += ["", "  Nothing stale was ever refused: this run proves nothing."]
    if not verdict.passed:
        lines += ["", f"  FAILED with seed {seed}; the histories are in {folder}"]
    return "\n".join(lines)


def _kinds(verdict: Verdict) -> list[str]:
    """How often each kind was injected and healed, and how often that failed."""
    failed = verdict.failed_injections
    names = sorted({*verdict.kinds, *failed})
    return [f"  {kind:<32}{verdict.kinds.get(kind, 0):>5}{failed.get(kind) or '':>8}" for kind in names]
