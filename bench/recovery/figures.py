"""What did a measurement find, run by run, and does every run keep the bound?"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

Progress = Callable[[str], None]
"""Hears one sentence per step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table: one number per run, each of which has to be at most `bound`."""

    what: str
    bound: float
    samples: tuple[float, ...]
    unit: str = "s"
    """Empty: a count."""

    @property
    def holds(self) -> bool:
        """Nothing measured is nothing that holds."""
        return bool(self.samples) and max(self.samples) <= self.bound

    def row(self) -> str:
        """The figure as one line of the table."""
        worst, middle = (
            map(self._number, (max(self.samples), median(self.samples))) if self.samples else ("", "")
        )
        cells = (self.what, len(self.samples), worst, middle, f"≤ {self.bound:g} {self.unit}".rstrip())
        return f"| {' | '.join(map(str, cells))} | {'yes' if self.holds else '**NO**'} |"

    def _number(self, value: float) -> str:
        return f"{value:.2f} {self.unit}" if self.unit else f"{value:g}"

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Figure:
        """The figure of which this is the record."""
        samples = tuple(record["samples"])
        return cls(what=record["what"], bound=record["bound"], samples=samples, unit=record["unit"])

    def record(self, day: date) -> dict[str, Any]:
        """The figure for programs, with each of its samples."""
        return {
            "what": self.what,
            "runs": len(self.samples),
            "worst": round(max(self.samples), 3) if self.samples else None,
            "median": round(median(self.samples), 3) if self.samples else None,
            "bound": self.bound,
            "unit": self.unit,
            "holds": self.holds,
            "measured": day.isoformat(),
            "samples": [round(sample, 3) for sample in self.samples],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Something that can be measured in as many rounds as are wanted."""

    measure: Callable[[int, Progress], Coroutine[Any, Any, dict[str, Figure]]]
    """Figures by their key in the results; a round is one loss, or one restart."""
    rounds: int
    """How many of them the bound is promised for."""


def table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    head = ["| what | runs | worst | median | bound | holds |", "|---|---:|---:|---:|---:|---|"]
    return "\n".join([*head, *(figure.row() for figure in figures)])


def save(figures: Mapping[str, Figure], path: Path, day: date) -> dict[str, Any]:
    """Write figures as JSON beside others that the file holds; returns all that it holds now."""
    path.parent.mkdir(exist_ok=True)
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known |= {key: figure.record(day) for key, figure in figures.items()}
    path.write_text(json.dumps(known, indent=2) + "\n")
    return known
