"""What goes wrong in a simulated cluster, and how is it repaired?

Each fault is a function that breaks something, and mends it again after a while. `plan` draws some of them
from the seed. What is excused by the documentation (a frozen machine, warden and agent both gone) marks the
executions that it touches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from tenure_runtime.etcd.stubs import rpc
from tenure_scheduler.domain import events as e
from tests.simulation import restores
from tests.simulation.fleet import Fleet
from tests.simulation.nodes import Node
from tests.simulation.world import Host

Fault: TypeAlias = Callable[[Fleet], None]


def _node(fleet: Fleet) -> Node:
    return fleet.world.random.choice(fleet.nodes)


_after: Final = Fleet.mend_after


# --- nodes ------------------------------------------------------------------------------------------------


def kill_agent(fleet: Fleet) -> None:
    """kill -9 of an agent; its warden starts another one."""
    _node(fleet).kill_agent()


def pause_agent(fleet: Fleet) -> None:
    """SIGSTOP of an agent, often beyond its lease."""
    agent = _node(fleet).agent
    if agent is not None:
        agent.pause()
        _after(fleet, 0.2, 2.5 * fleet.ttl, agent.resume)


def stall_agent(fleet: Fleet) -> None:
    """An agent's loop stands still for less than its lease."""
    agent = _node(fleet).agent
    if agent is not None:
        agent.pause()
        _after(fleet, 0.1, fleet.ttl / 2, agent.resume)


def kill_warden(fleet: Fleet) -> None:
    """kill -9 of a warden: its agent ends what runs."""
    _node(fleet).kill_warden()


def pause_warden(fleet: Fleet) -> None:
    """SIGSTOP of a warden, often beyond the lease: its agent has to kill exclusive attempts."""
    node = _node(fleet)
    if node.warden is not None and not (node.agent is not None and node.agent.paused):
        warden = node.warden.process
        warden.pause()
        _after(fleet, 0.2, 2.5 * fleet.ttl, warden.resume)


def kill_service(fleet: Fleet) -> None:
    """Warden and agent are killed and the tasks are not: a documented exception for exclusive tasks."""
    node = _node(fleet)
    excuse(node, "warden and agent were both dead")
    node.kill_agent()
    node.kill_warden()


def kill_node(fleet: Fleet) -> None:
    """Everything on a machine is killed; its kernel resets the connections."""
    node = _node(fleet)
    node.kill_node()
    _after(fleet, 1.0, 3 * fleet.ttl, node.start_again)


def power_off(fleet: Fleet) -> None:
    """A machine loses power: silence, and later another boot."""
    node = _node(fleet)
    node.power_off()
    _after(fleet, 1.0, 3 * fleet.ttl, node.power_on)


def lose_fleet(fleet: Fleet) -> None:
    """Every node goes at once."""
    for node in fleet.nodes:
        node.power_off()
        _after(fleet, 1.0, 2 * fleet.ttl, node.power_on)


def lose_state(fleet: Fleet) -> None:
    """A node comes back with an empty disk."""
    node = _node(fleet)
    node.kill_node()
    node.host.disk.clear()
    _after(fleet, 0.5, 2 * fleet.ttl, node.start_again)


def roll_back_state(fleet: Fleet) -> None:
    """A node comes back with the disk of some seconds ago."""
    node = _node(fleet)
    backup = copy.deepcopy({name: value for name, value in node.host.disk.items() if name != "orphans"})

    def restore() -> None:
        node.kill_node()
        node.host.disk = backup
        _after(fleet, 0.5, fleet.ttl, node.start_again)

    _after(fleet, 0.5, 8.0, restore)


def duplicate_agent(fleet: Fleet) -> None:
    """A second machine with the same name and a copy of the state directory."""
    clone = fleet.clone(_node(fleet))
    _after(fleet, 1.0, 3 * fleet.ttl, clone.kill_node)


def excuse(node: Node, reason: str) -> None:
    """What runs there now may overlap with later attempts, by a documented exception."""
    for execution in node.effects.executions:
        if execution.host == node.host.name and execution.ended == float("inf"):
            execution.excused = reason


