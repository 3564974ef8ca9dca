"""Is a leader's process taken for dead when it is, and only then? With real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from tenure_runtime.etcd.keys import Keys
from tenure_scheduler.adapters.directory import Directory, LeaderSeen, Place
from tenure_scheduler.adapters.leader_probe import LeaderProbe
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.ports import Ports

REFUSED_FOR = 0.6


class Leader:
    """Something that listens where the leader is said to be, and can stop."""

    def __init__(self, port: int) -> None:
        self.seen = LeaderSeen("s1", f"127.0.0.1:{port}", 7, process="first")
        self.directory = Directory(cast("Any", None), Keys("probed"))
        """Never started: what it would have seen in etcd is put into it."""
        self.directory.leader = self.seen
        self.registered("first", 5)
        self.visitors = 0
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._once = False

    def registered(self, process: str, revision: int) -> None:
        """What a standby sees when a process registers under the leader's name."""
        self.directory.replicas["s1"] = Place("s1", self.seen.address, "1", process, revision)
        self.directory.tell()

    async def listen(self, *, once: bool = False) -> None:
        """Accept connections; `once`: one, which ends at once, with the listener closed before."""
        self._once = once
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def _accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visitors += 1
        self._writers.append(writer)
        if self._once:
            self.die()

    def die(self) -> None:
        """As a killed process: nobody listens, every connection is gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@pytest.fixture
async def leader(ports: Ports) -> AsyncIterator[Leader]:
    leader = Leader(ports.take())
    yield leader
    leader.die()


async def watching(leader: Leader) -> asyncio.Task[LeaderSeen]:
    """A probe that holds its connection."""
    probe = LeaderProbe(leader.directory, REFUSED_FOR, own_address="127.0.0.1:1")
    dead = asyncio.create_task(probe.dead())
    await eventually(lambda: leader.visitors == 1, what="the probe holds a connection")
    return dead


async def test_a_leader_that_is_gone_is_dead(leader: Leader) -> None:
    await leader.listen()
    dead = await watching(leader)
    leader.die()
    assert await asyncio.wait_for(dead, 10) == leader.seen


async def test_a_leader_that_was_seen_dead_stays_so_after_a_disturbance(leader: Leader) -> None:
    """Somebody answers at its port once, then nobody for good, and no connection can be held any more."""
    await leader.listen()
    dead = await watching(leader)
    leader.die()
    await leader.listen(once=True)
    await eventually(lambda: leader.visitors == 2, what="the probe was disturbed")
    assert await asyncio.wait_for(dead, 10) == leader.seen


async def test_a_leader_that_only_broke_its_connection_lives(leader: Leader) -> None:
    await leader.listen()
    dead = await watching(leader)
    leader.die()
    await leader.listen()
    await eventually(lambda: leader.visitors >= 2, what="the probe asks again")
    await asyncio.sleep(2 * REFUSED_FOR)
    assert not dead.done()
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)


async def test_a_leader_whose_process_was_started_again_is_dead(leader: Leader) -> None:
    """Its supervisor may be faster than anybody can see that connections are refused."""
    await leader.listen()
    dead = await watching(leader)
    leader.registered("second", 9)
    assert await asyncio.wait_for(dead, 10) == leader.seen


@pytest.mark.parametrize(("process", "revision"), [("before", 5), ("first", 9), ("", 9)])
async def test_a_registration_that_says_nothing_of_the_leader_is_no_proof(
    leader: Leader, process: str, revision: int
) -> None:
    """From before it was elected, of the same process once more, or of a version that names none."""
    await leader.listen()
    dead = await watching(leader)
    leader.registered(process, revision)
    await asyncio.sleep(2 * REFUSED_FOR)
    assert not dead.done()
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)
