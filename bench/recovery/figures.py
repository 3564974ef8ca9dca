"""What was measured how often, and was it ever worse than promised?"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One promise: no single value may be above the bound."""

    name: str
    values: tuple[float, ...]
    """One per loss, kill, takeover or run."""
    bound: float
    unit: str = "s"
    """Seconds, or the name of what is counted."""

    @property
    def worst(self) -> float:
        return max(self.values)

    @property
    def holds(self) -> bool:
        return self.worst <= self.bound

    @property
    def median(self) -> float:
        return median(self.values)


def table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    rows = [
        f"| `{one.name}` | {len(one.values)} | {one.median:.3g} {one.unit} | {one.worst:.3g} {one.unit} "
        f"| ≤ {one.bound:g}: {'holds' if one.holds else 'MISSED'} |"
        for one in figures
    ]
    return "\n".join(["| figure | times | median | worst | bound |", "|---|---:|---:|---:|---|", *rows])


def save(figures: Iterable[Figure], path: Path) -> None:
    """Write the figures, every value of them, as JSON."""
    found = {
        one.name: {
            "times": len(one.values),
            "median": round(one.median, 4),
            "worst": round(one.worst, 4),
            "bound": one.bound,
            "unit": one.unit,
            "holds": one.holds,
            "values": [round(value, 4) for value in one.values],
        }
        for one in figures
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