def drain_worker(fleet: Fleet) -> None:
    """An operator empties a worker, and thinks better of it later."""
    node = _node(fleet)
    seconds = fleet.world.random.choice((0.5, 2.0, 6.0))
    fleet.record.drained.add(node.name)
    fleet.operate(lambda ticket: e.DrainRequested(ticket, [node.name], seconds, "maintenance"))
    _after(fleet, 0.3, 10.0, lambda: fleet.operate(lambda ticket: e.DrainCancelled(ticket, [node.name])))


# --- schedulers -------------------------------------------------------------------------------------------


def kill_leader(fleet: Fleet) -> None:
    """kill -9 of the leading scheduler."""
    leader = fleet.leader
    if leader is not None:
        leader.process.kill()
        _after(fleet, 0.5, 10.0, lambda: fleet.start_scheduler(leader.name))


def kill_follower(fleet: Fleet) -> None:
    """kill -9 of a scheduler that does not lead."""
    followers = [each for each in fleet.schedulers if each.replica.reign is None and each.process.alive]
    if followers:
        follower = fleet.world.random.choice(followers)
        follower.process.kill()
        _after(fleet, 0.5, 10.0, lambda: fleet.start_scheduler(follower.name))


def kill_schedulers(fleet: Fleet) -> None:
    """All schedulers at once."""
    for scheduler in list(fleet.schedulers):
        scheduler.process.kill()
        _after(fleet, 0.5, 3 * fleet.ttl, partial(fleet.start_scheduler, scheduler.name))


def pause_leader(fleet: Fleet) -> None:
    """SIGSTOP of the leader, often beyond its lease: an old leader wakes up beside a new one."""
    leader = fleet.leader
    if leader is not None:
        leader.process.pause()
        _after(fleet, 0.2, 3 * fleet.config.leadership.ttl, leader.process.resume)


def stop_scheduler(fleet: Fleet) -> None:
    """An orderly stop, as for an upgrade."""
    living = [each for each in fleet.schedulers if each.process.alive and not each.process.paused]
    if living:
        scheduler = fleet.world.random.choice(living)
        scheduler.stop()
        _after(fleet, 1.0, 5.0, lambda: fleet.start_scheduler(scheduler.name))


# --- the relay --------------------------------------------------------------------------------------------


def kill_relay(fleet: Fleet) -> None:
    """kill -9 of the log relay."""
    if fleet.relay is not None:
        fleet.relay.process.kill()
        _after(fleet, 0.3, 8.0, fleet.start_relay)


def pause_relay(fleet: Fleet) -> None:
    """SIGSTOP of the log relay."""
    if fleet.relay is not None:
        fleet.relay.process.pause()
        _after(fleet, 0.3, 12.0, fleet.relay.process.resume)


# --- etcd -------------------------------------------------------------------------------------------------


def kill_member(fleet: Fleet) -> None:
    """kill -9 of one member of etcd."""
    member = fleet.world.random.choice(fleet.etcd.members)
    if member.process.alive:
        member.process.kill()
        _after(fleet, 0.5, 10.0, lambda: fleet.etcd.restart(member))


def kill_etcd(fleet: Fleet) -> None:
    """All members of etcd at once."""
    for member in list(fleet.etcd.members):
        if member.process.alive:
            member.process.kill()
            _after(fleet, 0.5, 2 * fleet.ttl, partial(fleet.etcd.restart, member))


def pause_member(fleet: Fleet) -> None:
    """SIGSTOP of one member of etcd."""
    member = fleet.world.random.choice(fleet.etcd.members)
    member.process.pause()
    _after(fleet, 0.2, 8.0, member.process.resume)


def pause_etcd(fleet: Fleet) -> None:
    """All members stop at once and go on: every lease may be gone."""
    for member in fleet.etcd.members:
        member.process.pause()
    _after(fleet, 0.5, 2.0 * fleet.ttl, fleet.etcd.go_on)


def late_writes(fleet: Fleet) -> None:
    """For a while some writes are applied long after they were sent, and nobody hears of it."""
    fleet.etcd.late_writes = fleet.world.random.choice((0.05, 0.3, 0.6))

    def punctual() -> None:
        fleet.etcd.late_writes = 0.0

    _after(fleet, 2.0, 15.0, punctual)


def lag_watches(fleet: Fleet) -> None:
    """Watches at some members are behind."""
    for member in fleet.etcd.members:
        member.watch_lag = fleet.world.random.choice((0.0, 0.5, 5.0))

    def catch_up() -> None:
        for member in fleet.etcd.members:
            member.watch_lag = 0.0

    _after(fleet, 2.0, 15.0, catch_up)


