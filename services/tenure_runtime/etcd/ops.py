"""How are compares and operations of an etcd transaction written?

Thin builders over the generated messages. They return what `EtcdClient.txn` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tenure_runtime.etcd.stubs import rpc

if TYPE_CHECKING:
    from collections.abc import Iterable

Compare: TypeAlias = Any
Op: TypeAlias = Any

_EQUAL: Final = rpc.Compare.EQUAL
_CREATE: Final = rpc.Compare.CREATE
_MOD: Final = rpc.Compare.MOD
_VALUE: Final = rpc.Compare.VALUE


def prefix_end(prefix: bytes) -> bytes:
    """The smallest key that is greater than every key with this prefix."""
    stripped = prefix.rstrip(b"\xff")
    # etcd reads a single zero byte as "to the end of all keys".
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else b"\x00"


def value_is(key: bytes, value: bytes) -> Compare:
    """True iff the key exists and has exactly this value."""
    return rpc.Compare(result=_EQUAL, target=_VALUE, key=key, value=value)


def modified_at(key: bytes, revision: int) -> Compare:
    """True iff the key was last written at this revision; 0: it does not exist."""
    return rpc.Compare(result=_EQUAL, target=_MOD, key=key, mod_revision=revision)


def created_at(key: bytes, revision: int) -> Compare:
    """True iff the key exists since this revision; 0: it does not exist."""
    return rpc.Compare(result=_EQUAL, target=_CREATE, key=key, create_revision=revision)


def absent(key: bytes) -> Compare:
    """True iff the key does not exist."""
    return created_at(key, 0)


def put(key: bytes, value: bytes, lease: int = 0) -> Op:
    """Write a key; without its lease a leased key is detached from it."""
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease))


def delete(key: bytes) -> Op:
    """Delete one key; no error when it does not exist."""
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key))


def delete_prefix(prefix: bytes) -> Op:
    """Delete every key with this prefix."""
    request = rpc.DeleteRangeRequest(key=prefix, range_end=prefix_end(prefix))
    return rpc.RequestOp(request_delete_range=request)


def delete_range(first: bytes, last: bytes) -> Op:
    """Delete every key from `first` to `last`, both included."""
    request = rpc.DeleteRangeRequest(key=first, range_end=last + b"\x00")
    return rpc.RequestOp(request_delete_range=request)


def get(key: bytes, *, keys_only: bool = False) -> Op:
    """Read one key."""
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key, keys_only=keys_only))


def txn_request(compares: Iterable[Compare], then: Iterable[Op], otherwise: Iterable[Op] = ()) -> Any:
    """The request message of a transaction."""
    return rpc.TxnRequest(compare=compares, success=then, failure=otherwise)
