"""What does a standby remember, so that it can lead at once?

Every key of the cluster as raw bytes, kept current by one watch, and what `WarmTasks` has decoded of the
tasks. When this replica wins, the projection is complete if the watch has delivered its own leader key: a
watch has no gaps, so everything before that key is here. Counts are compared all the same; if anything
disagrees, everything is read anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from tenure_core.errors import DataLoss
from tenure_core.states import OnDisconnect
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.incarnation import History, Incarnation
from tenure_runtime.etcd.keys import Keys, Kind
from tenure_runtime.etcd.position import Position
from tenure_runtime.etcd.watch import PrefixWatch, Snapshot
from tenure_runtime.logging_setup import get_logger
from tenure_scheduler.adapters.records import Apart, damaged, decode_live, decode_task, decode_worker
from tenure_scheduler.adapters.specs import SpecReader
from tenure_scheduler.adapters.warm import Raw, WarmTasks
from tenure_scheduler.domain.load import Records
from tenure_scheduler.domain.model import Damaged, Task, Worker
from tenure_scheduler.domain.profiles import Interner
from tenure_state.v1.task_pb2 import WatchFloor
from tenure_state.v1.worker_pb2 import Ownership

_COMPLETE_WITHIN: Final = 1.0
_GATHER_SECONDS: Final = 0.02
"""How far behind a standby that has caught up may be: it takes many small changes in one go."""
_CAUGHT_UP_SECONDS: Final = 0.001
"""A change that had to be waited for this long was the last one."""
_TOLD_DAMAGED: Final = 20
_log = get_logger("projection")


class Known(NamedTuple):
    """What a new leader begins with; nothing of it changes any more."""

    raw: dict[bytes, Raw]
    """Every key but those of `warm`."""
    warm: list[Task]
    """Tasks whose records are decoded already."""
    specs: SpecReader
    """Read their specs."""


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
        self._specs = SpecReader(Interner())
        self._warm = WarmTasks(self._record, self._decode)
        self._following: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow."""
        if self._following is None:
            self._specs = SpecReader(Interner())
            self._warm = WarmTasks(self._record, self._decode)
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
        task_id = key[len(self._keys.tasks) :].decode(errors="replace")
        apart = _apart(self._raw, self._keys)
        return decode_task(task_id, entry.value or b"", entry.mod_revision, self._specs, apart)

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
                    await asyncio.sleep(_GATHER_SECONDS)
                asked_at = clock()

    # --- winning ------------------------------------------------------------------------------------------

    async def at_leadership(self, revision: int, incarnation: bytes) -> Known:
        """Everything as of `revision` or later, at which this replica's leader key was written.

        Task records do not change after that revision without us, so later is as good. The answer does not
        change any more, while registrations and lives go on changing here. Who knows of another `incarnation`
        than the one that is led missed a restore.
        """
        if self._warming is not None:
            self._warming.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_COMPLETE_WITHIN):
                while self.revision < revision:
                    self._advanced.clear()
                    await self._advanced.wait()
        leader, life = self._raw.get(self._keys.leader), self._raw.get(self._keys.incarnation)
        is_own = leader is not None and leader.mod_revision == revision
        same = life is not None and life.value == incarnation
        if is_own and same and await self._agrees(revision):
            stale, warm = self._warm.stale, self._warm.tasks
            unread = {key: self._tasks[key] for key in stale if key in self._tasks}
            current = [task for key, task in warm.items() if key not in stale] if stale else [*warm.values()]
            if len(current) + len(unread) == len(self._tasks):
                # A leader goes on with these very objects: nobody else may.
                self._warm.tasks = {}
                return Known(self._raw | unread, current, self._specs)
        _log.warning("the projection is not complete, reading everything", revision=revision)
        found = await self._client.range(self._keys.prefix, prefix=True)
        return Known({kv.key: kv for kv in found.kvs}, [], self._specs)

    async def _agrees(self, revision: int) -> bool:
        """Whether counts, and registrations in full, are what etcd says of that revision."""
        keys, raw = self._keys, self._raw
        registrations = await self._client.range(keys.workers, prefix=True, revision=revision)
        for kv in registrations.kvs:
            mine = raw.get(kv.key)
            if kv.key.endswith(b"/reg") and (mine is None or mine.value != kv.value):
                return False
        specs = sum(key.startswith(keys.specs) for key in raw)
        for prefix, known in ((keys.tasks, len(self._tasks)), (keys.specs, specs)):
            if (await self._client.count(prefix, revision=revision))[2] != known:
                return False
        return True

    @property
    def warm(self) -> Mapping[bytes, Task]:
        """Task records that are decoded by now, by key."""
        return self._warm.tasks

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
            elif self._is_exclusive(key) and (owner := _owner(raw.value)) is not None:
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
        key = self._keys.task(own_key[len(self._keys.owns) :].decode())
        task, found = self.warm.get(key), self._tasks.get(key)
        if task is None and found is not None:
            with contextlib.suppress(DataLoss):
                task = self._decode(key, found)
        return task is not None and task.profile.on_disconnect is OnDisconnect.STOP


