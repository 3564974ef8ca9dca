"""Faults of processes: killed as by kill -9, stopped as by SIGSTOP, one or all of a kind."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.faults.kinds.base import ANY, BEYOND_TTL, WITHIN_TTL, Fault, kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class OnWorker(Fault):
    """Acts on one node."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of(self.fleet.agents, free)


class OnRelay(Fault):
    """Acts on one log relay."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of(self.fleet.relays, free)


class OnMember(Fault):
    """Acts on one member of etcd."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.one_of(self.fleet.members, free)


class OnLeader(Fault):
    """Acts on the scheduler that leads."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        leader = await self.scene.leader()
        return [leader] if leader in free else []


class OnFollower(Fault):
    """Acts on a scheduler that does not lead."""

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        leader = await self.scene.leader()
        return self.one_of([name for name in self.fleet.schedulers if name != leader], free) if leader else []


class OnAll(Fault):
    """Acts on every part of one kind."""

    def all(self) -> list[str]:
        """Their names."""
        raise NotImplementedError

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        return self.all() if set(self.all()) <= set(free) else []


class OnAllMembers(OnAll):
    def all(self) -> list[str]:
        return self.fleet.members


class OnAllSchedulers(OnAll):
    def all(self) -> list[str]:
        return self.fleet.schedulers


class OnAllWorkers(OnAll):
    def all(self) -> list[str]:
        return self.fleet.agents


class Killed(Fault):
    """Down with everything below it, and up again some time later."""

    async def inject(self) -> None:
        await self.fleet.take_down(self.targets)

    async def heal(self) -> None:
        await self.fleet.bring_up(self.targets)


class Frozen(Fault):
    """Silent: connections stay open and nothing is answered."""

    hold = BEYOND_TTL

    async def inject(self) -> None:
        for name in self.targets:
            await self.fleet.pause(name)

    async def heal(self) -> None:
        for name in self.targets:
            await self.fleet.resume(name)


@kind("node-killed")
class NodeKilled(Killed, OnWorker):
    """Agent, warden and tasks at once, as a power cut does."""


@kind("node-frozen")
class NodeFrozen(Frozen, OnWorker):
    """Agent, warden and tasks at once, as a hanging host does."""


@kind("relay-killed")
class RelayKilled(Killed, OnRelay):
    pass


@kind("relay-frozen")
class RelayFrozen(Frozen, OnRelay):
    pass


@kind("leader-killed")
class LeaderKilled(Killed, OnLeader):
    pass


@kind("leader-frozen")
class LeaderFrozen(Frozen, OnLeader):
    """Its successor has decided much before it wakes up."""


@kind("follower-killed")
class FollowerKilled(Killed, OnFollower):
    pass


@kind("follower-frozen")
class FollowerFrozen(Frozen, OnFollower):
    pass


@kind("etcd-member-killed")
class MemberKilled(Killed, OnMember):
    pass


@kind("etcd-member-frozen")
class MemberFrozen(Frozen, OnMember):
    pass


@kind("etcd-all-killed")
class AllMembersKilled(Killed, OnAllMembers):
    pass


@kind("etcd-all-frozen")
class AllMembersFrozen(Frozen, OnAllMembers):
    """On waking up, etcd finds every lease expired."""


@kind("schedulers-all-killed")
class AllSchedulersKilled(Killed, OnAllSchedulers):
    pass


@kind("fleet-lost")
class FleetLost(Killed, OnAllWorkers):
    """A storm: every node at once."""


@kind("leader-stalled")
class LeaderStalled(Frozen, OnLeader):
    """Its event loop stands still for less than a term."""

    hold = WITHIN_TTL


@kind("agent-killed")
class AgentKilled(OnWorker):
    """The agent alone; its warden starts another at once."""

    hold = (0.5, 1.0)

    async def inject(self) -> None:
        os.kill(await self.fleet.agent_pid(self.targets[0]), signal.SIGKILL)


class _AgentStopped(OnWorker):
    """The agent alone is stopped; the warden and the tasks go on."""

    pid = 0

    async def inject(self) -> None:
        self.pid = await self.fleet.agent_pid(self.targets[0])
        os.kill(self.pid, signal.SIGSTOP)

    async def heal(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@kind("agent-frozen")
class AgentFrozen(_AgentStopped):
    """The warden alone keeps the deadline of exclusive tasks."""

    hold = BEYOND_TTL


@kind("agent-stalled")
class AgentStalled(_AgentStopped):
    """Its event loop stands still for less than a term."""

    hold = WITHIN_TTL


@kind("warden-killed")
class WardenKilled(OnWorker):
    """The warden alone; the node's supervisor starts it again."""

    hold = (0.5, 1.0)

    async def inject(self) -> None:
        await self.fleet.kill(self.targets[0])


@kind("warden-frozen")
class WardenFrozen(OnWorker):
    """The agent alone keeps the deadline of exclusive tasks."""

    hold = ANY

    async def inject(self) -> None:
        await self.fleet.signal(self.targets[0], signal.SIGSTOP)

    async def heal(self) -> None:
        await self.fleet.signal(self.targets[0], signal.SIGCONT)


@kind("agent-told-to-end")
class AgentToldToEnd(OnWorker):
    """SIGTERM, as an upgrade sends it: tasks run on and are taken up again."""

    hold = (0.5, 1.0)

    async def inject(self) -> None:
        os.kill(await self.fleet.agent_pid(self.targets[0]), signal.SIGTERM)


@kind("warden-upgraded")
class WardenUpgraded(OnWorker):
    """SIGHUP: it executes itself anew in place, with all children."""

    hold = (0.5, 1.0)

    async def inject(self) -> None:
        await self.fleet.signal(self.targets[0], signal.SIGHUP)


@kind("leader-told-to-end")
class LeaderToldToEnd(OnLeader):
    """SIGTERM: a hand-over."""

    hold = (0.5, 1.0)

    async def inject(self) -> None:
        await self.fleet.signal(self.targets[0], signal.SIGTERM)
