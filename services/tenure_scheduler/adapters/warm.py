"""Which task records has a standby read already, before anybody needs them?

To decode 100,000 records takes a second, in which nobody would lead. So a standby decodes what changed, after
it has been left alone for a moment, in small portions: slowly while the leader is busy, since both may share
a processor, and fast otherwise. Whoever begins to lead decodes only what is not here, or is not new enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from tenure_core.errors import DataLoss
from tenure_runtime.etcd.values import Event, KeyValue
from tenure_scheduler.domain.index import TaskIndex
from tenure_scheduler.domain.model import Task

Raw: TypeAlias = KeyValue | Event

_SETTLED_SECONDS: Final = 0.25
"""A task changes several times in a row: only the last of them is worth reading."""
_PORTION: Final = 150
"""Records at a time: about two milliseconds of processor time."""
_WINDOW_SECONDS: Final = 0.25
_BUSY_CHANGES: Final = 250
"""More than so many changes in a window are those of a busy leader."""
_BUSY_PAUSE: Final = 0.04
_IDLE_PAUSE: Final = 0.001


class WarmTasks:
    """Decoded task records.

    `find` gives the record of a key as it is now, None when it is gone; what `decode` refuses (DataLoss) is
    left to whoever leads.
    """

    def __init__(
        self,
        find: Callable[[bytes], Raw | None],
        decode: Callable[[bytes, Raw], Task],
        id_of: Callable[[bytes], str],
    ) -> None:
        self.index = TaskIndex()
        """As they were when they were read; of those that are `stale` something else is true by now."""
        self._find = find
        self._decode = decode
        self._id_of = id_of
        self._changed: dict[bytes, None] = {}
        self._arrived = 0
        """How many changes there ever were."""
        self._settled: list[bytes] = []
        self._refused: dict[bytes, None] = {}
        self._wake = asyncio.Event()

    def begin(self, keys: Iterable[bytes]) -> None:
        """Forget everything and read these: the store may be another one, with the same revisions."""
        self.index = TaskIndex()
        self._changed, self._settled, self._refused = {}, [], {}
        self.changed(keys)

    def changed(self, keys: Iterable[bytes]) -> None:
        """These records were written or deleted."""
        changed = dict.fromkeys(keys)
        self._changed.update(changed)
        self._arrived += len(changed)
        self._wake.set()

    @property
    def stale(self) -> set[bytes]:
        """Keys of the records that were not read as they are now."""
        return {*self._changed, *self._settled, *self._refused}

    @property
    def unread(self) -> int:
        """About how many records are stale."""
        return len(self._changed) + len(self._settled)

    async def run(self) -> None:
        """Read what changed, until cancelled."""
        clock = asyncio.get_running_loop().time
        busy, window_ends, before = False, 0.0, 0
        while True:
            await self._wake.wait()
            await asyncio.sleep(_SETTLED_SECONDS)
            self._wake.clear()
            # Tasks of one age are looked at together by whoever leads, so they should lie together in memory.
            self._settled = sorted(self._changed, key=self._age)
            self._changed = {}
            while self._settled:
                self._read(self._settled)
                if clock() > window_ends:
                    busy = self._arrived - before > _BUSY_CHANGES
                    window_ends, before = clock() + _WINDOW_SECONDS, self._arrived
                await asyncio.sleep(_BUSY_PAUSE if busy else _IDLE_PAUSE)

    def _age(self, key: bytes) -> int:
        """Negative revision: the oldest come last in a sorted list, and are read first."""
        entry = self._find(key)
        return -entry.mod_revision if entry is not None else 0

    def _read(self, settled: list[bytes]) -> None:
        """Read the last ones of a list, as many as a portion has."""
        index = self.index
        portion = settled[-_PORTION:]
        del settled[-_PORTION:]
        while portion:
            key = portion.pop()
            task_id = self._id_of(key)
            entry, known = self._find(key), index.tasks.get(task_id)
            if entry is not None and known is not None and known.revision == entry.mod_revision:
                continue
            index.remove(task_id)
            self._refused.pop(key, None)
            if entry is not None:
                try:
                    index.add(self._decode(key, entry))
                except DataLoss:
                    self._refused[key] = None
