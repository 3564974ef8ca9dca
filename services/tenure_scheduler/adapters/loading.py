"""How do the records in etcd become the memory of a new leader?

Nobody leads meanwhile, so as little as possible happens one after the other: what etcd has to be asked is
asked at once, and compared when the memory has been made. If a standby turns out not to have known
everything, it is made again, from etcd.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from google.protobuf.message import DecodeError

from tenure_core.errors import DataLoss
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.incarnation import History
from tenure_runtime.etcd.keys import Keys, Kind
from tenure_runtime.etcd.values import KeyValue, RangeResult
from tenure_runtime.logging_setup import get_logger
from tenure_scheduler.adapters.records import (
    Apart,
    damaged,
    decode_live,
    decode_own,
    decode_task,
    decode_worker,
)
from tenure_scheduler.adapters.specs import SpecReader
from tenure_scheduler.adapters.warm import Raw
from tenure_scheduler.domain.index import TaskIndex
from tenure_scheduler.domain.load import Records
from tenure_scheduler.domain.model import Damaged, Worker
from tenure_scheduler.domain.profiles import Interner
from tenure_state.v1.task_pb2 import WatchFloor

_TOLD_DAMAGED: Final = 20
_log = get_logger("loading")


class Known(NamedTuple):
    """What a new leader begins with; nothing of it changes any more."""

    raw: dict[bytes, Raw]
    """Every key but those of `warm`."""
    warm: TaskIndex
    """Tasks whose records are decoded already."""
    tasks: int
    """How many task records there are in both."""
    specs: SpecReader
    """Read their specs."""


class Facts:
    """What etcd says of the beginning of a leadership; use as `async with`.

    Registrations and tasks change by this leadership only from then on, so the answers do not depend on when
    they come.
    """

    def __init__(self, client: EtcdClient, keys: Keys, revision: int) -> None:
        self._client = client
        self._keys = keys
        self._revision = revision
        self._workers: asyncio.Task[RangeResult]
        self._counts: list[asyncio.Task[RangeResult]]

    async def __aenter__(self) -> Self:
        client, keys = self._client, self._keys
        self._workers = asyncio.create_task(client.range(keys.workers, prefix=True), name="lives")
        self._counts = [
            asyncio.create_task(client.count(prefix, revision=self._revision), name="count")
            for prefix in (keys.tasks, keys.specs)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asked: list[asyncio.Task[Any]] = [self._workers, *self._counts]
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    async def lives(self, workers: Mapping[str, Worker]) -> dict[str, int]:
        """The create revision of `live` of each worker whose session it is."""
        found: dict[str, int] = {}
        for kv in (await self._workers).kvs:
            parsed = self._keys.parse(kv.key)
            if parsed is not None and parsed.kind is Kind.WORKER_LIVE:
                with _readable(kv.key):
                    live = decode_live(kv.value, kv.create_revision)
                if parsed.name in workers and workers[parsed.name].session == live.session:
                    found[parsed.name] = live.create_revision
        return found

    async def agree(self, known: Known) -> bool:
        """Whether as many tasks and specs, and the same registrations, are known as there are."""
        raw, specs = known.raw, self._keys.specs
        for kv in (await self._workers).kvs:
            mine = raw.get(kv.key)
            if kv.key.endswith(b"/reg") and (mine is None or mine.value != kv.value):
                return False
        totals = [count.total for count in await asyncio.gather(*self._counts)]
        return totals == [known.tasks, sum(key.startswith(specs) for key in raw)]


async def read_everything(client: EtcdClient, keys: Keys) -> Known:
    """What is there, without any standby's help."""
    kvs: list[KeyValue] = (await client.range(keys.prefix, prefix=True)).kvs
    tasks = sum(kv.key.startswith(keys.tasks) for kv in kvs)
    return Known({kv.key: kv for kv in kvs}, TaskIndex(), tasks, SpecReader(Interner()))


async def load(known: Known, facts: Facts, keys: Keys) -> Records:
    """Decode what is not yet; whether workers live is read anew, since `live` keys vanish by themselves.

    A task whose record is damaged is set aside; any other key that cannot be read raises DataLoss. Gives the
    loop a chance to run between portions: the leader's lease has to be renewed meanwhile.
    """
    raw, index = known.raw, known.warm
    spoilt: list[Damaged] = []
    workers: dict[str, Worker] = {}
    owns: list[tuple[str, int, int]] = []
    floor = WatchFloor()
    task_prefix, apart = keys.tasks, specs_apart(raw, keys)
    for number, (key, entry) in enumerate(raw.items()):
        if number % 2000 == 1999:
            await asyncio.sleep(0)
        value = entry.value or b""
        if key.startswith(task_prefix):
            task_id = keys.task_id(key)
            try:
                index.add(decode_task(task_id, value, entry.mod_revision, known.specs, apart))
            except DataLoss as error:
                spoilt.append(damaged(task_id, value, error.message))
            continue
        parsed = keys.parse(key)
        if parsed is None:
            continue
        if parsed.kind is Kind.OWN:
            if (own := decode_own(value)) is not None:
                owns.append((parsed.name, own.attempt, own.session))
        elif parsed.kind is Kind.WORKER_REG:
            with _readable(key):
                workers[parsed.name] = decode_worker(parsed.name, value)
        elif parsed.kind is Kind.META and parsed.name == "watch_floor":
            with _readable(key):
                floor = WatchFloor.FromString(value)
    _tell(spoilt, keys)
    began, history = _lives_of_the_cluster(raw, keys)
    alarm = raw.get(keys.rolled_back)
    return Records(
        index,
        list(workers.values()),
        await facts.lives(workers),
        owns,
        floor=floor.revision,
        began=began,
        n_at=history.at,
        alarm=(alarm.value or b"").decode(errors="replace") if alarm is not None else "",
        next_sequence=floor.next_sequence or 1,
        damaged=spoilt,
    )


def specs_apart(raw: Mapping[bytes, Raw], keys: Keys) -> Apart:
    """Finds specs that have a key of their own."""

    def find(task_id: str) -> bytes | None:
        found = raw.get(keys.spec(task_id))
        return found.value if found is not None else None

    return find


def _lives_of_the_cluster(raw: Mapping[bytes, Raw], keys: Keys) -> tuple[int, History]:
    """The revision at which the present incarnation began, and those before it."""
    present, earlier = raw.get(keys.incarnation), raw.get(keys.incarnations)
    if present is None or earlier is None or earlier.value is None:
        return 0, History()
    with _readable(keys.incarnations):
        return present.mod_revision, History.decode(earlier.value)


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
