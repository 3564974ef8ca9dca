"""How does a restored store become one that may be led again?

A store that went back knows less than agents were told. A new incarnation makes every fence of before lower
than every one to come, and ends all sessions: `live` and `own` keys go first, in as many transactions as
they need, then the incarnation changes in one that takes the rest along. Each compares the old incarnation
and that nobody leads, so it is safe to be killed between two of them: the next call goes on.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from tenure_core.errors import FailedPrecondition, NotFound
from tenure_runtime.etcd.errors import EtcdUnavailable, EtcdUnknownOutcome
from tenure_runtime.etcd.incarnation import History, Incarnation
from tenure_runtime.etcd.keys import Kind
from tenure_runtime.etcd.ops import delete, delete_range, get, modified_at, put, value_is

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.keys import Keys
    from tenure_runtime.etcd.ops import Compare, Op
    from tenure_runtime.etcd.values import KeyValue, TxnResult

_LOOK_SECONDS: Final = 0.3
_OUTLIVED: Final = 2
"""How often the lease of the last leader may outlive the time that it had left."""
_LATE_SECONDS: Final = 3.0
"""How late etcd may be with the end of a lease, which it tells in whole seconds."""
_OPS: Final = 100
_TRIES: Final = 30
_PAUSE: Final = 0.5


class Renewed(NamedTuple):
    """A new incarnation has begun."""

    before: Incarnation
    after: Incarnation
    lives: int
    owns: int
    revision: int


class _Guard(NamedTuple):
    """What must not change meanwhile."""

    incarnation: KeyValue
    leader: KeyValue | None

    def compares(self, keys: Keys) -> list[Compare]:
        leader = self.leader.mod_revision if self.leader else 0
        return [value_is(keys.incarnation, self.incarnation.value), modified_at(keys.leader, leader)]


async def begin_new_incarnation(
    client: EtcdClient, keys: Keys, *, now: int, say: Callable[[str], None] = lambda sentence: None
) -> Renewed:
    """End every session and every leadership of before; `now` in seconds since 1970.

    Waits until the lease of the restored leader key has run out. Raises NotFound when there is no such
    cluster, FailedPrecondition when a leader lives or begins to lead meanwhile, and EtcdError.
    """
    found = await client.get(keys.incarnation)
    if found is None:
        raise NotFound(f"there is no cluster {keys.cluster!r} in this etcd")
    before = Incarnation.decode(found.value)
    await _await_vacancy(client, keys, say)
    guard = _Guard(found, await client.get(keys.leader))
    owns = await _delete_owns(client, keys, guard)
    lives = await _live_keys(client, keys)
    ahead = max(len(lives) - _OPS, 0)
    for start in range(0, ahead, _OPS):
        await _settle(client, keys, guard, [delete(key) for key in lives[start : min(start + _OPS, ahead)]])
    after = Incarnation(max(before.n + 1, now), str(uuid.uuid4()))
    last = await _settle(
        client,
        keys,
        guard,
        [*(delete(key) for key in lives[ahead:]), *await _change(client, keys, guard, after)],
    )
    return Renewed(before, after, len(lives), owns, last.revision)


async def _change(client: EtcdClient, keys: Keys, guard: _Guard, after: Incarnation) -> list[Op]:
    """What makes the incarnation another one."""
    before = Incarnation.decode(guard.incarnation.value)
    known = await client.get(keys.incarnations)
    history = History.decode(known.value) if known is not None else History()
    history = history.followed_by(before.n, guard.incarnation.mod_revision)
    return [
        put(keys.incarnation, after.encode()),
        put(keys.incarnations, history.encode()),
        delete(keys.leader),
        delete(keys.rolled_back),
    ]


async def _await_vacancy(client: EtcdClient, keys: Keys, say: Callable[[str], None]) -> None:
    """Return when nobody leads; a lease that outlives the time it had left is one that a leader renews.

    Again and again, that is: etcd gives every lease its whole time when another one of its members leads.
    """
    loop = asyncio.get_running_loop()
    seen, over_at, outlived = 0, 0.0, -1
    while (leader := await client.get(keys.leader)) is not None:
        if seen not in (0, leader.mod_revision) or outlived == _OUTLIVED:
            raise FailedPrecondition("a scheduler leads: stop all schedulers of the cluster first")
        if loop.time() > over_at:
            left = await client.lease_time_to_live(leader.lease) if leader.lease else -1
            if left < 0:
                return
            say(f"the lease of the last leader has {left} s left")
            seen, over_at, outlived = leader.mod_revision, loop.time() + left + _LATE_SECONDS, outlived + 1
        await asyncio.sleep(_LOOK_SECONDS)


async def _delete_owns(client: EtcdClient, keys: Keys, guard: _Guard) -> int:
    total = 0
    async for page in client.pages(keys.owns, keys_only=True):
        if page.kvs:
            await _settle(client, keys, guard, [delete_range(page.kvs[0].key, page.kvs[-1].key)])
            total += len(page.kvs)
    return total


async def _live_keys(client: EtcdClient, keys: Keys) -> list[bytes]:
    found = []
    async for page in client.pages(keys.workers, keys_only=True):
        for kv in page.kvs:
            parsed = keys.parse(kv.key)
            if parsed is not None and parsed.kind is Kind.WORKER_LIVE:
                found.append(kv.key)
    return found


async def _settle(client: EtcdClient, keys: Keys, guard: _Guard, then: Sequence[Op]) -> TxnResult:
    """Send a transaction until its outcome is known: applied twice it does the same."""
    ours = next((op.request_put.value for op in then if op.request_put.key == keys.incarnation), b"")
    for _ in range(_TRIES):
        try:
            result = await client.txn(guard.compares(keys), then, [get(keys.incarnation)])
        except (EtcdUnavailable, EtcdUnknownOutcome) as error:
            failure = error
            await asyncio.sleep(_PAUSE)
            continue
        found = None if result.succeeded else result.ranges[0]
        if result.succeeded or (ours and found and found[0].value == ours):
            return result
        raise FailedPrecondition("a scheduler began to lead meanwhile: stop all of them and call this again")
    raise failure
