"""`make recovery`: how soon everything is well again after a loss, in every one of many runs.

Each measurement breaks a real fleet again and again, and says how long a client saw that, or what it cost. A
bound has to hold in the worst run. Exit code 1: one does not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import RESULTS, publish
from bench.recovery import agents, nodes, outage, rolling, takeover
from bench.recovery.figures import Figure, Measurement, save, table

MEASUREMENTS = {
    "node_killed": Measurement(measure=nodes.killed, rounds=50),
    "node_silent": Measurement(measure=nodes.silent, rounds=20),
    "agent_killed": Measurement(measure=agents.killed, rounds=100),
    "takeover_killed": Measurement(measure=takeover.killed, rounds=20),
    "takeover_silent": Measurement(measure=takeover.silent, rounds=20),
    "handover": Measurement(measure=takeover.told_to_end, rounds=20),
    "outage": Measurement(measure=outage.away, rounds=3),
    "rolling": Measurement(measure=rolling.restarted, rounds=3),
}
"""What can be measured, in the order in which it is."""

RECORD = RESULTS / "recovery.json"


def _say(sentence: str) -> None:
    print(f"  {sentence}", file=sys.stderr, flush=True)


def run(names: Iterable[str], rounds: int | None, results: Path | None) -> dict[str, Figure]:
    """Measure, one after the other; each is written to `results` as soon as it is there."""
    found: dict[str, Figure] = {}
    for name in names:
        measurement = MEASUREMENTS[name]
        wanted = rounds or measurement.rounds
        _say(f"{name}, {wanted} rounds …")
        began = time.monotonic()
        figures = asyncio.run(measurement.measure(wanted, _say))
        _say(f"{name} took {time.monotonic() - began:.0f} s")
        found |= figures
        if results is not None:
            known = save(figures, results, datetime.now(UTC).date())
            if results == RECORD:
                rows = table(map(Figure.of, known.values()))
                publish(rows, [record["measured"] for record in known.values()], "recovery")
    return found


def _rounds(text: str) -> int:
    if (rounds := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least one")
    return rounds


def main() -> int:
    """Exit code 1 when a bound does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.recovery", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(MEASUREMENTS)}; none: all")
    parser.add_argument(
        "--rounds", type=_rounds, help="so many of each; then nothing is written without --json"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: bench/results/recovery.json")
    options = parser.parse_args()
    unknown = sorted(set(options.what) - set(MEASUREMENTS))
    if unknown:
        parser.error(f"nothing is called {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    results = options.json or (None if options.rounds else RECORD)
    figures = run(options.what or MEASUREMENTS, options.rounds, results)
    print(table(figures.values()))
    return 0 if all(figure.holds for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
