"""What did a benchmark find, as a table for people and as flat keys for programs?"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least `percent` of them do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Floor:
    """A bound that a figure has to keep, as a factor of a reference of the same run, or absolute."""

    key: str
    factor: float
    reference: str = ""
    at_most: bool = False

    def judge(self, figures: Mapping[str, float]) -> str:
        """One cell of the table: the ratio, the bound, and whether it holds."""
        value = figures[self.key]
        base = figures[self.reference] if self.reference else 1.0
        ratio = value / base
        holds = ratio <= self.factor if self.at_most else ratio >= self.factor
        sign = "≤" if self.at_most else "≥"
        unit = f" × {self.reference}" if self.reference else ""
        return f"{ratio:.3g}{unit} ({sign} {self.factor:g}: {'holds' if holds else 'MISSED'})"


FLOORS = (
    Floor("noop_batch_per_s", 1.4, "ref_unary_per_s"),
    Floor("noop_single_per_s", 0.22, "ref_unary_per_s"),
    Floor("process_per_s", 0.5, "xargs_per_s"),
    Floor("idle_p50_ms", 8, "ref_unary_p50_ms", at_most=True),
    Floor("idle_p99_ms", 25, "ref_unary_p50_ms", at_most=True),
    Floor("log_mb_per_s", 0.4, "ref_stream_mb_per_s"),
    Floor("log_lines_per_s", 400_000),
    Floor("print_to_reader_p50_ms", 50, at_most=True),
    Floor("failover_kill_s", 3, at_most=True),
    Floor("failover_silent_ttl3_s", 4, at_most=True),
    Floor("failover_silent_ttl10_s", 11, at_most=True),
    Floor("rss_mb_scheduler_100k", 250, at_most=True),
    Floor("etcd_ops_per_noop", 5.5, at_most=True),
)


def table(figures: Mapping[str, float]) -> str:
    """The figures as a Markdown table, with the bounds that they have to keep."""
    floors = {floor.key: floor.judge(figures) for floor in FLOORS if floor.key in figures}
    rows = [f"| `{key}` | {value:,.4g} | {floors.get(key, '')} |" for key, value in figures.items()]
    return "\n".join(["| figure | value | bound |", "|---|---:|---|", *rows])


def save(figures: Mapping[str, float], name: str = "latest") -> Path:
    """Write the figures as one flat JSON object; returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({key: round(value, 4) for key, value in figures.items()}, indent=2) + "\n")
    return path


def publish(rows: str, days: Iterable[str], mark: str = "results") -> None:
    """Put a table into the README of the benchmarks, between the marks of this name."""
    text = f"Measured on {' and '.join(sorted(set(days)))}:\n\n{rows}\n"
    between = re.compile(rf"(<!-- {mark} -->\n).*(<!-- end of {mark} -->)", re.DOTALL)
    README.write_text(between.sub(lambda found: found[1] + text + found[2], README.read_text()))
