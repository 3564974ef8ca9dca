"""What does one scheduler replica do all its life? Stand by, campaign, lead, and stand by again.

It answers every call: the leader itself, the others by handing the bytes on to the leader. Beats and
questions about the server are answered by whoever is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any, Final

import grpc.aio

from tenure_core.errors import DataLoss, NotLeader
from tenure_runtime.config_sections import TlsConfig
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.election import Election
from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.leadership import Leadership
from tenure_runtime.etcd.leases import WorkerLeases
from tenure_runtime.etcd.registration import Registration
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.rpc.transport import DISPATCH_MESSAGE_BYTES, create_channel
from tenure_scheduler.adapters.beats import Beats
from tenure_scheduler.adapters.callers import RETRY_AFTER
from tenure_scheduler.adapters.directory import Directory
from tenure_scheduler.adapters.housekeeping import Housekeeping
from tenure_scheduler.adapters.leader_probe import LeaderProbe
from tenure_scheduler.adapters.measures import Measures
from tenure_scheduler.adapters.projection import Projection
from tenure_scheduler.adapters.streams import Streams
from tenure_scheduler.config import SchedulerConfig
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.events import StallNoticed
from tenure_scheduler.domain.model import Relay
from tenure_scheduler.reign import Reign, begin
from tenure_scheduler.shell import Shell
from tenure_state.v1.cluster_pb2 import Leader
from tenure_state.v1.cluster_pb2 import Registration as RegistrationRecord

LOCAL_SERVICES: Final = (
    "tenure.v1.ClusterService",
    "tenure.v1.TaskTypeService",
    "tenure.dispatch.v1.WorkerSessionService",
)
"""Healthy on every replica that runs: they are of use without a leader."""
LOCAL_METHODS: Final = frozenset(
    {
        "/tenure.v1.ClusterService/GetServerInfo",
        "/tenure.v1.TaskTypeService/ListTaskTypes",
        "/tenure.v1.TaskTypeService/GetTaskType",
        "/tenure.dispatch.v1.WorkerSessionService/Session",
        "/tenure.dispatch.v1.WorkerSessionService/Beat",
    }
)
"""What every replica answers itself; Session hands on itself what an agent asks it to."""

_CAMPAIGN_PAUSE: Final = 0.2
_COLD_SECONDS: Final = 1.0
_COLD_PAUSE: Final = 0.02
_log = get_logger("replica")


def core_config(config: SchedulerConfig) -> CoreConfig:
    """The core's numbers out of the service's configuration."""
    workers, tasks = config.workers, config.tasks
    return CoreConfig(
        worker_ttl=workers.ttl,
        margin=max(0.5, workers.ttl / 5),
        reattach_grace=workers.reattach_grace,
        start_ack_timeout=workers.start_ack_timeout,
        max_attempts_per_worker=workers.max_attempts,
        storm_share=workers.storm_share,
        storm_pause=workers.storm_pause,
        ageing=tasks.ageing,
        retention=tasks.retention,
        retained_tasks=tasks.retained,
    )


class Replica:
    """One replica. It learns by `settle` how it is called and where the others reach it."""

    def __init__(
        self, config: SchedulerConfig, client: EtcdClient, measures: Measures, *, version: str
    ) -> None:
        self.name = ""
        self.address = ""
        self.config = config
        self.core_config = core_config(config)
        self.reign: Reign | None = None
        """The leadership of this replica, while it leads and is loaded."""
        self.streams = Streams()
        self.stopping = asyncio.Event()
        self.changed = asyncio.Event()
        """Set when `can_serve` may have changed."""
        self.etcd_version = ""
        self._client = client
        self._measures = measures
        self._keys = Keys(config.cluster)
        self._version = version
        self._process = os.urandom(8).hex()
        self.directory = Directory(client, self._keys)
        self.projection = Projection(client, self._keys)
        self._leases = WorkerLeases(client)
        self.beats = Beats(self._leases, self._keys, config.workers.ttl / 4, self._exclusive)
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._registration: Registration | None = None
        self.directory.changed = self._directory_changed

    def settle(self, name: str, address: str) -> None:
        """The server listens: this is its name, and this is where it is reached."""
        self.name, self.address = name, address
        record = RegistrationRecord(id=name, address=address, version=self._version, process=self._process)
        self._registration = Registration(self._client, self._keys.replica(name), record.SerializeToString())

    # --- life ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stand by and lead in turns until `stopping`."""
        assert self._registration is not None, "settle() comes first"
        self.directory.start()
        self._registration.start()
        while not self.stopping.is_set():
            self.projection.start()
            try:
                leadership = await self._campaign()
                if leadership is not None:
                    await self._lead(leadership)
                    await self._pause()
            except EtcdError as error:
                _log.warning("etcd failed while campaigning", reason=str(error))
                await self._pause()
            except DataLoss as error:
                _log.error("cannot lead", reason=error.message)
                await self._pause()

    async def _pause(self) -> None:
        """Let another replica be faster: this one has just failed at something."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CAMPAIGN_PAUSE):
                await self.stopping.wait()

    async def close(self) -> None:
        """End; the caller has set `stopping` and awaited `run`."""
        await self.projection.stop()
        await self.directory.close()
        if self._registration is not None:
            await self._registration.close()
        await self._leases.close()
        for channel in self._channels.values():
            await channel.close(None)
        self._channels.clear()

    async def _campaign(self) -> Leadership | None:
        """Wait until nobody leads, or the leader is over although its key stands, and take its place."""
        election = Election(
            self._client,
            self._keys,
            Leader(replica=self.name, address=self.address, process=self._process).SerializeToString(),
            ttl=self.config.leadership.ttl,
        )
        probe = LeaderProbe(self.directory, self.config.leadership.usurp_after, own_address=self.address)
        vacant = asyncio.create_task(election.vacancy(), name="vacancy")
        dead = asyncio.create_task(probe.dead(), name="leader probe")
        overdue = asyncio.create_task(election.overdue(), name="leader's lease")
        stop = asyncio.create_task(self.stopping.wait(), name="stopping")
        waits: set[asyncio.Task[Any]] = {vacant, dead, overdue, stop}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                return None
            await self._give_way()
            if vacant.done():
                vacant.result()
                return await election.attempt()
            if dead.done():
                revision, why = dead.result().mod_revision, "its process is dead"
            else:
                revision, why = overdue.result().mod_revision, "its lease is as good as over"
            _log.warning("taking the place of the leader", why=why)
            return await election.attempt(usurp=revision)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _give_way(self) -> None:
        """Let another replica be faster while this one, just started, has all the state yet to read."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_COLD_SECONDS):
                while self.directory.replicas.keys() - {self.name}:
                    if self.projection.is_warm:
                        return
                    await asyncio.sleep(_COLD_PAUSE)

    async def _lead(self, leadership: Leadership) -> None:
        try:
            reign = await self._begin(leadership)
        except BaseException:
            await leadership.resign()
            raise
        reason = "it stops"
        self.reign = reign
        reign.start(self._client, self._keys)
        self._directory_changed()
        stop = asyncio.create_task(self.stopping.wait(), name="stopping")
        over = asyncio.create_task(reign.over(), name="leadership over")
        try:
            await asyncio.wait({stop, over}, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                reason = over.result()
                _log.warning("no longer leading", reason=reason)
            else:
                await reign.hand_over()
        finally:
            self.reign = None
            self.changed.set()
            self._measures.ended()
            stop.cancel()
            over.cancel()
            await asyncio.gather(stop, over, return_exceptions=True)
            await reign.close(self.streams, reason)

    async def _begin(self, leadership: Leadership) -> Reign:
        store = self.config.store
        return await begin(
            leadership,
            client=self._client,
            keys=self._keys,
            config=self.core_config,
            projection=self.projection,
            directory=self.directory,
            leases=self._leases,
            streams=self.streams,
            housekeeping=Housekeeping(
                self._client,
                quota_bytes=store.quota,
                refuse_at=store.refuse_at,
                tidy_at=store.tidy_at,
                compact_every=store.compact_every,
            ),
            schedulers=self.addresses,
            measures=self._measures,
        )

    def poster(self) -> Shell | None:
        """Where the leading core takes events; None: this replica does not lead."""
        return self.reign.shell if self.reign is not None else None

    # --- others -------------------------------------------------------------------------------------------

    def addresses(self) -> list[str]:
        """Where all replicas listen, this one first."""
        return [self.address, *(a for a in self.directory.addresses() if a != self.address)]

    def leader_address(self) -> str:
        """Where the leader is, as far as it is known; empty: none is."""
        if self.reign is not None:
            return self.address
        leader = self.directory.leader
        return leader.address if leader is not None and leader.replica != self.name else ""

    def can_serve(self) -> bool:
        """Whether a call for the leader would find it: here, or where etcd says at this moment that it is."""
        if self.stopping.is_set():
            return False
        return self.reign is not None or (self.directory.current and bool(self.leader_address()))

    async def route(self, method: str) -> grpc.aio.Channel | None:
        """Where a method is served: None here, else the leader's channel; NotLeader when none is known."""
        if self.reign is not None or method in LOCAL_METHODS:
            return None
        channel = self.leader_channel()
        if channel is None:
            raise NotLeader("no replica leads at present", retry_after=RETRY_AFTER)
        return channel

    def leader_channel(self) -> grpc.aio.Channel | None:
        """The way to the leader; None: it is here, or nobody is known to lead."""
        address = self.leader_address() if self.reign is None else ""
        return self._channel(address) if address else None

    def _channel(self, address: str) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            # What agents say passes as well: their messages are larger than those of users may be.
            channel = create_channel(address, self._tls, max_message_bytes=DISPATCH_MESSAGE_BYTES)
            self._channels[address] = channel
        return channel

    @property
    def _tls(self) -> TlsConfig | None:
        return self.config.tls if self.config.tls.on else None

    def leading(self) -> Reign:
        """The leadership of this replica; NotLeader when it ended since the call was routed here."""
        if self.reign is None:
            raise NotLeader(
                "this replica no longer leads", leader=self.leader_address(), retry_after=RETRY_AFTER
            )
        return self.reign

    def stalled(self, seconds: float) -> None:
        """This process stood still: what it missed meanwhile must not count against workers."""
        if self.reign is not None and seconds > self.core_config.worker_ttl / 3:
            self.reign.shell.post(StallNoticed(seconds, "the scheduler's process stood still"))

    def info(self) -> tuple[bool, int, int]:
        """Whether it leads, the incarnation and the epoch, as far as they are known."""
        reign = self.reign
        if reign is not None:
            return True, reign.n, reign.leadership.epoch
        return False, self.projection.incarnation, self.projection.epoch

    def _directory_changed(self) -> None:
        self.changed.set()
        reign, relays = self.reign, self.directory.relays
        if reign is not None:
            reign.relays_are(Relay(place.id, place.address) for place in relays.values())

    def _exclusive(self, worker: str) -> list[str]:
        """Fences of the worker's attempts that end with its lease."""
        if self.reign is not None:
            return self.reign.core.exclusive_fences(worker)
        return self.projection.exclusive(worker)
