"""What goes into one commit?

Changes of distinct keys. Keys on a worker's lease are kept apart by worker, because they fall out of the
batch when that worker's session is over, while the rest is committed all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Container

Change: TypeAlias = tuple[bytes, bytes | None, int]
"""Key, value or None to delete it, lease or 0."""


class WorkerLease(NamedTuple):
    """A worker's session as etcd knows it: its lease, its `live` key and that key's create revision.

    `live_revision` 0: `live` must not exist, for the batch that registers the session.
    """

    worker: str
    lease: int
    live_key: bytes
    live_revision: int


class DuplicateKey(ValueError):
    """A batch changes one key twice; etcd would refuse all of it."""


class Batch:
    """The changes of one commit, in no particular order; they take effect together."""

    __slots__ = ("_keys", "changes", "leased")

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self.changes: list[Change] = []
        self.leased: dict[WorkerLease, list[Change]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, key: bytes, value: bytes) -> None:
        """Write a key that is on no lease."""
        self._claim(key)
        self.changes.append((key, value, 0))

    def put_leased(self, session: WorkerLease, key: bytes, value: bytes) -> None:
        """Write a key on a worker's lease, if the worker's session still lives when this is committed."""
        if not session.lease:
            raise ValueError(f"the session of worker {session.worker} has no lease")
        self._claim(key)
        changes = self.leased.get(session)
        if changes is None:
            changes = self.leased[session] = []
        changes.append((key, value, session.lease))

    def delete(self, key: bytes) -> None:
        """Delete a key; no error if it does not exist."""
        self._claim(key)
        self.changes.append((key, None, 0))

    def touches(self, key: bytes) -> bool:
        """Does this batch change the key?"""
        return key in self._keys

    def without(self, workers: Container[str]) -> list[Change]:
        """All changes, less the leased ones of these workers."""
        kept = list(self.changes)
        for session, changes in self.leased.items():
            if session.worker not in workers:
                kept += changes
        return kept

    def _claim(self, key: bytes) -> None:
        if key in self._keys:
            raise DuplicateKey(f"the batch already changes {key!r}")
        self._keys.add(key)
