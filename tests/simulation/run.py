"""How are many seeds run, and one of them again?

Every seed is one cluster in one process of the pool. A seed that fails is printed with what it violated and
the command that runs exactly it again.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from tests.simulation import faults
from tests.simulation.fleet import Fleet, Outcome
from tests.simulation.world import Circling, World

TASKS: Final = 105
"""Tasks of one run."""


def simulate(seed: int, tasks: int = TASKS) -> Outcome:
    """Run one seed."""
    with World(seed) as world:
        try:
            return Fleet(world, tasks=tasks).run(faults.plan)
        except Circling as error:
            return Outcome(seed, [str(error)])


@dataclass
class Totals:
    """Over all seeds."""

    seeds: int = 0
    tasks: int = 0
    executions: int = 0
    lost_attempts: int = 0
    fenced: int = 0
    stale_effects: int = 0
    virtual_seconds: float = 0.0
    failed_calls: int = 0
    commits: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    failing: dict[int, list[str]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.tasks += outcome.tasks
        self.executions += outcome.executions
        self.lost_attempts += outcome.lost_attempts
        self.fenced += outcome.fenced
        self.stale_effects += outcome.stale_effects
        self.virtual_seconds += outcome.seconds
        self.failed_calls += outcome.failed_calls
        self.commits += outcome.commits
        self.faults += outcome.faults
        self.states += outcome.states
        if outcome.violations:
            self.failing[outcome.seed] = outcome.violations


def quiet() -> None:
    """Killed processes leave coroutines behind that complain when they are swept up."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    gc.set_threshold(50_000, 20, 100)


def run_many(seeds: Iterable[int], tasks: int, workers: int) -> Totals:
    """Run seeds on some processes."""
    totals = Totals()
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, initializer=quiet, maxtasksperchild=200) as pool:
        for outcome in pool.imap_unordered(_one, [(seed, tasks) for seed in seeds], chunksize=4):
            totals.add(outcome)
            if outcome.violations:
                tell(outcome)
    return totals


def _one(job: tuple[int, int]) -> Outcome:
    return simulate(*job)


def tell(outcome: Outcome) -> None:
    """Print what a seed violated and how to run it again."""
    print(f"seed {outcome.seed}: {len(outcome.violations)} violations after {dict(outcome.faults)}")
    for violation in outcome.violations[:10]:
        print(f"    {violation}")
    print(f"    again: python -m tests.simulation --seed {outcome.seed}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds, from --first on")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one again, with its log")
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks of each run")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--report", type=Path, help="also write the totals there, as JSON")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of strings have an order of their own in every process otherwise.
        os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], _environment())
    if options.seed is not None:
        sys.unraisablehook = lambda _: None
        warnings.simplefilter("ignore")
        outcome = simulate(options.seed, options.tasks)
        tell(outcome)
        sys.exit(bool(outcome.violations))
    began = time.perf_counter()
    totals = run_many(range(options.first, options.first + options.seeds), options.tasks, options.workers)
    print_totals(totals, time.perf_counter() - began)
    if options.report:
        options.report.write_text(json.dumps(vars(totals), indent=2) + "\n", encoding="utf-8")
    sys.exit(bool(totals.failing))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": "0"}


def print_totals(totals: Totals, seconds: float) -> None:
    """The table at the end."""
    hours = totals.virtual_seconds / 3600
    print(f"{totals.seeds} seeds, {totals.tasks} tasks, {hours:.1f} virtual hours in {seconds:.0f} s")
    for name, count in sorted(totals.faults.items(), key=lambda item: -item[1]):
        print(f"    {count:6}  {name}")
    print(f"executions {totals.executions}, lost attempts {totals.lost_attempts}, commits {totals.commits}")
    print(f"stale reports refused {totals.fenced}, stale effects refused {totals.stale_effects}")
    print(f"calls repeated {totals.failed_calls}; final states {dict(totals.states)}")
    print(f"failing seeds: {sorted(totals.failing) or 'none'}", flush=True)
