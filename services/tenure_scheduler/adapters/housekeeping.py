"""Is there room in etcd, and who takes away what nobody needs?

The leader looks at etcd's size and alarms, refuses submissions before the quota is reached, and compacts
the history that no watch resumes from any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tenure_core.errors import ResourceExhausted
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdCompacted, EtcdError
from tenure_runtime.logging_setup import get_logger

POLL_SECONDS: Final = 5.0
_log = get_logger("housekeeping")
_MAKE_ROOM: Final = (
    "Finished tasks are removed early; if that is not enough, retain fewer (tasks.retained, tasks.retention),"
    " look what else is in etcd, or raise etcd's quota and store.quota"
)


class Housekeeping:
    """The leader's care for etcd. `full` says why nothing may be submitted; None: there is room."""

    def __init__(
        self,
        client: EtcdClient,
        *,
        quota_bytes: int,
        refuse_at: float,
        compact_every: float,
        tidy_at: float = 1.0,
        poll: float = POLL_SECONDS,
    ) -> None:
        self.full: ResourceExhausted | None = None
        self.on_pressure: Callable[[float], None] = lambda pressure: None
        """Told after every look: 0 below `tidy_at`, 1 from `refuse_at` on."""
        self._tidy_at = tidy_at
        self._pressure = 0.0
        self._client = client
        self._quota_bytes = quota_bytes
        self._refuse_at = refuse_at
        self._poll = poll
        self._compact_every = compact_every
        self._revision = 0

    async def run(self) -> None:
        """Poll and compact until cancelled; trouble with etcd is somebody else's to tell."""
        due = asyncio.get_running_loop().time() + self._compact_every
        while True:
            try:
                revision = await self._look()
                self.on_pressure(self._pressure)
                now = asyncio.get_running_loop().time()
                # What was removed takes its room until the history is compacted.
                if now >= due or self._pressure:
                    due = now + self._compact_every
                    await self._compact(revision)
            except EtcdError as error:
                _log.debug("etcd did not answer", reason=str(error))
            await asyncio.sleep(self._poll)

    async def _look(self) -> int:
        status = await self._client.status()
        alarms = await self._client.alarms()
        share = status.db_size_in_use / self._quota_bytes
        self._pressure = min(max((share - self._tidy_at) / max(self._refuse_at - self._tidy_at, 0.01), 0), 1)
        if any(alarm.kind == "NOSPACE" for alarm in alarms):
            sentence = "etcd is out of space (alarm NOSPACE): compact, defragment, disarm the alarm"
        elif share >= self._refuse_at:
            sentence = (
                f"etcd holds {status.db_size_in_use >> 20} MiB, more than {self._refuse_at:.0%} of its quota "
                f"of {self._quota_bytes >> 20} MiB: nothing is accepted until there is room. {_MAKE_ROOM}"
            )
        else:
            sentence = ""
        if bool(sentence) != bool(self.full):
            _log.warning(
                "submissions are refused" if sentence else "submissions are accepted", reason=sentence
            )
        self.full = ResourceExhausted(sentence, retry_after=self._poll) if sentence else None
        return status.revision

    async def _compact(self, revision: int) -> None:
        """Compact up to where the history stood one interval ago, which is longer than a watch is away."""
        before, self._revision = self._revision, revision
        if before:
            try:
                await self._client.compact(before)
            except EtcdCompacted:
                return
            _log.info("compacted etcd's history", revision=before)
