"""Which life of the cluster is this?

The value of `meta/incarnation`: `<n> <uuid>`. It changes only when an operator declares a new incarnation, as
after a restore from a snapshot; n then grows, so that every fence of an earlier life is lower.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_runtime.etcd.errors import EtcdUnavailable, EtcdUnknownOutcome
from tenure_runtime.etcd.ops import absent, get, put
from tenure_runtime.etcd.position import Position

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.keys import Keys

_PAUSE: Final = 0.1


class Incarnation(NamedTuple):
    """The number that begins every fence, and an id that no other cluster has."""

    n: int
    id: str

    def encode(self) -> bytes:
        """The bytes in etcd."""
        return f"{self.n} {self.id}".encode()

    @classmethod
    def decode(cls, value: bytes) -> Incarnation:
        """Read the bytes in etcd; raises ValueError for anything else."""
        number, _, identity = value.decode(errors="replace").partition(" ")
        if not number.isdigit() or not identity:
            raise ValueError(f"not an incarnation: {value!r}")
        return cls(int(number), identity)


class History(NamedTuple):
    """The incarnations before the present one, oldest first: n, and the revision that it began at.

    The value of `meta/incarnations`, one line each. A record that was last written before the present
    incarnation began names its attempts by an earlier n.
    """

    earlier: tuple[tuple[int, int], ...] = ()

    def encode(self) -> bytes:
        """The bytes in etcd."""
        return "\n".join(f"{n} {began}" for n, began in self.earlier).encode()

    @classmethod
    def decode(cls, value: bytes) -> History:
        """Read the bytes in etcd; raises ValueError for anything else."""
        lines = value.decode(errors="replace").splitlines()
        try:
            pairs = [tuple(int(part) for part in line.split(" ")) for line in lines]
            return cls(tuple((n, began) for n, began in pairs))
        except ValueError:
            raise ValueError(f"not a history of incarnations: {value!r}") from None

    def at(self, revision: int) -> int:
        """The n of the earlier incarnation that a revision belongs to."""
        lived = [n for n, began in self.earlier if began <= revision]
        return lived[-1] if lived else self.earlier[0][0]

    def followed_by(self, n: int, began: int) -> History:
        """With the incarnation that has just ended."""
        return History((*self.earlier, (n, began)))


class Foundation(NamedTuple):
    """What a leadership builds on: the incarnation and the last commit, as bytes."""

    incarnation: bytes
    commit: bytes


async def lay_foundation(client: EtcdClient, keys: Keys) -> Foundation:
    """Read `meta/incarnation` and `commit`; create what is absent, once whoever else does the same.

    Waits for etcd: a guarded creation that may have been applied is simply tried again.
    """
    while True:
        try:
            # Mostly both are there, and a transaction that only reads costs etcd no write.
            found = await client.txn((), [get(keys.incarnation), get(keys.commit)], write=False)
            break
        except (EtcdUnavailable, EtcdUnknownOutcome):
            await asyncio.sleep(_PAUSE)
    incarnation, commit = found.ranges
    first = Incarnation(int(time.time()), str(uuid.uuid4()))
    return Foundation(
        incarnation[0].value if incarnation else await _create(client, keys.incarnation, first.encode()),
        commit[0].value if commit else await _create(client, keys.commit, Position.first(0).encode()),
    )


async def _create(client: EtcdClient, key: bytes, value: bytes) -> bytes:
    while True:
        try:
            result = await client.txn([absent(key)], [put(key, value)], [get(key)])
        except (EtcdUnavailable, EtcdUnknownOutcome):
            await asyncio.sleep(_PAUSE)
            continue
        existing = None if result.succeeded else result.ranges[0]
        return existing[0].value if existing else value
