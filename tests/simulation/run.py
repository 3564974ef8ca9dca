"""How are many seeds run, and one of them again?

Every seed is one cluster, in one process of a pool. A seed that fails is printed with what it violated and
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
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from tests.simulation import plans
from tests.simulation.fleet import MEMORY, Fleet, Outcome
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.world import Circling, World

TASKS: Final = 101
"""Tasks of one run."""
WITH_RELAY: Final = 20
"""Every how many seeds tasks write output, and there is a relay."""
FULL: Final = 2000
"""From so many seeds on a run has to see enough of everything."""
LEAST_TASKS: Final = 200_000
LEAST_OF_EACH: Final = 10
"""Of every kind of fault, those that met something to break."""
CHUNKS: Final = 5
"""How many chunks of seeds one process runs: it keeps some megabytes of each seed."""
_COMMAND: Final = "python -m tests.simulation"


def simulate(seed: int, tasks: int = TASKS, mutation: str = "") -> Outcome:
    """Run one seed, on request without one of the protocol's guards."""
    try:
        if mutation:
            return mutation_named(mutation).run(seed)
        with World(seed) as world:
            fleet = Fleet(world, tasks=tasks, relay=seed % WITH_RELAY == 0)
            try:
                return fleet.run(plans.plan)
            finally:
                fleet.close()
    except Circling as error:
        return Outcome(seed, [str(error)])


def mutation_named(name: str) -> Mutation:
    """The mutation with this name."""
    return next(each for each in MUTATIONS if each.name == name)


@dataclass
class Totals:
    """Over all seeds."""

    seeds: int = 0
    tasks: int = 0
    executions: int = 0
    lost_attempts: int = 0
    lost_workers: int = 0
    fenced: int = 0
    orphans: int = 0
    gave_up: int = 0
    stale_effects: int = 0
    virtual_seconds: float = 0.0
    failed_calls: int = 0
    handed_on: int = 0
    commits: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    fingerprints: dict[int, int] = field(default_factory=dict)
    failing: dict[int, list[str]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.tasks += outcome.tasks
        self.executions += outcome.executions
        self.lost_attempts += outcome.lost_attempts
        self.lost_workers += outcome.lost_workers
        self.fenced += outcome.fenced
        self.orphans += outcome.orphans
        self.gave_up += outcome.gave_up
        self.stale_effects += outcome.stale_effects
        self.virtual_seconds += outcome.seconds
        self.failed_calls += outcome.failed_calls
        self.handed_on += outcome.handed_on
        self.commits += outcome.commits
        self.faults += outcome.faults
        self.states += outcome.states
        self.fingerprints[outcome.seed] = outcome.fingerprint
        if outcome.violations:
            self.failing[outcome.seed] = outcome.violations


def quiet(folder: str = "") -> None:
    """Say nothing but what was found.

    And let nothing be swept up: in the middle of a run, what killed processes left behind would still act, at
    no fixed moment; after it, that takes longer than to begin another process now and then.
    """
    gc.disable()
    tempfile.tempdir = folder or None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    ignore_the_dead()


def ignore_the_dead() -> None:
    """Killed processes leave coroutines behind that complain when they are swept up."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None


def run_many(seeds: Iterable[int], tasks: int, mutation: str, workers: int) -> Totals:
    """Run seeds on some processes; without a guard, until one notices."""
    totals = Totals()
    context = multiprocessing.get_context("fork")
    with (
        tempfile.TemporaryDirectory(dir=MEMORY, prefix="tenure-simulation-") as folder,
        context.Pool(workers, initializer=partial(quiet, folder), maxtasksperchild=CHUNKS) as pool,
    ):
        run = partial(simulate, tasks=tasks, mutation=mutation)
        for outcome in pool.imap_unordered(run, seeds, chunksize=1 if mutation else 4):
            totals.add(outcome)
            if outcome.violations:
                tell(outcome, mutation)
                if mutation:
                    pool.terminate()
                    break
    return totals


def tell(outcome: Outcome, mutation: str = "") -> None:
    """Print what a seed violated and how to run it again."""
    print(f"seed {outcome.seed}: {len(outcome.violations)} violations after {dict(outcome.faults)}")
    for violation in outcome.violations[:10]:
        print(f"    {violation}")
    without = f" --mutation {mutation!r}" if mutation else ""
    print(f"    again: {_COMMAND} --seed {outcome.seed}{without}", flush=True)


def main() -> None:
    """The command line."""
    options = _parsed()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of strings have an order of their own in every process otherwise.
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    if options.seed is not None:
        gc.disable()
        ignore_the_dead()
        outcome = simulate(options.seed, options.tasks, options.mutation)
        tell(outcome, options.mutation)
        print(f"    fingerprint {outcome.fingerprint}")
        sys.exit(bool(outcome.violations))
    began = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    totals = run_many(seeds, options.tasks, options.mutation, options.workers)
    print_totals(totals, time.perf_counter() - began)
    if options.report:
        text = json.dumps(vars(totals), indent=2)
        options.report.write_text(text + "\n", encoding="utf-8")
    short = shortfalls(totals) if totals.seeds >= FULL else []
    for sentence in short:
        print(f"too little to prove anything: {sentence}")
    sys.exit(bool(totals.failing or short))


def shortfalls(totals: Totals) -> list[str]:
    """Of what did a full run see too little? Each check needs something that could have failed it."""
    found = []
    if totals.tasks < LEAST_TASKS:
        found.append(f"{totals.tasks} tasks, at least {LEAST_TASKS} are wanted")
    for name in plans.ALL_KINDS:
        if totals.faults[name] < LEAST_OF_EACH:
            found.append(
                f"{name!r} happened {totals.faults[name]} times, at least {LEAST_OF_EACH} are wanted"
            )
    needed = {
        "no worker was declared lost": totals.lost_workers,
        "no report of an attempt that was given away was refused": totals.fenced,
        "no effect of an attempt that was given away was refused": totals.stale_effects,
        "no attempt of an incarnation before a restore was fenced": totals.orphans,
        "no scheduler saw the store go back": totals.gave_up,
        "no agent reached its leader through a follower": totals.handed_on,
    }
    return found + [sentence for sentence, count in needed.items() if not count]


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds, from --first on")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one again, with its log")
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks of each run")
    parser.add_argument("--mutation", default="", help="run without this guard, until a seed notices")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--report", type=Path, help="also write the totals there, as JSON")
    options = parser.parse_args()
    names = [mutation.name for mutation in MUTATIONS]
    if options.mutation and options.mutation not in names:
        parser.error(f"no mutation {options.mutation!r}; there are: {', '.join(names)}")
    return options


def print_totals(totals: Totals, seconds: float) -> None:
    """The table at the end."""
    hours = totals.virtual_seconds / 3600
    print(f"{totals.seeds} seeds, {totals.tasks} tasks, {hours:.1f} virtual hours in {seconds:.0f} s")
    for name, count in sorted(totals.faults.items(), key=lambda item: -item[1]):
        print(f"    {count:6}  {name}")
    print(f"executions {totals.executions}, commits {totals.commits}")
    print(f"workers declared lost {totals.lost_workers}, attempts lost {totals.lost_attempts}")
    print(f"orphans of a restored store fenced {totals.orphans}, schedulers that saw it {totals.gave_up}")
    print(f"stale reports refused {totals.fenced}, stale effects refused {totals.stale_effects}")
    print(f"calls repeated {totals.failed_calls}, sessions through a follower {totals.handed_on}")
    print(f"final states {dict(totals.states)}")
    print(f"failing seeds: {sorted(totals.failing) or 'none'}", flush=True)
