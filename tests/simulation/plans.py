"""Which faults happen in a run, how often and when?

`plan` draws them from the seed. One that finds nothing to break at its moment does not count.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Final

from tests.simulation import faults, restores
from tests.simulation.fleet import Fleet

OF_RELAYS: Final[dict[str, tuple[int, faults.Fault]]] = {
    "kill relay": (9, faults.kill_relay),
    "pause relay": (6, faults.pause_relay),
    "partition agent-relay": (6, lambda fleet: faults.partition(fleet, "agent-relay")),
    "partition relay-scheduler": (6, lambda fleet: faults.partition(fleet, "relay-scheduler")),
}
"""Drawn only where there is a relay."""
NOT_WITH_OUTPUT: Final = frozenset(
    {
        "lose state directory",
        "roll back state directory",
        "duplicate agent",
        "restore a backup",
        "restore a backup carelessly",
    }
)
"""The model keeps one spool directory for each name of a worker, and readers know attempts by number only."""
KINDS: Final[dict[str, tuple[int, faults.Fault]]] = {
    "kill agent": (4, faults.kill_agent),
    "pause agent": (4, faults.pause_agent),
    "stall agent": (2, faults.stall_agent),
    "upgrade agent": (3, faults.upgrade_agent),
    "kill warden": (2, faults.kill_warden),
    "pause warden": (2, faults.pause_warden),
    "kill warden and agent": (1, faults.kill_service),
    "kill node": (4, faults.kill_node),
    "power off": (4, faults.power_off),
    "lose fleet": (1, faults.lose_fleet),
    "lose state directory": (1, faults.lose_state),
    "roll back state directory": (1, faults.roll_back_state),
    "duplicate agent": (1, faults.duplicate_agent),
    "drain worker": (2, faults.drain_worker),
    "kill leader": (4, faults.kill_leader),
    "kill follower": (1, faults.kill_follower),
    "kill schedulers": (1, faults.kill_schedulers),
    "pause leader": (4, faults.pause_leader),
    "stop scheduler": (2, faults.stop_scheduler),
    "kill etcd member": (2, faults.kill_member),
    "kill etcd": (1, faults.kill_etcd),
    "pause etcd member": (2, faults.pause_member),
    "pause etcd": (2, faults.pause_etcd),
    "late writes": (3, faults.late_writes),
    "lag watches": (2, faults.lag_watches),
    "stall watches": (2, faults.stall_watches),
    "compact": (2, faults.compact),
    "lose lease": (2, faults.lose_lease),
    "delete live key": (1, faults.delete_live),
    "etcd full": (1, faults.fill_etcd),
    "restore a backup": (1, lambda fleet: faults.restore(fleet, restores.by_the_book)),
    "restore a backup carelessly": (1, lambda fleet: faults.restore(fleet, restores.carelessly)),
    "partition agent-scheduler": (4, lambda fleet: faults.partition(fleet, "agent-scheduler")),
    "partition scheduler-etcd": (3, lambda fleet: faults.partition(fleet, "scheduler-etcd")),
    "partition scheduler-scheduler": (1, lambda fleet: faults.partition(fleet, "scheduler-scheduler")),
    "partition etcd-etcd": (2, lambda fleet: faults.partition(fleet, "etcd-etcd")),
    "part agent from leader": (2, faults.part_from_leader),
    "slow links": (2, faults.slow_links),
    "slow agents": (1, faults.slow_agents),
    "clock jump": (1, faults.jump_clock),
}
"""How often each is drawn, and what it does."""
ALL_KINDS: Final = KINDS | OF_RELAYS


CONTROL_PLANE: Final = frozenset(
    {
        *("kill leader", "kill follower", "kill schedulers", "pause leader", "stop scheduler"),
        *("kill etcd member", "kill etcd", "pause etcd member", "pause etcd", "late writes", "lag watches"),
        *("stall watches", "compact", "etcd full", "partition scheduler-etcd"),
        *("partition scheduler-scheduler", "partition etcd-etcd", "clock jump", "upgrade agent"),
    }
)
"""What leaves the nodes alone, or announces itself: no worker may be lost by it."""
OF_CONTROL_PLANE_ONLY: Final = 8
"""Every how many seeds nothing else is drawn."""


def plan(fleet: Fleet) -> None:
    """Draw faults from the seed."""
    seed, random = fleet.world.seed, fleet.world.random
    count = random.choice((0, 2, 4, 8, 12))
    span = random.choice((10.0, 30.0, 60.0))
    kinds = KINDS
    if isinstance(seed, int) and seed % OF_CONTROL_PLANE_ONLY == 3:
        kinds = {name: kind for name, kind in KINDS.items() if name in CONTROL_PLANE}
    if fleet.relay is not None:
        kinds = {name: kind for name, kind in ALL_KINDS.items() if name not in NOT_WITH_OUTPUT}
    names = list(kinds)
    weights = [kinds[name][0] for name in names]
    for name in random.choices(names, weights, k=count):
        Fleet.mend_after(fleet, 0.5, span, partial(_carry_out, fleet, name))


def _carry_out(fleet: Fleet, name: str) -> None:
    with contextlib.suppress(faults.Spared):
        ALL_KINDS[name][1](fleet)
        fleet.faults[name] += 1


def plan_for(fleet: Fleet, kinds: tuple[str, ...]) -> None:
    """Draw faults, most of them of these kinds: what brings the absence of one guard to light."""
    random = fleet.world.random
    for _ in range(random.choice((4, 8, 16))):
        others = [name for name in KINDS if fleet.relay is None or name not in NOT_WITH_OUTPUT]
        name = random.choice(kinds) if random.random() < 0.85 else random.choice(others)
        Fleet.mend_after(fleet, 0.5, random.choice((10.0, 30.0)), partial(_carry_out, fleet, name))