def _apart(raw: Mapping[bytes, Raw], keys: Keys) -> Apart:
    """Finds specs that have a key of their own."""

    def find(task_id: str) -> bytes | None:
        found = raw.get(keys.spec(task_id))
        return found.value if found is not None else None

    return find


async def load(known: Known, client: EtcdClient, keys: Keys) -> Records:
    """Decode what is not yet; whether workers live is read anew, since `live` keys vanish by themselves.

    A task whose record is damaged is set aside; any other key that cannot be read raises DataLoss. Gives the
    loop a chance to run between portions: the leader's lease has to be renewed meanwhile.
    """
    raw, tasks, specs = known
    spoilt: list[Damaged] = []
    workers: dict[str, Worker] = {}
    owns: list[tuple[str, int, int]] = []
    floor = WatchFloor()
    task_prefix, apart = keys.tasks, _apart(raw, keys)
    began, history = _lives_of_the_cluster(raw, keys)
    for task in tasks:
        if task.revision < began:
            _name_incarnation(task, history.at(task.revision))
    for index, (key, entry) in enumerate(raw.items()):
        if index % 2000 == 1999:
            await asyncio.sleep(0)
        value = entry.value or b""
        if key.startswith(task_prefix):
            task_id = key[len(task_prefix) :].decode(errors="replace")
            try:
                task = decode_task(task_id, value, entry.mod_revision, specs, apart)
            except DataLoss as error:
                spoilt.append(damaged(task_id, value, error.message))
            else:
                tasks.append(task)
                if entry.mod_revision < began:
                    _name_incarnation(task, history.at(entry.mod_revision))
            continue
        parsed = keys.parse(key)
        if parsed is None:
            continue
        if parsed.kind is Kind.OWN:
            if (own := _owner(value)) is not None:
                owns.append((parsed.name, own.attempt, own.session))
        elif parsed.kind is Kind.WORKER_REG:
            with _readable(key):
                workers[parsed.name] = decode_worker(parsed.name, value)
        elif parsed.kind is Kind.META and parsed.name == "watch_floor":
            with _readable(key):
                floor = WatchFloor.FromString(value)
    _tell(spoilt, keys)
    lives = await _lives(client, keys, workers)
    alarm = raw.get(keys.rolled_back)
    return Records(
        tasks,
        list(workers.values()),
        lives,
        owns,
        floor=floor.revision,
        began=began,
        alarm=(alarm.value or b"").decode(errors="replace") if alarm is not None else "",
        next_sequence=floor.next_sequence or 1,
        damaged=spoilt,
    )


def _lives_of_the_cluster(raw: Mapping[bytes, Raw], keys: Keys) -> tuple[int, History]:
    """The revision at which the present incarnation began, and those before it."""
    present, earlier = raw.get(keys.incarnation), raw.get(keys.incarnations)
    if present is None or earlier is None or earlier.value is None:
        return 0, History()
    with _readable(keys.incarnations):
        return present.mod_revision, History.decode(earlier.value)


def _name_incarnation(task: Task, n: int) -> None:
    """Attempts of an earlier incarnation keep its n in their fences: their logs lie under it."""
    for attempt in task.attempts:
        attempt.n = attempt.n or n


def _owner(value: bytes) -> Ownership | None:
    """What an `own` key says; None if it is damaged: it is evidence for people, the task's record decides."""
    try:
        return Ownership.FromString(value)
    except DecodeError:
        return None


@contextlib.contextmanager
def _readable(key: bytes) -> Iterator[None]:
    """Turn what is wrong with a key's value into DataLoss: without this key it is not safe to lead."""
    try:
        yield
    except (DecodeError, ValueError):
        raise DataLoss(
            f"the value of {key.decode(errors='replace')} in etcd is damaged: nobody can lead before it is"
            " restored from a snapshot, or deleted when what it described is known to be gone"
        ) from None


def _tell(spoilt: list[Damaged], keys: Keys) -> None:
    for each in spoilt[:_TOLD_DAMAGED]:
        key = keys.tasks.decode() + each.task_id
        _log.error("the record of a task is damaged and left as it is", key=key, reason=each.reason)
    if len(spoilt) > _TOLD_DAMAGED:
        _log.error("more records of tasks are damaged", count=len(spoilt) - _TOLD_DAMAGED)


async def _lives(client: EtcdClient, keys: Keys, workers: Mapping[str, Worker]) -> dict[str, int]:
    """The create revision of `live` of each worker whose session it is."""
    found: dict[str, int] = {}
    for kv in (await client.range(keys.workers, prefix=True)).kvs:
        parsed = keys.parse(kv.key)
        if parsed is not None and parsed.kind is Kind.WORKER_LIVE:
            with _readable(kv.key):
                live = decode_live(kv.value, kv.create_revision)
            if parsed.name in workers and workers[parsed.name].session == live.session:
                found[parsed.name] = live.create_revision
    return found
