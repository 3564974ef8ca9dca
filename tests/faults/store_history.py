"""What became of every task record in etcd, revision by revision?

etcd's own watch, from the first revision on, straight from the members: no gate and no scheduler between.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

from tenure_runtime.etcd.keys import Keys, Kind
from tenure_runtime.etcd.watch import PrefixWatch, Snapshot
from tenure_state.v1.task_pb2 import TaskRecord
from tests.faults.history import Attempt, Committed, Recorder, Restored, now

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient


class StoreHistory:
    """Follows the records of the tasks and writes every one of them down."""

    def __init__(self, client: EtcdClient, keys: Keys, recorder: Recorder) -> None:
        self._client = client
        self._keys = keys
        self._recorder = recorder
        self._era = 0
        self._begin()

    def _begin(self) -> None:
        self._watch = PrefixWatch(self._client, self._keys.tasks)
        self._following = asyncio.create_task(self._follow())

    @property
    def revision(self) -> int:
        """Up to where everything is written down."""
        return self._watch.revision

    async def restored(self, revision: int) -> None:
        """etcd went back to this revision and is about to go on from there."""
        await self.close()
        self._recorder.add(Restored(at=now(), revision=revision))
        self._era += 1
        self._begin()

    async def close(self) -> None:
        """Follow no longer."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        async with contextlib.aclosing(self._watch.changes()) as changes:
            async for change in changes:
                for item in change.kvs if isinstance(change, Snapshot) else change.events:
                    self._record(item.key, item.value, item.mod_revision)

    def _record(self, key: bytes, value: bytes | None, revision: int) -> None:
        parsed = self._keys.parse(key)
        if parsed is None or parsed.kind is not Kind.TASK:
            return
        entry = Committed(at=now(), revision=revision, task=parsed.name, state=0)
        if value is not None:
            entry = decoded(parsed.name, revision, value)
        self._recorder.add(dataclasses.replace(entry, era=self._era))


def decoded(task: str, revision: int, value: bytes) -> Committed:
    """A task record as the history has it."""
    record = TaskRecord.FromString(value)
    return Committed(
        at=now(),
        revision=revision,
        task=task,
        state=record.state,
        attempt=record.attempt,
        cancelling=record.cancelling,
        attempts=tuple(
            Attempt(
                number=each.number,
                worker=each.worker,
                outcome=each.outcome,
                exit_code=each.exit_code if each.HasField("exit_code") else None,
                relay=each.relay,
            )
            for each in record.attempts
        ),
    )
