"""What has to happen at the right moments, so that the loss of a guard comes to light?

Plans of faults for those mutations that drawn faults bring to light too rarely.
"""

from __future__ import annotations

from tests.simulation import faults, restores
from tests.simulation.fleet import Fleet
from tests.simulation.nodes import Node


def cut_from_leader_with_old_news(fleet: Fleet) -> None:
    """As `cut_from_leader`; and the other replica's watch is behind."""

    def stall() -> None:
        for member in fleet.etcd.members:
            member.watches_stall = True

    fleet.world.later(6.0, stall)
    cut_from_leader(fleet)


def cut_from_leader(fleet: Fleet) -> None:
    """All agents but one are cut from the leader for long, and beat at the other replica."""

    def cut() -> None:
        leader = fleet.leader
        if leader is None:
            fleet.world.later(0.5, cut)
            return
        for node in fleet.nodes[1:]:
            fleet.network.cut(node.host, leader.process.host)
            fleet.network.cut(leader.process.host, node.host)

    fleet.broken += 1
    fleet.world.later(6.0, cut)
    fleet.world.later(60.0, lambda: setattr(fleet, "broken", fleet.broken - 1))


def overtaken_hellos(fleet: Fleet) -> None:
    """Again and again an agent dies whose hello is still on its way, and its successor's is faster."""
    random = fleet.world.random
    fleet.broken += 1

    def slow(node: Node, seconds: float) -> None:
        for scheduler in fleet.schedulers:
            fleet.network.weather(node.host, scheduler.process.host).slow = seconds
        node.kill_agent()

    def overtake(node: Node) -> None:
        if fleet.world.now < 45.0:
            slow(node, 4.0)
            fleet.world.later(0.5, slow, node, 0.0)
            fleet.world.later(random.uniform(5.0, 8.0), overtake, node)

    for node in fleet.nodes:
        fleet.world.later(random.uniform(2.0, 6.0), overtake, node)
    fleet.world.later(60.0, lambda: setattr(fleet, "broken", fleet.broken - 1))


def restore_under_running_schedulers(fleet: Fleet) -> None:
    """Nobody stops the schedulers before the store goes back, nor soon after."""
    fleet.broken += 1

    def begin() -> None:
        restores.under_running_schedulers(fleet)
        fleet.broken -= 1

    fleet.world.later(4.0, begin)


def kill_relay_with_slow_disk(fleet: Fleet) -> None:
    """The relay's disk is slow, and it is killed again and again while output waits for it."""
    fleet.relay_host.disk_delay = (0.05, 0.5)
    fleet.broken += 1

    def kill() -> None:
        if fleet.world.now > 25.0:
            fleet.broken -= 1
            return
        faults.kill_relay(fleet)
        fleet.world.later(fleet.world.random.uniform(2.0, 9.0), kill)

    fleet.world.later(3.0, kill)


def fill_etcd_while_nodes_restart(fleet: Fleet) -> None:
    """Nodes come back as other instances while nothing can be stored, and their old leases end meanwhile."""

    def fill() -> None:
        fleet.etcd.store.no_space = True
        for node in fleet.nodes:
            fleet.world.later(1.0, node.kill_node)
            fleet.world.later(2.0, node.start_again)

    def freed() -> None:
        fleet.etcd.store.no_space = False
        fleet.broken -= 1

    fleet.broken += 1
    fleet.world.later(3.0, fill)
    fleet.world.later(fleet.world.random.uniform(8.0, 14.0), freed)


def pause_between_beat_and_answer(fleet: Fleet) -> None:
    """Beats are slow, and agents are stopped again and again for longer than their lease."""
    random = fleet.world.random
    fleet.broken += 1
    for node in fleet.nodes:
        for scheduler in fleet.schedulers:
            fleet.network.weather(node.host, scheduler.process.host).slow = 0.5
            fleet.network.weather(scheduler.process.host, node.host).slow = 0.5

    def pause(node: Node) -> None:
        agent = node.agent
        if fleet.world.now < 60.0 and agent is not None:
            agent.pause()
            fleet.world.later(14.0, agent.resume)
            fleet.world.later(14.0 + random.uniform(3.0, 6.0), pause, node)

    for node in fleet.nodes:
        fleet.world.later(random.uniform(4.0, 8.0), pause, node)
    fleet.world.later(80.0, lambda: setattr(fleet, "broken", fleet.broken - 1))


def lose_all_but_one(fleet: Fleet) -> None:
    """One after the other, but within seconds, all nodes but one are killed for long."""
    random = fleet.world.random
    fleet.broken += 1
    for node in fleet.nodes[1:]:
        node.harmed = True
        fleet.world.later(random.uniform(4.0, 8.0), node.kill_node)
    fleet.world.later(60.0, lambda: setattr(fleet, "broken", fleet.broken - 1))


def stall_the_only_scheduler(fleet: Fleet) -> None:
    """Again and again, for almost as long as the workers' leases last and less long than its own does."""
    random = fleet.world.random
    fleet.broken += 1

    def stall() -> None:
        leader = fleet.leader
        if fleet.world.now > 60.0:
            fleet.broken -= 1
            return
        if leader is not None:
            leader.process.pause()
            fleet.world.later(random.uniform(0.8, 1.0) * fleet.ttl, leader.process.resume)
        fleet.world.later(random.uniform(3.0, 6.0) * fleet.ttl, stall)

    fleet.world.later(4.0, stall)


def schedulers_return_before_the_network(fleet: Fleet) -> None:
    """All schedulers are gone for longer than every lease, and are back long before agents reach them."""

    def cut() -> None:
        faults.kill_schedulers(fleet)
        for node in fleet.nodes:
            node.harmed = True
            for host in fleet.scheduler_hosts.values():
                fleet.network.cut(node.host, host)
                fleet.network.cut(host, node.host)

    fleet.broken += 1
    fleet.world.later(4.0, cut)
    fleet.world.later(80.0, lambda: setattr(fleet, "broken", fleet.broken - 1))
