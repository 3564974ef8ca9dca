"""How does a whole fault run go: fleet up, traffic and faults, everything healed, looked at, judged?"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenure.local.etcd_binary import EtcdNotFound, find_etcd
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tests.faults import packets, report
from tests.faults.checker import Verdict, judge
from tests.faults.director import OPENING_HOLD, Bounds, Director
from tests.faults.fleet import CAPACITY_MILLI, FaultFleet, Shape
from tests.faults.floors import OF_A_LONG_RUN, OF_A_SHORT_RUN, OF_ANY_RUN, Floor
from tests.faults.history import Begun, History, LeftOut, Recorder, now
from tests.faults.kinds.base import Scene
from tests.faults.kinds.catalog import KINDS
from tests.faults.ledger import Ledger
from tests.faults.store_history import StoreHistory
from tests.faults.traffic import Traffic
from tests.support.faketime import libfaketime
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG: Final = {"minutes": 18.0, "tasks": 5200, "agents": 8, "lanes": 3}
SHORT: Final = {"minutes": 2.5, "tasks": 600, "agents": 5, "lanes": 2}
MOST_FAULTS: Final = 10_000
OPENING_SECONDS: Final = 6.0
"""For how long tasks run in peace at first."""
LASTING_SECONDS: Final = OPENING_SECONDS + OPENING_HOLD[1] + 2.0
LASTING_PER_AGENT: Final = 2
"""Tasks that outlive the opening: the emptiest worker gets the next one, so that each holds some."""
SETTLE_SECONDS: Final = 120.0
CAUGHT_UP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is asked for."""

    seed: int
    minutes: float
    faults: int
    tasks: int
    shape: Shape
    lanes: int
    kinds: Sequence[str]
    """Those asked for by name; none: all."""
    floor: Floor
    folder: Path


async def carry_out(plan: Plan) -> None:
    """Run; the history lies in `plan.folder / "history"` afterwards, whatever happens."""
    recorder = Recorder(plan.folder / "history")
    recorder.add(_begun(plan))
    keys = Keys("default")
    try:
        async with contextlib.AsyncExitStack() as stack:
            ledger = await stack.enter_async_context(Ledger(plan.folder / "ledger", recorder))
            fleet = await stack.enter_async_context(FaultFleet(plan.folder, plan.shape))
            store = await stack.enter_async_context(EtcdClient(fleet.etcd_addresses))
            seen = StoreHistory(store, keys, recorder)
            stack.push_async_callback(seen.close)
            rng = random.Random(plan.seed)
            scene = Scene(fleet, store, keys, rng, plan.folder, seen.restored, lambda: seen.revision)
            await _play(plan, scene, recorder, ledger)
            await _until_seen(store, seen)
    finally:
        recorder.close()


def _begun(plan: Plan) -> Begun:
    return Begun(
        at=now(),
        seed=plan.seed,
        capacity_milli=CAPACITY_MILLI,
        kinds=tuple(plan.kinds or (KINDS if plan.floor.every_kind else ())),
        by_name=bool(plan.kinds),
        least_faults=plan.floor.faults,
        least_kinds=plan.floor.kinds,
        least_tasks=plan.floor.tasks,
    )


async def _play(plan: Plan, scene: Scene, recorder: Recorder, ledger: Ledger) -> None:
    """Traffic and faults at the same time, then peace, then a last look."""
    fleet = scene.fleet
    addresses = fleet.address.split(",")
    traffic = Traffic(addresses, ledger.socket, recorder, random.Random(plan.seed + 1))
    told = [0.0]

    def tell(sentence: str) -> None:
        if time.monotonic() - told[0] > 5:
            told[0] = time.monotonic()
            count = recorder.counts
            print(
                f"{count['fault']} faults, {len(traffic.submitted)} tasks, {count['told']} ended, "
                f"{ledger.refused} stale writes refused; now {sentence}",
                flush=True,
            )

    director = Director(scene, recorder, _possible(plan.kinds or list(KINDS), scene, recorder), tell)
    try:
        lasting = min(plan.tasks, LASTING_PER_AGENT * plan.shape.agents)
        await traffic.begin(lasting, LASTING_SECONDS)
        seconds = plan.minutes * 60
        bounds = Bounds(faults=plan.faults, until=now() + seconds, lanes=plan.lanes)
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.run(plan.tasks - lasting, seconds * 0.9))
            await asyncio.sleep(OPENING_SECONDS)
            await director.open()
            group.create_task(director.run(bounds))
        print(f"{director.healed} faults healed; waiting until the fleet is whole", flush=True)
        await fleet.wait_ready()
        print("the fleet is whole; waiting until every task has ended", flush=True)
        await traffic.settle(SETTLE_SECONDS)
        print("reading every log again", flush=True)
        await traffic.look_again()
        if traffic.failures:
            raise RuntimeError(f"users were left without an answer: {traffic.failures[:3]}")
    finally:
        await traffic.close()


