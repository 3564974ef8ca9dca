"""What goes wrong in a simulated cluster, and how is it repaired?

Each fault is a function that breaks something, and mends it again after a while; `plans` says which happen.
What is excused by the documentation (warden and agent both gone) marks the executions that it touches, and
each node knows whether anything happened to it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeAlias, TypeVar

from tenure_runtime.etcd.stubs import rpc
from tenure_scheduler.domain import events as e
from tests.simulation.fleet import Fleet
from tests.simulation.nodes import LONGEST_RESTART, Node
from tests.simulation.world import Host

_T = TypeVar("_T")
Fault: TypeAlias = Callable[[Fleet], None]


class Spared(Exception):
    """There is nothing at this moment that the fault could break: it does not count."""


def _there(found: _T | None) -> _T:
    if found is None:
        raise Spared
    return found


def _chosen(fleet: Fleet, found: Sequence[_T]) -> _T:
    if not found:
        raise Spared
    return fleet.world.random.choice(found)


def _node(fleet: Fleet) -> Node:
    """One that something happens to."""
    node = fleet.world.random.choice(fleet.nodes)
    node.harmed = True
    return node


_after: Final = Fleet.mend_after


# --- nodes ------------------------------------------------------------------------------------------------


def kill_agent(fleet: Fleet) -> None:
    """kill -9 of an agent; its warden starts another one."""
    _node(fleet).kill_agent()


def pause_agent(fleet: Fleet) -> None:
    """SIGSTOP of an agent, often beyond its lease."""
    agent = _there(_node(fleet).agent)
    agent.pause()
    _after(fleet, 0.2, 2.5 * fleet.ttl, agent.resume)


def upgrade_agent(fleet: Fleet) -> None:
    """An orderly end of an agent, as for an upgrade; the next one often runs only after its lease has ended.

    That harms a node only where the agent could not announce it.
    """
    node = _chosen(fleet, [each for each in fleet.nodes if each.agent is not None and each.agent.alive])

    def ended() -> None:
        node.harmed |= not fleet.declared.is_held(node.name)

    node.upgrade_agent(fleet.world.random.uniform(0.1, min(2 * fleet.ttl, 0.5 * LONGEST_RESTART)), ended)


def stall_agent(fleet: Fleet) -> None:
    """An agent's loop stands still for less than its lease."""
    agent = _there(_node(fleet).agent)
    agent.pause()
    _after(fleet, 0.1, fleet.ttl / 2, agent.resume)


def kill_warden(fleet: Fleet) -> None:
    """kill -9 of a warden: its agent ends what runs."""
    _node(fleet).kill_warden()


def pause_warden(fleet: Fleet) -> None:
    """SIGSTOP of a warden, often beyond the lease: its agent has to kill exclusive attempts."""
    node = _node(fleet)
    warden = _there(node.warden).process
    if node.agent is not None and node.agent.paused:
        raise Spared
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
        node.harmed = True
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
    leader = _there(fleet.leader)
    leader.process.kill()
    _after(fleet, 0.5, 10.0, lambda: fleet.start_scheduler(leader.name))


def kill_follower(fleet: Fleet) -> None:
    """kill -9 of a scheduler that does not lead."""
    followers = [each for each in fleet.schedulers if each.replica.reign is None and each.process.alive]
    follower = _chosen(fleet, followers)
    follower.process.kill()
    _after(fleet, 0.5, 10.0, lambda: fleet.start_scheduler(follower.name))


def kill_schedulers(fleet: Fleet) -> None:
    """All schedulers at once."""
    for scheduler in list(fleet.schedulers):
        scheduler.process.kill()
        _after(fleet, 0.5, 3 * fleet.ttl, partial(fleet.start_scheduler, scheduler.name))


def pause_leader(fleet: Fleet) -> None:
    """SIGSTOP of the leader, often beyond its lease: an old leader wakes up beside a new one."""
    leader = _there(fleet.leader)
    leader.process.pause()
    _after(fleet, 0.2, 3 * fleet.config.leadership.ttl, leader.process.resume)


def stop_scheduler(fleet: Fleet) -> None:
    """An orderly stop, as for an upgrade."""
    living = [each for each in fleet.schedulers if each.process.alive and not each.process.paused]
    scheduler = _chosen(fleet, living)
    scheduler.stop()
    _after(fleet, 1.0, 5.0, lambda: fleet.start_scheduler(scheduler.name))


