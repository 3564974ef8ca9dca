"""How does the leader change its state, and only while it leads?

Step 0 of the ownership rules: one commit in flight, chained. Each transaction compares the exact bytes that
the one before it wrote, the leader key and the incarnation, so it is applied at most once and never after
another leadership began. One without a definite answer is sent again byte for byte until there is an
answer: a read that does not show it proves nothing, it may be applied later.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from tenure_runtime.etcd.commit_request import Term, encode
from tenure_runtime.etcd.errors import (
    EtcdError,
    EtcdLeaseNotFound,
    EtcdRefused,
    EtcdUnavailable,
    EtcdUnknownOutcome,
)
from tenure_runtime.etcd.position import Position

if TYPE_CHECKING:
    from tenure_runtime.etcd.batch import Batch, WorkerLease
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.keys import Keys

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


class Holder(Protocol):
    """The leadership that commits; `Leadership` is one."""

    @property
    def term(self) -> Term:
        """What the leadership's own transaction wrote."""

    def remaining(self) -> float:
        """Seconds for which it may still issue commits; 0 or less: never again."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The batch is in etcd, less what was on the leases of `leases_gone`."""

    revision: int
    position: Position
    leases_gone: tuple[str, ...] = ()
    """Workers whose session was over: none of their leased puts was written."""
    resent: int = 0
    """How often it was sent again for want of an answer."""


@dataclass(frozen=True, slots=True)
class Deposed:
    """This leadership is over; nothing can be committed any more. Drop the memory and campaign anew.

    Whether the last batch was applied may be unknown: the next load shows it.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """etcd did not take the batch and applied nothing; the chain stands where it stood."""

    error: EtcdRefused


Outcome: TypeAlias = Committed | Deposed | Refused


@dataclass(frozen=True, slots=True)
class _Gone:
    workers: frozenset[str]


class CommitChain:
    """The commits of one leadership, one at a time."""

    def __init__(
        self, client: EtcdClient, keys: Keys, holder: Holder, *, attempt_timeout: float = 2.0
    ) -> None:
        self._client = client
        self._keys = keys
        self._holder = holder
        self._attempt_timeout = attempt_timeout
        self._term = holder.term
        self._position = Position.decode(self._term.commit)
        self._busy = False
        self._over: Deposed | None = None
        self._resent = 0

    @property
    def position(self) -> Position:
        """The last batch that was committed."""
        return self._position

    @property
    def resent(self) -> int:
        """How often the batch in flight, or the last one, was sent again so far: more than 0 is a stall."""
        return self._resent

    async def commit(self, batch: Batch) -> Outcome:
        """Commit the batch; returns only when the outcome is definite or the leadership is over.

        Cancelling it ends the chain. `Refused` leaves it intact: send the same batch later, or another one.
        """
        if self._busy:
            raise RuntimeError("a commit is in flight already")
        if batch.touches(self._keys.commit):
            raise ValueError("a batch must not change the key `commit`: the chain does")
        if self._over is not None:
            return self._over
        self._busy, self._resent = True, 0
        try:
            outcome = await self._drive(batch)
        except BaseException:
            self._over = Deposed("a commit was interrupted; it may have been applied")
            raise
        finally:
            self._busy = False
        if isinstance(outcome, Deposed):
            self._over = outcome
        return outcome

    async def _drive(self, batch: Batch) -> Outcome:
        position, gone = self._position.following(), frozenset[str]()
        while True:
            own = position.encode()
            sessions = [session for session in batch.leased if session.worker not in gone]
            request = encode(self._keys, self._term, batch, gone, own)
            answer = await self._settle(request, own, sessions)
            if isinstance(answer, int):
                self._position, self._term = position, self._term._replace(commit=own)
                return Committed(answer, position, tuple(sorted(gone)), self._resent)
            if not isinstance(answer, _Gone):
                return answer
            # The form that was refused stays refused: a `live` key never gets an old create revision again.
            gone, position = gone | answer.workers, position.again()

    async def _settle(
        self, request: bytes, own: bytes, sessions: list[WorkerLease]
    ) -> int | _Gone | Deposed | Refused:
        """Send these bytes until etcd's answer is definite; an int is the revision of the commit."""
        pause, doubt = _FIRST_PAUSE, ""
        while (left := self._holder.remaining()) > 0:
            try:
                response = await self._client.txn_bytes(request, timeout=min(self._attempt_timeout, left))
                return self._judge(response, own, sessions)
            except EtcdUnknownOutcome as error:
                doubt = str(error)
            except EtcdUnavailable:
                pass
            except EtcdLeaseNotFound:
                if dead := await self._dead(sessions):
                    return _Gone(dead)
            except EtcdRefused as error:
                # An earlier copy may still be on its way through etcd and be taken.
                if not doubt:
                    return Refused(error)
            self._resent += 1
            await asyncio.sleep(min(pause, max(self._holder.remaining(), 0)))
            pause = min(pause * 2, _LONGEST_PAUSE)
        return Deposed("the leadership's term is over" + (f"; {doubt}" if doubt else ""))

    def _judge(self, response: Any, own: bytes, sessions: list[WorkerLease]) -> int | _Gone | Deposed:
        if response.succeeded:
            return int(response.header.revision)
        found = {kv.key: kv for operation in response.responses for kv in operation.response_range.kvs}
        commit = found.get(self._keys.commit)
        if commit is not None and commit.value == own:
            return int(commit.mod_revision)
        if reason := self._deposing(found):
            return Deposed(reason)
        dead = frozenset(s.worker for s in sessions if _created(found, s.live_key) != s.live_revision)
        return _Gone(dead) if dead else Deposed("etcd refused the commit, though every compared key agrees")

    def _deposing(self, found: dict[bytes, Any]) -> str:
        keys, term = self._keys, self._term
        if _value(found, keys.commit) != term.commit:
            shown = _shown(found, keys.commit)
            return f"the last commit is not ours any more: {shown}, ours {term.commit.decode()}"
        if _modified(found, keys.leader) != term.leader_revision:
            return f"the leader key is not ours any more: {_shown(found, keys.leader)}"
        if _value(found, keys.incarnation) != term.incarnation:
            return f"the cluster has another incarnation: {_shown(found, keys.incarnation)}"
        return ""

    async def _dead(self, sessions: list[WorkerLease]) -> frozenset[str]:
        """Whose lease made etcd refuse the batch? It does not say."""
        leases = {session.lease for session in sessions}
        try:
            ttls = await asyncio.gather(*map(self._client.lease_time_to_live, leases))
        except EtcdError:
            return frozenset()
        dead = {lease for lease, ttl in zip(leases, ttls, strict=True) if ttl < 0}
        return frozenset(session.worker for session in sessions if session.lease in dead)


def _value(found: dict[bytes, Any], key: bytes) -> bytes | None:
    return found[key].value if key in found else None


def _modified(found: dict[bytes, Any], key: bytes) -> int:
    return found[key].mod_revision if key in found else 0


def _created(found: dict[bytes, Any], key: bytes) -> int:
    return found[key].create_revision if key in found else 0


def _shown(found: dict[bytes, Any], key: bytes) -> str:
    return found[key].value.decode(errors="replace")[:200] if key in found else "absent"