def _possible(kinds: Sequence[str], scene: Scene, recorder: Recorder) -> list[str]:
    """The kinds that can be had here; the others are told of."""
    found = []
    for name in kinds:
        if why := KINDS[name](scene).missing():
            recorder.add(LeftOut(kind=name, why=why))
        else:
            found.append(name)
    if not found:
        raise RuntimeError(f"none of these kinds can be had here: {why}")
    return found


async def _until_seen(store: EtcdClient, seen: StoreHistory) -> None:
    """Wait until the recorder has everything that etcd has."""
    found = await store.range(b"/tenure/", prefix=True)
    newest = max((kv.mod_revision for kv in found.kvs), default=0)
    await eventually(lambda: seen.revision >= newest, within=CAUGHT_UP_SECONDS, what="all was recorded")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 when anything was violated or the run proved nothing."""
    options = sized(arguments)
    if options.list:
        print("\n".join(KINDS))
        return 0
    if options.check:
        return _conclude(options.check, judge(History.read(options.check)), options, 0.0)
    _fetch_programs()
    packets.move(sys.argv[1:] if arguments is None else arguments)
    folder = Path(tempfile.mkdtemp(prefix="tenure-faults-"))
    plan = Plan(
        seed=options.seed,
        minutes=options.minutes,
        faults=options.faults,
        tasks=options.tasks,
        shape=Shape(agents=options.agents, relays=options.relays),
        lanes=options.lanes,
        kinds=options.kinds or (),
        floor=floor_of(arguments),
        folder=folder,
    )
    print(f"seed {plan.seed}; everything is in {folder}", flush=True)
    began = time.monotonic()
    # SIGTERM unwinds as Ctrl-C does: processes end and small disks are unmounted.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    asyncio.run(carry_out(plan))
    verdict = judge(History.read(folder / "history"))
    code = _conclude(folder, verdict, options, time.monotonic() - began)
    if not code and not options.keep:
        shutil.rmtree(folder)
    return code


def _fetch_programs() -> None:
    """What may have to be downloaded: a run that has moved reaches nobody."""
    libfaketime()
    with contextlib.suppress(EtcdNotFound):  # the fleet says so
        find_etcd()


def _conclude(folder: Path, verdict: Verdict, options: argparse.Namespace, seconds: float) -> int:
    print(report.as_table(verdict, options.seed, folder))
    if options.report:
        options.report.write_text(report.as_json(verdict, options.seed, seconds))
    return 0 if verdict.passed else 1


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="what CI runs: under five minutes in all")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--minutes", type=float, help="how long faults are injected")
    parser.add_argument("--faults", type=int, default=MOST_FAULTS, help="at most so many")
    parser.add_argument("--tasks", type=int, help="as many a minute as usual, unless you say")
    parser.add_argument("--agents", type=int)
    parser.add_argument("--relays", type=int, default=1)
    parser.add_argument("--lanes", type=int, help="faults at the same time")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), metavar="KIND", help="only these")
    parser.add_argument("--report", type=Path, help="write the outcome there as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the histories of a run that passed")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="judge a recorded history again")
    parser.add_argument("--list", action="store_true", help="list the kinds")
    return parser.parse_args(sys.argv[1:] if arguments is None else list(arguments))


def sized(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for, with the size of a run filled in."""
    given = _parsed(arguments)
    usual = SHORT if given.short else LONG
    if given.tasks is None and given.minutes is not None:
        # As many a minute as usual: thousands within two minutes leave a fleet no time for anything else.
        given.tasks = max(1, round(usual["tasks"] * given.minutes / usual["minutes"]))
    for name, value in usual.items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def floor_of(arguments: Sequence[str] | None) -> Floor:
    """What the run must reach; only a run of a size that is known is held to more than to have run."""
    given = _parsed(arguments)
    chosen = [getattr(given, name) for name in (*LONG, "kinds")]
    if given.faults != MOST_FAULTS or any(value is not None for value in chosen):
        return OF_ANY_RUN
    return OF_A_SHORT_RUN if given.short else OF_A_LONG_RUN
