"""How does a batch become one etcd transaction, however large it is?

etcd takes 128 operations per level of a transaction, and grants a nested transaction what its parent leaves:
the parent's count (the larger of its compares and its operations) plus the nested one's must stay within 128.
So the parent holds the compares, the `commit` key and a few nested transactions that hold the changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tenure_runtime.etcd.ops import created_at, get, modified_at, value_is
from tenure_runtime.etcd.stubs import rpc

if TYPE_CHECKING:
    from tenure_runtime.etcd.batch import Batch, Change, WorkerLease
    from tenure_runtime.etcd.keys import Keys

OPS_PER_LEVEL: Final = 128


class Term(NamedTuple):
    """What a leadership has to find unchanged in etcd to be still the leadership."""

    epoch: int
    leader_revision: int
    """The mod revision of the key `leader`, equal to the revision at which the leadership began (LF)."""
    incarnation: bytes
    """The value of `meta/incarnation`."""
    commit: bytes
    """The value of `commit` as this leadership last wrote it."""


def encode(keys: Keys, term: Term, batch: Batch, gone: frozenset[str], own: bytes) -> bytes:
    """The serialized transaction: everything of the batch but what is on the leases of `gone` workers."""
    sessions = [session for session in batch.leased if session.worker not in gone]
    request = rpc.TxnRequest(compare=_compares(keys, term, sessions), failure=_reads(keys, sessions))
    put = request.success.add().request_put
    put.key, put.value = keys.commit, own
    changes = batch.without(gone)
    share = nested_share(len(changes), len(request.compare))
    if share == 0:
        _add(request.success, changes)
    else:
        for start in range(0, len(changes), share):
            _add(request.success.add().request_txn.success, changes[start : start + share])
    serialized: bytes = request.SerializeToString()
    return serialized


def nested_share(changes: int, compares: int) -> int:
    """How many changes go into each nested transaction; 0: all fit into the top level."""
    if 1 + changes <= OPS_PER_LEVEL:
        return 0
    for nested in range(1, OPS_PER_LEVEL):
        share = OPS_PER_LEVEL - max(compares, 1 + nested)
        if share * nested >= changes:
            return share
    raise ValueError(f"a batch of {changes} changes and {compares} compares exceeds what etcd takes")


def _add(operations: Any, changes: list[Change]) -> None:
    add = operations.add
    for key, value, lease in changes:
        if value is None:
            add().request_delete_range.key = key
        else:
            put = add().request_put
            put.key = key
            put.value = value
            if lease:
                put.lease = lease


def _compares(keys: Keys, term: Term, sessions: list[WorkerLease]) -> list[Any]:
    return [
        value_is(keys.commit, term.commit),
        modified_at(keys.leader, term.leader_revision),
        value_is(keys.incarnation, term.incarnation),
        *(created_at(session.live_key, session.live_revision) for session in sessions),
    ]


def _reads(keys: Keys, sessions: list[WorkerLease]) -> list[Any]:
    compared = (keys.commit, keys.leader, keys.incarnation)
    return [get(key) for key in (*compared, *(session.live_key for session in sessions))]