def stall_watches(fleet: Fleet) -> None:
    """Watches at one member tell nothing."""
    member = fleet.world.random.choice(fleet.etcd.members)
    member.watches_stall = True
    _after(fleet, 1.0, 20.0, partial(setattr, member, "watches_stall", False))


def compact(fleet: Fleet) -> None:
    """The history is compacted up to now, under watches that are behind."""
    store = fleet.etcd.store
    if store.revision > store.compacted:
        store.compact(store.revision)


def lose_lease(fleet: Fleet) -> None:
    """A lease ends before its time: an operator revoked it, or etcd lost it."""
    leases = list(fleet.etcd.store.leases)
    if leases:
        lease = fleet.world.random.choice(leases)
        for execution in fleet.effects.executions:
            if execution.ended == float("inf"):
                execution.excused = "a lease ended before its time"
        fleet.effects.leases_end_early = True
        fleet.etcd.store.revoke(lease)


def delete_live(fleet: Fleet) -> None:
    """Somebody deletes a worker's `live` key by hand; its lease goes on."""
    store, prefix = fleet.etcd.store, fleet.record.keys.workers
    lives = [key for key in store.order if key.startswith(prefix) and key.endswith(b"/live")]
    lives = [key for key in lives if store.current(key) is not None]
    if lives:
        delete = rpc.DeleteRangeRequest(key=fleet.world.random.choice(lives))
        store.txn(rpc.TxnRequest(success=[rpc.RequestOp(request_delete_range=delete)]))


def fill_etcd(fleet: Fleet) -> None:
    """The alarm NOSPACE, until somebody frees space."""
    fleet.etcd.store.no_space = True

    def freed() -> None:
        fleet.etcd.store.no_space = False

    _after(fleet, 1.0, 15.0, freed)


# --- network and clocks -----------------------------------------------------------------------------------


def _pairs(fleet: Fleet, kind: str) -> list[tuple[Host, Host]]:
    nodes = [node.host for node in fleet.nodes]
    schedulers = [scheduler.process.host for scheduler in fleet.schedulers]
    members = [member.process.host for member in fleet.etcd.members]
    relay = [fleet.relay.process.host] if fleet.relay is not None else members
    first, second = {
        "agent-scheduler": (nodes, schedulers),
        "agent-relay": (nodes, relay),
        "relay-scheduler": (relay, schedulers),
        "scheduler-etcd": (schedulers, members),
        "scheduler-scheduler": (schedulers, schedulers),
        "etcd-etcd": (members, members),
    }[kind]
    random = fleet.world.random
    mine = random.sample(first, random.randint(1, len(first)))
    theirs = random.sample(second, random.randint(1, len(second)))
    return [(a, b) for a in mine for b in theirs if a is not b]


def partition(fleet: Fleet, kind: str) -> None:
    """Nothing gets through between some machines, in one direction or in both."""
    both = fleet.world.random.random() < 0.6
    backwards = fleet.world.random.random() < 0.5
    for here, there in _pairs(fleet, kind):
        if both or not backwards:
            fleet.network.cut(here, there)
        if both or backwards:
            fleet.network.cut(there, here)
    _after(fleet, 0.3, 3 * fleet.ttl, fleet.network.heal)


def part_from_leader(fleet: Fleet) -> None:
    """One agent and the leader do not reach each other for long; the other replicas reach both."""
    leader = fleet.leader
    if leader is not None:
        here, there = _node(fleet).host, leader.process.host
        fleet.network.cut(here, there)
        fleet.network.cut(there, here)
        _after(fleet, 15.0, 45.0, fleet.network.heal)


def slow_agents(fleet: Fleet) -> None:
    """Every way between agents and schedulers is slow."""
    slow = fleet.world.random.choice((0.1, 0.3, 0.6))
    for node in fleet.nodes:
        for scheduler in fleet.schedulers:
            fleet.network.weather(node.host, scheduler.process.host).slow = slow
            fleet.network.weather(scheduler.process.host, node.host).slow = slow
    _after(fleet, 5.0, 30.0, fleet.network.heal)


