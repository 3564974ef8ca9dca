"""Who leads, and which replicas and log relays are there?

Small keys on leases, watched by every replica. A hint like every watch: a call that goes to a leader that
has just ended is refused there, and retried.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.watch import PrefixWatch, Snapshot
from tenure_state.v1.cluster_pb2 import Leader, Registration

_RESYNC_SECONDS: Final = 60.0


class LeaderSeen(NamedTuple):
    """The leader as its key shows it."""

    replica: str
    address: str
    mod_revision: int
    process: str = ""


class Place(NamedTuple):
    """A registered server."""

    id: str
    address: str
    version: str
    process: str = ""
    mod_revision: int = 0


class Directory:
    """What this replica sees of the others. `changed` is called after every change."""

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self.leader: LeaderSeen | None = None
        self.current = False
        """Whether etcd tells of every change of the leader; else the one that is known may be gone."""
        self.replicas: dict[str, Place] = {}
        self.relays: dict[str, Place] = {}
        self.changed: Callable[[], None] = lambda: None
        self._client = client
        self._keys = keys
        self._tasks: list[asyncio.Task[None]] = []
        self._change = asyncio.Event()

    def start(self) -> None:
        """Begin to watch."""
        prefixes: dict[bytes, Callable[[bytes, bytes | None, int], None]] = {
            self._keys.leader: self._see_leader,
            self._keys.replicas: partial(self._see, self.replicas),
            self._keys.relays: partial(self._see, self.relays),
        }
        resets = {
            self._keys.leader: self._forget_leader,
            self._keys.replicas: self.replicas.clear,
            self._keys.relays: self.relays.clear,
        }
        self._tasks = [
            asyncio.create_task(self._watch(prefix, see, resets[prefix]), name=f"watch of {prefix.decode()}")
            for prefix, see in prefixes.items()
        ]

    def tell(self) -> None:
        """Something is different: tell whoever waits for that."""
        self._change.set()
        self._change = asyncio.Event()
        self.changed()

    async def change(self) -> None:
        """Return after the next change."""
        await self._change.wait()

    async def close(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def relay_address(self, relay: str) -> str:
        """Where a relay listens; empty when it does not live."""
        place = self.relays.get(relay)
        return place.address if place else ""

    def addresses(self) -> list[str]:
        """Where the replicas listen, by id."""
        return [place.address for _, place in sorted(self.replicas.items())]

    def replaced(self, leader: LeaderSeen) -> bool:
        """Whether another process has taken the leader's name since it was elected: its own has ended."""
        place = self.replicas.get(leader.replica)
        return (
            place is not None
            and place.mod_revision > leader.mod_revision
            and bool(place.process and leader.process)
            and place.process != leader.process
        )

    async def _watch(
        self, prefix: bytes, see: Callable[[bytes, bytes | None, int], None], reset: Callable[[], None]
    ) -> None:
        watch = PrefixWatch(
            self._client,
            prefix,
            resync_interval=_RESYNC_SECONDS,
            on_live=self._live if prefix == self._keys.leader else lambda live: None,
        )
        async with contextlib.aclosing(watch.changes()) as changes:
            async for change in changes:
                if isinstance(change, Snapshot):
                    reset()
                    for kv in change.kvs:
                        see(kv.key, kv.value, kv.mod_revision)
                else:
                    for event in change.events:
                        see(event.key, event.value, event.mod_revision)
                self.tell()

    def _live(self, live: bool) -> None:
        if self.current is not live:
            self.current = live
            self.tell()

    def _forget_leader(self) -> None:
        self.leader = None

    def _see_leader(self, key: bytes, value: bytes | None, revision: int) -> None:
        if key != self._keys.leader:
            return
        self.leader = None
        if value is not None:
            with contextlib.suppress(DecodeError):
                leader = Leader.FromString(value)
                self.leader = LeaderSeen(leader.replica, leader.address, revision, leader.process)

    def _see(self, places: dict[str, Place], key: bytes, value: bytes | None, revision: int) -> None:
        parsed = self._keys.parse(key)
        if parsed is None:
            return
        if value is None:
            places.pop(parsed.name, None)
            return
        with contextlib.suppress(DecodeError):
            found = Registration.FromString(value)
            places[parsed.name] = Place(parsed.name, found.address, found.version, found.process, revision)
