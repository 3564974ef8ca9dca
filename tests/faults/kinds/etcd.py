"""Faults of etcd itself: full, compacted under a watch that lags, defragmented, slow to sync.

Each looks at etcd for evidence that it has happened, and is not counted without.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Final

from tenure_runtime.etcd.errors import EtcdCompacted, EtcdNoSpace
from tenure_runtime.etcd.ops import delete_prefix
from tests.faults import slow_sync
from tests.faults.etcd_metrics import defragmentations, read, slower_syncs, syncs
from tests.faults.fleet import ETCD_QUOTA
from tests.faults.kinds.base import ANY, Fault, Scene, kind
from tests.faults.kinds.processes import OnAllMembers
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

JUNK: Final = b"/junk/"
"""Beside everything that the fleet keeps."""
_PIECE: Final = 1 << 20
_MISSED: Final = 10
"""Revisions that a scheduler has not seen when they are compacted away."""
_WAIT: Final = 30.0


async def until_recorded(scene: Scene) -> int:
    """Wait until the recorder has seen every record of every task up to now; the revision of now.

    What is compacted after that it needs no more, unless its watch breaks at this very moment: then it begins
    anew, misses revisions, and the checks have less to look at.
    """
    found = await scene.store.range(scene.keys.tasks, prefix=True, keys_only=True)
    newest = max((kv.mod_revision for kv in found.kvs), default=0)
    await eventually(lambda: scene.recorded() >= newest, within=_WAIT, what="the recorder has seen all")
    return found.revision


@kind("etcd-full")
class EtcdFull(OnAllMembers):
    """Its quota is used up by somebody else's keys: the alarm NOSPACE, until an operator has made space."""

    hold = ANY

    async def inject(self) -> None:
        with contextlib.suppress(EtcdNoSpace):
            for number in range(2 * ETCD_QUOTA // _PIECE):
                await self.scene.store.put(JUNK + b"%d" % number, bytes(_PIECE))
        await eventually(self._alarmed, within=_WAIT, what="the alarm NOSPACE is raised")

    async def _alarmed(self) -> bool:
        return any(alarm.kind == "NOSPACE" for alarm in await self.scene.store.alarms())

    async def prove(self) -> None:
        assert await self._alarmed(), "the alarm NOSPACE is gone before anybody has made space"
        assert not await self._takes_writes(), "etcd takes writes under its alarm NOSPACE"

    async def heal(self) -> None:
        await self.scene.store.txn((), [delete_prefix(JUNK)])
        await until_recorded(self.scene)
        await eventually(self._let_through, within=_WAIT, what="etcd takes writes again")

    async def _let_through(self) -> bool:
        """Free space as an operator does, and see whether that lasts: the alarm may be raised again."""
        freed = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tenure.cli", "cluster", "free-space", "--json"),
            *("--etcd", ",".join(self.fleet.etcd_addresses)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await freed.communicate()
        assert not freed.returncode, f"tenure cluster free-space: {complaint.decode().strip()}"
        return await self._takes_writes()

    async def _takes_writes(self) -> bool:
        try:
            await self.scene.store.put(JUNK, b"")
        except EtcdNoSpace:
            return False
        return True


@kind("etcd-compacted")
class EtcdCompactedUnderAWatch(Fault):
    """A scheduler stands still, its connections to etcd break, and what its watch must read next is gone."""

    hold = (0.0, 0.5)

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        members = self.fleet.members
        chosen = self.one_of(self.fleet.schedulers, free) if set(members) <= set(free) else []
        return [*chosen, *members] if chosen else []

    async def inject(self) -> None:
        scheduler, *members = self.targets
        self._ways = [way for name in members for way in ((scheduler, name), (name, scheduler))]
        self.fleet.links.cut(self._ways)
        await self.fleet.pause(scheduler)
        # Asked of etcd now: nothing newer can have reached the scheduler.
        behind = (await self.scene.store.count(self.scene.keys.leader)).revision
        missed = behind + _MISSED
        await eventually(
            lambda: self.scene.recorded() >= missed, within=_WAIT, what="others commit meanwhile"
        )
        compacted = await until_recorded(self.scene)
        await self.scene.store.compact(compacted)
        try:
            await self.scene.store.range(self.scene.keys.leader, revision=behind + 1)
        except EtcdCompacted:
            return
        raise AssertionError(f"etcd still has revision {behind + 1} after a compaction at {compacted}")

    async def heal(self) -> None:
        # Reset: what waited in the connections is lost, and the watch has to go on from where it was.
        self.fleet.links.heal(self._ways, reset=True)
        await self.fleet.resume(self.targets[0])


@kind("etcd-defragmented")
class EtcdDefragmented(OnAllMembers):
    """One member after the other writes its file anew, and answers nothing meanwhile."""

    hold = (0.0, 0.5)

    async def inject(self) -> None:
        await self.scene.store.compact(await until_recorded(self.scene))
        for address in self.fleet.etcd_addresses:
            before = defragmentations(await read(address))
            await self.scene.store.defragment(address)
            after = defragmentations(await read(address))
            assert after > before, f"the member at {address} counts no defragmentation"


@kind("etcd-slow-fsync")
class EtcdSlowSync(Fault):
    """Every fsync and fdatasync of one member, or of all, comes late."""

    hold = ANY

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._seconds = scene.rng.choice((0.14, 0.28, 0.55))
        self._all = scene.rng.random() < 1 / 3
        """One machine's disk, or one that they share."""

    def missing(self) -> str:
        return slow_sync.why_not()

    async def choose(self, free: Collection[str]) -> Sequence[str]:
        members = self.fleet.members
        if self._all:
            return members if set(members) <= set(free) else []
        return self.one_of(members, free)

    async def inject(self) -> None:
        for name in self.targets:
            self.fleet.slow_down(name, self._seconds)
        self._before = {name: await self._counts(name) for name in self.targets}

    async def _counts(self, name: str) -> tuple[float, float]:
        """How many syncs there were, and how many of them slow ones."""
        metrics = await read(self.fleet.part(name).address)
        return syncs(metrics), slower_syncs(metrics, self._seconds)

    async def prove(self) -> None:
        await eventually(self._all_are_slow, within=_WAIT, what="the members sync, and each time slowly")

    async def _all_are_slow(self) -> bool:
        return all([await self._is_slow(name) for name in self.targets])

    async def _is_slow(self, name: str) -> bool:
        """At most one sync, which was under way already, has been a fast one."""
        (before, slow_before), (now, slow_now) = self._before[name], await self._counts(name)
        return slow_now > slow_before and now - before <= slow_now - slow_before + 1

    async def heal(self) -> None:
        for name in self.targets:
            self.fleet.slow_down(name, 0.0)