def slow_links(fleet: Fleet) -> None:
    """Some ways are slow."""
    random = fleet.world.random
    hosts = fleet.hosts()
    for _ in range(random.randint(1, 6)):
        here, there = random.sample(hosts, 2)
        fleet.network.weather(here, there).slow = random.choice((0.05, 0.3, 1.5))
    _after(fleet, 1.0, 20.0, fleet.network.heal)


def jump_clock(fleet: Fleet) -> None:
    """The wall clock of a machine is set."""
    host = fleet.world.random.choice(fleet.hosts())
    host.wall_offset += fleet.world.random.choice((-3600.0, -30.0, -1.0, 1.0, 30.0, 3600.0))


OF_RELAYS: Final[dict[str, tuple[int, Fault]]] = {
    "kill relay": (6, kill_relay),
    "pause relay": (3, pause_relay),
    "partition agent-relay": (4, lambda fleet: partition(fleet, "agent-relay")),
    "partition relay-scheduler": (3, lambda fleet: partition(fleet, "relay-scheduler")),
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
KINDS: Final[dict[str, tuple[int, Fault]]] = {
    "kill agent": (4, kill_agent),
    "pause agent": (4, pause_agent),
    "stall agent": (2, stall_agent),
    "kill warden": (2, kill_warden),
    "pause warden": (2, pause_warden),
    "kill warden and agent": (1, kill_service),
    "kill node": (4, kill_node),
    "power off": (4, power_off),
    "lose fleet": (1, lose_fleet),
    "lose state directory": (1, lose_state),
    "roll back state directory": (1, roll_back_state),
    "duplicate agent": (1, duplicate_agent),
    "drain worker": (2, drain_worker),
    "kill leader": (4, kill_leader),
    "kill follower": (1, kill_follower),
    "kill schedulers": (1, kill_schedulers),
    "pause leader": (4, pause_leader),
    "stop scheduler": (2, stop_scheduler),
    "kill etcd member": (2, kill_member),
    "kill etcd": (1, kill_etcd),
    "pause etcd member": (2, pause_member),
    "pause etcd": (2, pause_etcd),
    "late writes": (3, late_writes),
    "lag watches": (2, lag_watches),
    "stall watches": (2, stall_watches),
    "compact": (2, compact),
    "lose lease": (2, lose_lease),
    "delete live key": (1, delete_live),
    "etcd full": (1, fill_etcd),
    "restore a backup": (1, restores.by_the_book),
    "restore a backup carelessly": (1, restores.carelessly),
    "partition agent-scheduler": (4, lambda fleet: partition(fleet, "agent-scheduler")),
    "partition scheduler-etcd": (3, lambda fleet: partition(fleet, "scheduler-etcd")),
    "partition scheduler-scheduler": (1, lambda fleet: partition(fleet, "scheduler-scheduler")),
    "partition etcd-etcd": (2, lambda fleet: partition(fleet, "etcd-etcd")),
    "part agent from leader": (2, part_from_leader),
    "slow links": (2, slow_links),
    "slow agents": (1, slow_agents),
    "clock jump": (1, jump_clock),
}
"""How often each is drawn, and what it does."""


def plan(fleet: Fleet) -> None:
    """Draw faults from the seed."""
    random = fleet.world.random
    count = random.choice((0, 2, 4, 8, 12))
    span = random.choice((10.0, 30.0, 60.0))
    kinds = KINDS
    if fleet.relay is not None:
        kinds = {name: kind for name, kind in (KINDS | OF_RELAYS).items() if name not in NOT_WITH_OUTPUT}
    names = list(kinds)
    weights = [kinds[name][0] for name in names]
    for name in random.choices(names, weights, k=count):
        _after(fleet, 0.5, span, partial(_carry_out, fleet, name))


def _carry_out(fleet: Fleet, name: str) -> None:
    fleet.faults[name] += 1
    (KINDS | OF_RELAYS)[name][1](fleet)


def plan_for(fleet: Fleet, kinds: tuple[str, ...]) -> None:
    """Draw faults, most of them of these kinds: what brings the absence of one guard to light."""
    random = fleet.world.random
    for _ in range(random.choice((4, 8, 16))):
        others = [name for name in KINDS if fleet.relay is None or name not in NOT_WITH_OUTPUT]
        name = random.choice(kinds) if random.random() < 0.85 else random.choice(others)
        _after(fleet, 0.5, random.choice((10.0, 30.0)), partial(_carry_out, fleet, name))
