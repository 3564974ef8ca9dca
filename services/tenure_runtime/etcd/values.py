"""What does etcd say, in types of our own?

Named tuples, because a follower builds 40,000 of them a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class KeyValue(NamedTuple):
    """One key as a range shows it; `value` is empty when only keys were asked for."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int


class Event(NamedTuple):
    """One change of one key; `value` is None when the key was deleted."""

    key: bytes
    value: bytes | None
    create_revision: int
    mod_revision: int
    lease: int


class RangeResult(NamedTuple):
    """The keys found, the store's revision that they belong to, and how many there are in all."""

    kvs: list[KeyValue]
    revision: int
    total: int
    more: bool


class TxnResult(NamedTuple):
    """Which branch ran, at which revision, and what its own ranges found (None for other operations)."""

    succeeded: bool
    revision: int
    ranges: list[list[KeyValue] | None]


class Lease(NamedTuple):
    """A granted lease; `ttl` in seconds as granted, which may be longer than asked for."""

    id: int
    ttl: int


class Member(NamedTuple):
    """One member of the etcd cluster."""

    id: int
    name: str
    client_urls: tuple[str, ...]
    is_learner: bool


class MemberStatus(NamedTuple):
    """How one member of the etcd cluster is doing; sizes in bytes."""

    endpoint: str
    version: str
    member_id: int
    leader_id: int
    db_size: int
    db_size_in_use: int
    raft_term: int
    revision: int
    errors: tuple[str, ...]


class Alarm(NamedTuple):
    """An alarm that a member has raised: NOSPACE or CORRUPT."""

    member_id: int
    kind: str


# Skips the generated __new__, whose argument handling costs as much as everything else here.
_new: Any = tuple.__new__


def key_values(messages: Iterable[Any]) -> list[KeyValue]:
    """Convert etcd's KeyValue messages."""
    return [_new(KeyValue, (m.key, m.value, m.create_revision, m.mod_revision, m.lease)) for m in messages]


def events(messages: Iterable[Any]) -> list[Event]:
    """Convert etcd's Event messages."""
    return [
        _new(
            Event,
            (m.key, None if event.type else m.value, m.create_revision, m.mod_revision, m.lease),
        )
        for event in messages
        for m in (event.kv,)
    ]


def range_result(response: Any) -> RangeResult:
    """Convert etcd's RangeResponse."""
    return RangeResult(key_values(response.kvs), response.header.revision, response.count, response.more)


def txn_result(response: Any) -> TxnResult:
    """Convert etcd's TxnResponse."""
    ranges = [
        key_values(op.response_range.kvs) if op.HasField("response_range") else None
        for op in response.responses
    ]
    return TxnResult(response.succeeded, response.header.revision, ranges)