# --- the relay --------------------------------------------------------------------------------------------


def kill_relay(fleet: Fleet) -> None:
    """kill -9 of the log relay."""
    _there(fleet.relay).process.kill()
    _after(fleet, 0.3, 8.0, fleet.start_relay)


def pause_relay(fleet: Fleet) -> None:
    """SIGSTOP of the log relay."""
    relay = _there(fleet.relay).process
    relay.pause()
    _after(fleet, 0.3, 12.0, relay.resume)


# --- etcd -------------------------------------------------------------------------------------------------


def kill_member(fleet: Fleet) -> None:
    """kill -9 of one member of etcd."""
    member = _chosen(fleet, [each for each in fleet.etcd.members if each.process.alive])
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
    if store.revision <= store.compacted:
        raise Spared
    store.compact(store.revision)


def lose_lease(fleet: Fleet) -> None:
    """A lease ends before its time: an operator revoked it, or etcd lost it.

    Its holder cannot know before its next renewal, and may start processes until the lease would have ended.
    """
    store = fleet.etcd.store
    lease = store.leases[_chosen(fleet, list(store.leases))]
    fleet.effects.lost_leases[lease.id] = lease.ends_at
    _harm_owners(fleet, lease.keys)
    store.revoke(lease.id)


def _harm_owners(fleet: Fleet, keys: Iterable[bytes]) -> None:
    """The sessions of these nodes end, whatever the nodes do."""
    workers = {fleet.record.keys.worker_live(node.name): node for node in fleet.nodes}
    for key in keys:
        if key in workers:
            workers[key].harmed = True


def delete_live(fleet: Fleet) -> None:
    """Somebody deletes a worker's `live` key by hand; its lease goes on."""
    store, prefix = fleet.etcd.store, fleet.record.keys.workers
    lives = [key for key in store.order if key.startswith(prefix) and key.endswith(b"/live")]
    lives = [key for key in lives if store.current(key) is not None]
    live = _chosen(fleet, lives)
    _harm_owners(fleet, [live])
    delete = rpc.DeleteRangeRequest(key=live)
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


def _harm_hosts(fleet: Fleet, hosts: Iterable[Host]) -> None:
    """Ways between these machines are cut or slow: nodes among them may not be reached."""
    bad = set(hosts)
    for node in fleet.nodes:
        node.harmed |= node.host in bad


def partition(fleet: Fleet, kind: str) -> None:
    """Nothing gets through between some machines, in one direction or in both."""
    both = fleet.world.random.random() < 0.6
    backwards = fleet.world.random.random() < 0.5
    pairs = _pairs(fleet, kind)
    if not pairs:
        raise Spared
    _harm_hosts(fleet, (host for pair in pairs for host in pair))
    for here, there in pairs:
        if both or not backwards:
            fleet.network.cut(here, there)
        if both or backwards:
            fleet.network.cut(there, here)
    _after(fleet, 0.3, 3 * fleet.ttl, fleet.network.heal)


def part_from_leader(fleet: Fleet) -> None:
    """One agent and the leader do not reach each other for long; the other replicas reach both."""
    there = _there(fleet.leader).process.host
    here = _node(fleet).host
    fleet.network.cut(here, there)
    fleet.network.cut(there, here)
    _after(fleet, 15.0, 45.0, fleet.network.heal)


def slow_agents(fleet: Fleet) -> None:
    """Every way between agents and schedulers is slow."""
    slow = fleet.world.random.choice((0.1, 0.3, 0.6))
    for node in fleet.nodes:
        node.harmed = True
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
        _harm_hosts(fleet, (here, there))
        fleet.network.weather(here, there).slow = random.choice((0.05, 0.3, 1.5))
    _after(fleet, 1.0, 20.0, fleet.network.heal)


def jump_clock(fleet: Fleet) -> None:
    """The wall clock of a machine is set."""
    host = fleet.world.random.choice(fleet.hosts())
    fleet.declared.clocks_jumped = True
    host.wall_offset += fleet.world.random.choice((-3600.0, -30.0, -1.0, 1.0, 30.0, 3600.0))


def restore(fleet: Fleet, begin: Callable[[Fleet], bool]) -> None:
    """Etcd goes back to a backup."""
    if not begin(fleet):
        raise Spared
