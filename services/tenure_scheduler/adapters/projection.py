"""What does a standby remember, so that it can lead at once?

Every key of the cluster as raw bytes, kept current by one watch, and what `WarmTasks` has decoded of the
tasks. When this replica wins, the projection is complete if the watch has delivered its own leader key: a
watch has no gaps, so everything before that key is here. Counts are compared all the same (`loading`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from tenure_core.errors import DataLoss
from tenure_core.states import OnDisconnect
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.incarnation import Incarnation
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.position import Position
from tenure_runtime.etcd.watch import PrefixWatch, Snapshot
from tenure_scheduler.adapters.loading import Known, specs_apart
from tenure_scheduler.adapters.records import decode_own, decode_task
from tenure_scheduler.adapters.specs import SpecReader
from tenure_scheduler.adapters.warm import Raw, WarmTasks
from tenure_scheduler.domain.index import TaskIndex
from tenure_scheduler.domain.model import Task
from tenure_scheduler.domain.profiles import Interner
from tenure_state.v1.worker_pb2 import Ownership

_COMPLETE_WITHIN: Final = 1.0
_GATHER_SECONDS: Final = 0.02
"""How far behind a standby that has caught up may be: it takes many small changes in one go."""
_LITTLE: Final = 2_000
"""So many records are read in some hundredths of a second."""
_CAUGHT_UP_SECONDS: Final = 0.001
"""A change that had to be waited for this long was the last one."""


class Projection:
    """The raw keys of one cluster at one replica."""

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self.revision = 0
        self._client = client
        self._keys = keys
        self._tasks: dict[bytes, Raw] = {}
        """The task records; `_raw` has all other keys."""
        self._raw: dict[bytes, Raw] = {}
        self._own_changed: dict[bytes, None] = {}
        self._owners: dict[bytes, Ownership] = {}
        self._advanced = asyncio.Event()
        self._hurry = asyncio.Event()
        """This replica has won: everything is to be known at once."""
        self._specs = SpecReader(Interner())
        self._warm = WarmTasks(self._record, self._decode, self._keys.task_id)
        self._following: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow."""
        if self._following is None:
            self._hurry.clear()
            self._specs = SpecReader(Interner())
            self._warm = WarmTasks(self._record, self._decode, self._keys.task_id)
            self._warming = asyncio.create_task(self._warm.run(), name="warming up")
            self._following = asyncio.create_task(self._follow(), name="projection")

    async def stop(self) -> None:
        """Stop following and forget everything."""
        for task in (self._following, self._warming):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._following = self._warming = None
        self._raw, self._tasks, self._own_changed, self._owners = {}, {}, {}, {}
        self.revision = 0

    def _record(self, key: bytes) -> Raw | None:
        return self._tasks.get(key)

    def _decode(self, key: bytes, entry: Raw) -> Task:
        apart = specs_apart(self._raw, self._keys)
        return decode_task(
            self._keys.task_id(key), entry.value or b"", entry.mod_revision, self._specs, apart
        )

    async def _follow(self) -> None:
        """Follow one life of the cluster after the other."""
        while True:
            await self._follow_incarnation()
            self.revision = 0

    async def _follow_incarnation(self) -> None:
        """Returns when another incarnation begins: what is known may be of a store that was put back since.

        A watch that was interrupted goes on where it was, also in another store that got as far meanwhile.
        """
        watch = PrefixWatch(self._client, self._keys.prefix)
        own_prefix, task_prefix = self._keys.owns, self._keys.tasks
        clock = asyncio.get_running_loop().time
        async with contextlib.aclosing(watch.changes()) as changes:
            asked_at = clock()
            async for change in changes:
                caught_up = clock() - asked_at > _CAUGHT_UP_SECONDS
                if isinstance(change, Snapshot):
                    self._tasks, self._raw = {}, {}
                    for kv in change.kvs:
                        (self._tasks if kv.key.startswith(task_prefix) else self._raw)[kv.key] = kv
                    self._warm.begin(self._tasks)
                    self._owners = {}
                    self._own_changed = {key: None for key in self._raw if key.startswith(own_prefix)}
                else:
                    own_changed, changed = self._own_changed, []
                    for event in change.events:
                        key, is_task = event.key, event.key.startswith(task_prefix)
                        into = self._tasks if is_task else self._raw
                        if event.value is None:
                            into.pop(key, None)
                        else:
                            into[key] = event
                        if is_task:
                            changed.append(key)
                        elif key.startswith(own_prefix):
                            own_changed[key] = None
                        elif key == self._keys.incarnation:
                            return
                    if changed:
                        self._warm.changed(changed)
                self.revision = change.revision
                self._advanced.set()
                if caught_up:
                    # It would be woken by every commit of the leader, and often share a processor with it.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_GATHER_SECONDS):
                            await self._hurry.wait()
                asked_at = clock()

    # --- winning ------------------------------------------------------------------------------------------

    async def at_leadership(self, revision: int, incarnation: bytes) -> Known | None:
        """Everything as of `revision` or later, at which this replica's leader key was written.

        None: it is not everything. Task records do not change after that revision without us, so later is as
        good. The answer does not change any more, while registrations and lives go on changing here. Who
        knows of another `incarnation` than the one that is led missed a restore.
        """
        if self._warming is not None:
            self._warming.cancel()
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_COMPLETE_WITHIN):
                while self.revision < revision:
                    self._advanced.clear()
                    await self._advanced.wait()
        leader, life = self._raw.get(self._keys.leader), self._raw.get(self._keys.incarnation)
        is_own = leader is not None and leader.mod_revision == revision
        if not is_own or life is None or life.value != incarnation:
            return None
        unread = {}
        for key in self._warm.stale:
            self._warm.index.remove(self._keys.task_id(key))
            if (entry := self._tasks.get(key)) is not None:
                unread[key] = entry
        # A leader goes on with these very objects: nobody else may.
        index, self._warm.index = self._warm.index, TaskIndex()
        if len(index.tasks) + len(unread) != len(self._tasks):
            return None
        return Known(self._raw | unread, index, len(self._tasks), self._specs)

    @property
    def is_warm(self) -> bool:
        """Whether little is left to be read before this replica could lead."""
        return self.revision > 0 and self._warm.unread <= _LITTLE

    @property
    def warm(self) -> Mapping[str, Task]:
        """Tasks whose records are decoded by now, by id."""
        return self._warm.index.tasks

    @property
    def incarnation(self) -> int:
        """First part of every fence; 0: not known yet."""
        raw = self._raw.get(self._keys.incarnation)
        return Incarnation.decode(raw.value).n if raw is not None and raw.value else 0

    @property
    def epoch(self) -> int:
        """Number of the newest leadership; 0: not known yet."""
        raw = self._raw.get(self._keys.commit)
        return Position.decode(raw.value).epoch if raw is not None and raw.value else 0

    # --- following ----------------------------------------------------------------------------------------

    def exclusive(self, worker: str) -> list[str]:
        """Fences of the worker's attempts that may go on only while its lease lives."""
        n = self.incarnation
        changed, self._own_changed = self._own_changed, {}
        for key in changed:
            raw = self._raw.get(key)
            if raw is None or not raw.value:
                self._owners.pop(key, None)
            elif self._is_exclusive(key) and (owner := decode_own(raw.value)) is not None:
                self._owners[key] = owner
            else:
                self._owners.pop(key, None)
        prefix = len(self._keys.owns)
        return [
            f"{n}.{key[prefix:].decode()}.{owner.attempt}"
            for key, owner in self._owners.items()
            if owner.worker == worker
        ]

    def _is_exclusive(self, own_key: bytes) -> bool:
        """Whether a task is one; what is absent, or whose spec is not there yet, counts as none."""
        task_id = own_key[len(self._keys.owns) :].decode()
        key = self._keys.task(task_id)
        task, found = self.warm.get(task_id), self._tasks.get(key)
        if task is None and found is not None:
            with contextlib.suppress(DataLoss):
                task = self._decode(key, found)
        return task is not None and task.profile.on_disconnect is OnDisconnect.STOP
