"""`make recovery`: how soon, and how harmlessly, does a fleet get over the loss of each of its parts?

Every figure is a promise about each single case: one that is worse than its bound makes the exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import RESULTS
from bench.recovery import nodes
from bench.recovery.figures import Figure, save, table

if TYPE_CHECKING:
    from collections.abc import Sequence

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something to be measured so many times."""

    times: int
    measure: Callable[[int, Say], Awaitable[list[Figure]]]


MEASUREMENTS = {
    "node-killed": Measurement(50, nodes.killed),
    "node-silent": Measurement(20, nodes.silent),
    "agent-killed": Measurement(100, nodes.agent_killed),
}


async def measure(names: Sequence[str], times: int | None = None) -> list[Figure]:
    """The figures of these measurements, one after the other; `times` instead of how often each is made."""
    figures: list[Figure] = []
    for name in names:
        chosen = MEASUREMENTS[name]
        began = time.monotonic()
        figures += await chosen.measure(
            times or chosen.times, lambda text, name=name: _say(f"{name}: {text}")
        )
        _say(f"{name}: {time.monotonic() - began:.0f} s in all")
    return figures


def _say(sentence: str) -> None:
    print(f"  {sentence}", file=sys.stderr, flush=True)


def main() -> None:
    """The command line."""
    names = ", ".join(MEASUREMENTS)
    parser = argparse.ArgumentParser(prog="python -m bench.recovery", description=__doc__)
    parser.add_argument("what", nargs="*", help=f"of {names}; all when none is named")
    parser.add_argument("--times", type=int, help="how often each, instead of as often as promised")
    parser.add_argument("--json", type=Path, default=RESULTS / "recovery.json", help="where values are kept")
    options = parser.parse_args()
    if unknown := sorted(set(options.what) - MEASUREMENTS.keys()):
        parser.error(f"no such measurement: {', '.join(unknown)}; there are: {names}")
    if options.times is not None and options.times < 1:
        parser.error("--times is at least 1")
    figures = asyncio.run(measure(options.what or list(MEASUREMENTS), options.times))
    print(table(figures))
    save(figures, options.json)
    print(f"\nevery value is in {options.json}")
    sys.exit(not all(figure.holds for figure in figures))


if __name__ == "__main__":
    main()
