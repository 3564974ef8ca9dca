"""What does etcd answer to each request?

The store behind the model of an etcd cluster: revisions, keys with all their versions, leases and the history
that watches read, at the level of etcd's own messages. No time, no network: `etcd_cluster` decides when a
request is applied, and whether anybody hears of it. What it does is what the contract suite
(tests/contract) finds real servers doing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import eq, gt, lt, ne
from typing import Any, Final, NamedTuple

import grpc

from tenure_runtime.etcd.stubs import kv, rpc

OPS_PER_LEVEL: Final = 128
REQUEST_BYTES: Final = 1_572_864
SHORTEST_TTL: Final = 2
FIRST_CHANGE: Final = 2
"""The revision that the first change makes."""


class Refusal(Exception):
    """etcd's own status for a request that it does not take."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


_C: Final = grpc.StatusCode
LEASE_NOT_FOUND: Final = (_C.NOT_FOUND, "etcdserver: requested lease not found")
COMPACTED: Final = (_C.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
FUTURE: Final = (_C.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")
NO_SPACE: Final = (_C.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
TOO_MANY: Final = (_C.INVALID_ARGUMENT, "etcdserver: too many operations in txn request")
DUPLICATE: Final = (_C.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")
TOO_LARGE: Final = (_C.INVALID_ARGUMENT, "etcdserver: request is too large")
EMPTY_KEY: Final = (_C.INVALID_ARGUMENT, "etcdserver: key is not provided")


class Version(NamedTuple):
    """One key as of one revision; `message` is None when it was deleted then."""

    revision: int
    message: Any


@dataclass
class Lease:
    """One lease; when it ends is decided by the cluster's clock."""

    id: int
    ttl: int
    ends_at: float = 0.0
    keys: dict[bytes, None] = field(default_factory=dict)


@dataclass
class Store:
    """The state that all members agree on."""

    revision: int = 1
    compacted: int = 0
    versions: dict[bytes, list[Version]] = field(default_factory=dict)
    order: list[bytes] = field(default_factory=list)
    """Every key that has a version, sorted."""
    leases: dict[int, Lease] = field(default_factory=dict)
    history: list[tuple[int, list[Any]]] = field(default_factory=list)
    """(revision, events) in order; all of it, watches are kept from what is compacted."""
    no_space: bool = False
    next_lease: int = 7_000
    on_change: list[Callable[[int, list[Any]], None]] = field(default_factory=list)
    _header: Any = None

    def header(self) -> Any:
        """To be copied into an answer, not to be changed."""
        if self._header is None or self._header.revision != self.revision:
            self._header = rpc.ResponseHeader(cluster_id=1, member_id=1, revision=self.revision, raft_term=2)
        return self._header

    # --- reading -------------------------------------------------------------------------------------------

    def current(self, key: bytes) -> Any:
        """The key now; None when it does not exist."""
        versions = self.versions.get(key)
        return versions[-1].message if versions else None

    def _at(self, key: bytes, revision: int) -> Any:
        for found, message in reversed(self.versions[key]):
            if found <= revision:
                return message
        return None

    def _selected(self, key: bytes, end: bytes) -> Iterable[bytes]:
        if not end:
            return (key,) if key in self.versions else ()
        first = bisect_left(self.order, key)
        last = len(self.order) if end == b"\0" else bisect_left(self.order, end)
        return self.order[first:last]

    def range(self, request: Any, newest: int = 0) -> Any:
        """RangeRequest → RangeResponse; `newest`: the revision that a transaction is about to make."""
        if not request.key:
            raise Refusal(*EMPTY_KEY)
        if request.revision > self.revision:
            raise Refusal(*FUTURE)
        if 0 < request.revision < self.compacted:
            raise Refusal(*COMPACTED)
        revision = request.revision or newest or self.revision
        found = [
            message
            for key in self._selected(request.key, request.range_end)
            if (message := self._at(key, revision)) is not None
        ]
        response = rpc.RangeResponse(header=self.header(), count=len(found))
        if request.count_only:
            return response
        if request.limit and len(found) > request.limit:
            found, response.more = found[: request.limit], True
        response.kvs.extend(found)
        if request.keys_only:
            for added in response.kvs:
                added.ClearField("value")
        return response

    # --- writing -------------------------------------------------------------------------------------------

    def txn(self, request: Any) -> Any:
        """TxnRequest → TxnResponse; applied as a whole, at one revision, or refused."""
        if request.ByteSize() > REQUEST_BYTES:
            raise Refusal(*TOO_LARGE)
        opened = _Opened(request)
        _check_ops(opened, 0)
        _check_keys(opened.success)
        _check_keys(opened.failure)
        if self.no_space and _grows(opened):
            raise Refusal(*NO_SPACE)
        succeeded = self._holds(opened)
        self._check_leases(opened.success if succeeded else opened.failure)
        change = _Change(self)
        response = self._branch(opened, succeeded, change)
        change.publish()
        response.header.CopyFrom(self.header())
        return response

    def _branch(self, request: _Opened, succeeded: bool, change: _Change) -> Any:
        response = rpc.TxnResponse(succeeded=succeeded)
        for kind, operation in request.success if succeeded else request.failure:
            answer = response.responses.add()
            if kind == "request_put":
                change.put(operation)
                answer.response_put.header.revision = change.revision
            elif kind == "request_delete_range":
                answer.response_delete_range.deleted = change.delete(operation)
            elif kind == "request_range":
                answer.response_range.CopyFrom(self.range(operation, change.revision))
            else:
                answer.response_txn.CopyFrom(self._branch(operation, self._holds(operation), change))
        return response

    def _holds(self, request: _Opened) -> bool:
        return all(_compare(compare, self.current(compare.key)) for compare in request.compare)

    def _check_leases(self, operations: Iterable[_Operation]) -> None:
        for kind, operation in operations:
            if kind == "request_put":
                if operation.lease and operation.lease not in self.leases:
                    raise Refusal(*LEASE_NOT_FOUND)
            elif kind == "request_txn":
                self._check_leases(operation.success if self._holds(operation) else operation.failure)

    # --- leases --------------------------------------------------------------------------------------------

    def grant(self, ttl: int) -> Lease:
        self.next_lease += 1
        lease = self.leases[self.next_lease] = Lease(self.next_lease, max(int(ttl), SHORTEST_TTL))
        return lease

    def revoke(self, lease: int) -> None:
        """The lease ends: its keys are deleted in one revision."""
        found = self.leases.pop(lease, None)
        if found is None:
            raise Refusal(*LEASE_NOT_FOUND)
        change = _Change(self)
        for key in sorted(found.keys):
            change.delete(rpc.DeleteRangeRequest(key=key))
        change.publish()

    # --- history -------------------------------------------------------------------------------------------

    def compact(self, revision: int) -> None:
        if revision > self.revision:
            raise Refusal(*FUTURE)
        if revision <= self.compacted:
            raise Refusal(*COMPACTED)
        self.compacted = revision
        for key in list(self.versions):
            versions = self.versions[key]
            kept = next((i for i in range(len(versions) - 1, -1, -1) if versions[i].revision <= revision), 0)
            if kept and versions[kept].message is None and kept + 1 < len(versions):
                kept += 1
            if (
                versions[kept].message is None
                and kept == len(versions) - 1
                and versions[kept].revision <= revision
            ):
                del self.versions[key]
                del self.order[bisect_left(self.order, key)]
            else:
                self.versions[key] = versions[kept:]

    def since(self, revision: int) -> list[tuple[int, list[Any]]]:
        """What changed from this revision on."""
        # Every revision but the first one, which is empty, has its entry.
        return self.history[max(revision - FIRST_CHANGE, 0) :]

    def snapshot(self) -> Store:
        """A backup: everything as it is now, history and revisions included."""
        copy = Store(self.revision, self.compacted, next_lease=self.next_lease)
        copy.versions = {key: list(versions) for key, versions in self.versions.items()}
        copy.order = list(self.order)
        copy.history = list(self.history)
        copy.leases = {
            lease.id: Lease(lease.id, lease.ttl, lease.ends_at, dict(lease.keys))
            for lease in self.leases.values()
        }
        return copy


_Operation = tuple[str, Any]
"""Its kind, and what it asks for; of a nested transaction an `_Opened`."""


class _Opened:
    """A transaction, taken out of its message once: five looks at it follow."""

    __slots__ = ("compare", "failure", "success")

    def __init__(self, request: Any) -> None:
        self.compare = list(request.compare)
        self.success = [_opened(operation) for operation in request.success]
        self.failure = [_opened(operation) for operation in request.failure]


def _opened(operation: Any) -> _Operation:
    kind = operation.WhichOneof("request") or ""
    if kind == "request_txn":
        return kind, _Opened(operation.request_txn)
    return kind, getattr(operation, kind, None)


class _Change:
    """The writes of one transaction: one revision for all of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.revision = store.revision
        self._events: list[Any] = []

    def _begin(self) -> None:
        if self.revision == self._store.revision and not self._events:
            self.revision += 1

    def put(self, request: Any) -> None:
        store = self._store
        self._begin()
        before = store.current(request.key)
        message = kv.KeyValue(
            key=request.key,
            value=request.value,
            lease=request.lease,
            create_revision=before.create_revision if before is not None else self.revision,
            mod_revision=self.revision,
            version=before.version + 1 if before is not None else 1,
        )
        if before is not None and before.lease:
            self._detach(before)
        if request.lease:
            store.leases[request.lease].keys[request.key] = None
        self._write(request.key, message)
        self._events.append(kv.Event(type=kv.Event.PUT, kv=message))

    def delete(self, request: Any) -> int:
        store = self._store
        doomed = [
            key for key in store._selected(request.key, request.range_end) if store.current(key) is not None
        ]
        for key in doomed:
            self._begin()
            before = store.current(key)
            if before.lease:
                self._detach(before)
            self._write(key, None)
            gone = kv.KeyValue(key=key, mod_revision=self.revision)
            self._events.append(kv.Event(type=kv.Event.DELETE, kv=gone))
        return len(doomed)

    def _detach(self, message: Any) -> None:
        lease = self._store.leases.get(message.lease)
        if lease is not None:
            lease.keys.pop(message.key, None)

    def _write(self, key: bytes, message: Any) -> None:
        versions = self._store.versions.get(key)
        if versions is None:
            versions = self._store.versions[key] = []
            insort(self._store.order, key)
        if versions and versions[-1].revision == self.revision:
            versions.pop()
        versions.append(Version(self.revision, message))

    def publish(self) -> None:
        if not self._events:
            return
        store = self._store
        store.revision = self.revision
        store.history.append((self.revision, self._events))
        for tell in store.on_change:
            tell(self.revision, self._events)


_TARGETS: Final = {
    rpc.Compare.VALUE: ("value", b""),
    rpc.Compare.CREATE: ("create_revision", 0),
    rpc.Compare.MOD: ("mod_revision", 0),
    rpc.Compare.VERSION: ("version", 0),
    rpc.Compare.LEASE: ("lease", 0),
}
"""What of a key is compared, and what stands for it when there is none."""
_VALUE: Final = rpc.Compare.VALUE
_RESULTS: Final[dict[Any, Callable[[Any, Any], bool]]] = {
    rpc.Compare.EQUAL: eq,
    rpc.Compare.GREATER: gt,
    rpc.Compare.LESS: lt,
    rpc.Compare.NOT_EQUAL: ne,
}


def _compare(compare: Any, message: Any) -> bool:
    target = compare.target
    if message is None and target == _VALUE:
        return False
    name, absent = _TARGETS[target]
    mine = getattr(message, name) if message is not None else absent
    return _RESULTS[compare.result](mine, getattr(compare, name))


def _check_ops(request: _Opened, above: int) -> None:
    """As etcd counts: a nested transaction may have what its parent leaves of the limit."""
    count = max(len(request.compare), len(request.success), len(request.failure))
    if count > OPS_PER_LEVEL - above:
        raise Refusal(*TOO_MANY)
    for kind, operation in (*request.success, *request.failure):
        if kind == "request_txn":
            _check_ops(operation, above + count)


def _check_keys(operations: Iterable[_Operation]) -> set[bytes]:
    """The keys that a branch puts; refused when one is put twice or put and deleted."""
    puts: set[bytes] = set()
    deletes: list[Any] = []
    for kind, operation in operations:
        if kind == "request_put":
            new = {operation.key}
        elif kind == "request_txn":
            new = _check_keys(operation.success) | _check_keys(operation.failure)
        else:
            if kind == "request_delete_range":
                deletes.append(operation)
            continue
        if puts & new:
            raise Refusal(*DUPLICATE)
        puts |= new
    if any(_covers(delete, key) for delete in deletes for key in puts):
        raise Refusal(*DUPLICATE)
    return puts


def _covers(delete: Any, key: bytes) -> bool:
    if not delete.range_end:
        return bool(delete.key == key)
    return bool(delete.key <= key and (delete.range_end == b"\0" or key < delete.range_end))


def _grows(request: _Opened) -> bool:
    """Whether it puts anything: deletions are taken when there is no space left."""
    return any(
        kind == "request_put" or (kind == "request_txn" and _grows(operation))
        for kind, operation in (*request.success, *request.failure)
    )
