"""What does one leadership consist of, and in which order does it begin and end?

Everything here is made when the replica wins and dropped when the leadership is over; nothing survives in
memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

from tenure_core.errors import Unavailable
from tenure_core.ids import RANDOM_BYTES, task_id
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.commit import CommitChain
from tenure_runtime.etcd.incarnation import Incarnation
from tenure_runtime.etcd.keys import Keys, Kind
from tenure_runtime.etcd.leadership import Leadership
from tenure_runtime.etcd.leases import WorkerLeases
from tenure_runtime.etcd.watch import PrefixWatch, Snapshot
from tenure_runtime.logging_setup import get_logger
from tenure_scheduler.adapters.callers import RETRY_AFTER
from tenure_scheduler.adapters.directory import Directory
from tenure_scheduler.adapters.housekeeping import Housekeeping
from tenure_scheduler.adapters.loading import Facts, Known, load, read_everything
from tenure_scheduler.adapters.measures import Measures
from tenure_scheduler.adapters.outlets import LeaderOutlets
from tenure_scheduler.adapters.projection import Projection
from tenure_scheduler.adapters.public import TaskWriter
from tenure_scheduler.adapters.sealing import Sealer
from tenure_scheduler.adapters.specs import SpecReader
from tenure_scheduler.adapters.streams import Streams
from tenure_scheduler.adapters.watchers import Watchers
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.commands import ProveLive
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.core import Core
from tenure_scheduler.domain.model import Relay
from tenure_scheduler.shell import Shell, clock

_DRAIN_SECONDS: Final = 0.2
_log = get_logger("leadership")


class Reign:
    """One leadership of this replica, loaded and ready to answer."""

    def __init__(
        self,
        leadership: Leadership,
        core: Core,
        shell: Shell,
        watchers: Watchers,
        writer: TaskWriter,
        specs: SpecReader,
        outlets: LeaderOutlets,
        housekeeping: Housekeeping,
        n: int,
    ) -> None:
        self.leadership = leadership
        self.core = core
        self.shell = shell
        self.watchers = watchers
        self.writer = writer
        self.specs = specs
        self.housekeeping = housekeeping
        self.n = n
        self._outlets = outlets
        self._tasks: list[asyncio.Task[None]] = []
        self._random = b""
        self._offset = 0

    def new_id(self) -> str:
        """An id for a new task; randomness is fetched from the system for many at once."""
        if self._offset >= len(self._random):
            self._random, self._offset = os.urandom(RANDOM_BYTES * 256), 0
        start = self._offset
        self._offset = start + RANDOM_BYTES
        return task_id(self._random[start : self._offset])

    def start(self, client: EtcdClient, keys: Keys) -> None:
        """Begin to decide."""
        self.shell.start()
        self._tasks = [
            asyncio.create_task(self._watch_lives(client, keys), name="watch of live keys"),
            asyncio.create_task(self._watch_meta(client, keys), name="watch of meta keys"),
            asyncio.create_task(self.housekeeping.run(), name="housekeeping"),
        ]

    async def over(self) -> str:
        """Return when this leadership has ended, with the reason."""
        lost = asyncio.create_task(self.leadership.lost.wait(), name="leadership lost")
        try:
            waits: set[asyncio.Future[Any]] = {lost, self.shell.over}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        return self.shell.over.result() if self.shell.over.done() else self.leadership.reason

    async def hand_over(self) -> None:
        """Let the batch in flight finish and what waits for it leave; then give the leadership back."""
        await self.shell.drained(_DRAIN_SECONDS)
        self.shell.end("it hands over")
        await self.leadership.resign()

    async def close(self, streams: Streams, reason: str) -> None:
        """Drop everything; whoever is connected is told to come again, elsewhere."""
        self.shell.end(reason)
        error = Unavailable(f"this replica no longer leads: {reason}", retry_after=RETRY_AFTER)
        streams.close_all(error)
        self.watchers.end_all(error)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._outlets.close()
        await self.shell.close()
        await self.leadership.resign()

    def relays_are(self, relays: Iterable[Relay]) -> None:
        """Tell the core which log relays live."""
        self.shell.post(e.RelaysChanged(tuple(sorted(relays))))

    async def _watch_lives(self, client: EtcdClient, keys: Keys) -> None:
        """Take each deleted `live` as a hint and have it proved; look at all of them at intervals."""
        watch = PrefixWatch(client, keys.workers, resync_interval=self.core.world.config.worker_ttl)
        async with contextlib.aclosing(watch.changes()) as changes:
            async for change in changes:
                if isinstance(change, Snapshot):
                    there = {kv.key for kv in change.kvs}
                    gone = [name for name in self.core.workers() if keys.worker_live(name) not in there]
                else:
                    deleted = (keys.parse(event.key) for event in change.events if event.value is None)
                    gone = [key.name for key in deleted if key is not None and key.kind is Kind.WORKER_LIVE]
                self._prove(gone)

    async def _watch_meta(self, client: EtcdClient, keys: Keys) -> None:
        """Another process may prove that the store went back; an operator may begin another incarnation."""
        watch = PrefixWatch(client, keys.prefix + b"meta/")
        async with contextlib.aclosing(watch.changes()) as changes:
            async for change in changes:
                entries = change.kvs if isinstance(change, Snapshot) else change.events
                for entry in entries:
                    if entry.key == keys.rolled_back and entry.value:
                        self.shell.post(e.RollbackSeen(entry.value.decode(errors="replace")))
                    elif entry.key == keys.incarnation and entry.value != self.leadership.term.incarnation:
                        self.leadership.lose("the cluster has another incarnation")

    def _prove(self, names: Iterable[str]) -> None:
        workers = self.core.workers()
        believed = [(name, workers[name].live_revision) for name in names if name in workers]
        suspects = [(name, revision) for name, revision in believed if revision]
        if suspects:
            self._outlets.prove_live(ProveLive(suspects))


async def begin(
    leadership: Leadership,
    *,
    client: EtcdClient,
    keys: Keys,
    config: CoreConfig,
    projection: Projection,
    directory: Directory,
    leases: WorkerLeases,
    streams: Streams,
    housekeeping: Housekeeping,
    schedulers: Callable[[], list[str]],
    measures: Measures,
) -> Reign:
    """Load the state as of the leadership's own first revision, or later, and make everything that leads."""
    n = Incarnation.decode(leadership.term.incarnation).n
    try:
        core, specs = await _load_core(leadership, client, keys, config, projection, n)
    finally:
        await projection.stop()
    writer = TaskWriter(n, directory.relay_address)
    watchers = Watchers(writer, leadership.revision)
    outlets = LeaderOutlets(
        n=n,
        epoch=leadership.epoch,
        config=config,
        keys=keys,
        leases=leases,
        streams=streams,
        watchers=watchers,
        relay_address=directory.relay_address,
        schedulers=schedulers,
        measures=measures,
    )
    measures.leads(core)
    chain = CommitChain(client, keys, leadership)
    shell = Shell(core, chain, Sealer(core, keys), outlets, leadership)
    outlets.post = shell.post
    waited = clock().boot - core.world.now.boot
    if waited > config.worker_ttl / 3:
        shell.post(e.StallNoticed(waited, "etcd was slow to confirm what the standby knew"))
    housekeeping.on_pressure = lambda pressure: shell.post(e.StoreFilled(pressure))
    _log.info(
        "leading",
        epoch=leadership.epoch,
        incarnation=n,
        tasks=len(core.world.tasks),
        workers=len(core.workers()),
    )
    return Reign(leadership, core, shell, watchers, writer, specs, outlets, housekeeping, n)


async def _load_core(
    leadership: Leadership, client: EtcdClient, keys: Keys, config: CoreConfig, projection: Projection, n: int
) -> tuple[Core, SpecReader]:
    """The core, and what read its specs: from what the standby knows if it is everything, else from etcd."""

    async def made_of(known: Known) -> Core:
        records = await load(known, facts, keys)
        return Core(config, incarnation=n, epoch=leadership.epoch, now=clock(), records=records)

    async with Facts(client, keys, leadership.revision) as facts:
        known = await projection.at_leadership(leadership.revision, leadership.term.incarnation)
        if known is not None:
            core = await made_of(known)
            if await facts.agree(known):
                return core, known.specs
        _log.warning("the standby does not know everything, reading it", revision=leadership.revision)
        known = await read_everything(client, keys)
        return await made_of(known), known.specs
