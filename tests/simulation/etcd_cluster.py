"""How do the members of a simulated etcd answer, late or never, and how does a process talk to them?

The store is one: what consensus agrees on. A member serves while it reaches a majority, itself included. A
write is applied some time after it arrived; at times so late that its caller has long given up, after reads
that did not see it. Watches are served by each member with a lag of its own. Clients use the real
`EtcdClient`, down to the messages on its streams.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc

from tenure_runtime.etcd.auth import Token
from tenure_runtime.etcd.client import DEFAULT_TIMEOUT, EtcdClient
from tenure_runtime.etcd.endpoints import Endpoints, Link
from tenure_runtime.etcd.high_water import HighWater
from tenure_runtime.etcd.keepalive import KeepAlives
from tenure_runtime.etcd.ops import prefix_end
from tenure_runtime.etcd.stubs import rpc
from tests.simulation.calls import Channel
from tests.simulation.etcd_model import NO_SPACE, Refusal, Store
from tests.simulation.network import End, Network
from tests.simulation.world import Handle, Host, Process, World

NO_LEADER: Final = (grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")
TIMED_OUT: Final = (grpc.StatusCode.UNAVAILABLE, "etcdserver: request timed out")
_WITHOUT_QUORUM: Final = 1.0
_RETRY: Final = 0.05
_REQUEST_TIMEOUT: Final = 7.0


class Answers(Protocol):
    """Where the answer to a request goes."""

    def send(self, kind: str, payload: Any) -> None:
        """Answer it."""


class Member:
    """One member: a process that holds no state of its own here."""

    def __init__(self, cluster: Cluster, process: Process, address: str) -> None:
        self.cluster = cluster
        self.process = process
        self.address = address
        self.watch_lag = 0.0
        """Seconds that watches at this member are behind, at most."""
        self.watches_stall = False
        """Whether watches at this member tell nothing at all."""
        self.watches: dict[Watch, None] = {}
        cluster.network.listen(address, self)

    def unary(
        self, method: str, end: End, timeout: float | None, metadata: Any
    ) -> Callable[[str, Any], None]:
        """Take one call."""

        def receive(kind: str, request: Any) -> None:
            if kind == "request":
                self.cluster.serve(self, method, request, end)

        return receive

    def stream(self, method: str, end: End, metadata: Any) -> Callable[[str, Any], None]:
        """Take one stream: lease renewals or watches."""
        if method == "Watch":
            return Watch(self, end).receive
        return Renewals(self, end).receive


class Renewals:
    """One stream of lease renewals at one member: answered in the order in which they came."""

    def __init__(self, member: Member, end: End) -> None:
        self._member = member
        self._end = end
        self._waiting: deque[Any] = deque()

    def receive(self, kind: str, request: Any) -> None:
        if kind == "message":
            self._waiting.append(request)
            if len(self._waiting) == 1:
                self._serve()

    def _serve(self) -> None:
        self._member.cluster.serve(self._member, "KeepAlive", self._waiting[0], self)

    def send(self, kind: str, payload: Any) -> None:
        """The answer to the first one."""
        self._end.send(kind, payload)
        self._waiting.popleft()
        if self._waiting:
            self._serve()


class Watch:
    """One watch stream at one member, with one watch on it."""

    def __init__(self, member: Member, end: End) -> None:
        self._member = member
        self._end = end
        self._prefix = self._stop = b""
        self._next = 0
        self._scheduled = False
        self._open = False

    def receive(self, kind: str, request: Any) -> None:
        if kind != "message":
            self._member.watches.pop(self, None)
            self._open = False
            return
        create = request.create_request
        store = self._member.cluster.store
        self._prefix, self._stop = create.key, create.range_end
        self._next = create.start_revision or store.revision + 1
        self._open = True
        self._member.watches[self] = None
        self._end.send("message", rpc.WatchResponse(header=store.header(), created=True))
        self.changed()

    def passes_over(self, revision: int, keys: list[bytes]) -> bool:
        """Whether a change of these keys, sorted, is nothing to a watch that has told all before it."""
        if self._scheduled or self._next != revision:
            return False
        # The first key that is not before what it watches is covered, or none is.
        first = bisect_left(keys, self._prefix)
        if first < len(keys) and self._covers(keys[first]):
            return False
        self._next = revision + 1
        return True

    def changed(self) -> None:
        """There is news: tell it a little later, together with what comes meanwhile."""
        if self._scheduled or not self._open:
            return
        self._scheduled = True
        world = self._member.cluster.world
        drawn = world.random.random
        lag = 0.0002 + (0.002 - 0.0002) * drawn() + self._member.watch_lag * drawn()
        self._tell_after(lag)

    def _tell_after(self, seconds: float) -> None:
        world = self._member.cluster.world
        world.at(world.now + seconds, self._member.process, Handle((self._tell, ())))

    def _tell(self) -> None:
        self._scheduled = False
        cluster = self._member.cluster
        store = cluster.store
        if not self._open:
            return
        if self._member.watches_stall or not cluster.serves(self._member):
            self.changed_later()
            return
        if self._next < store.compacted:
            self._open = False
            self._end.send(
                "message",
                rpc.WatchResponse(header=store.header(), canceled=True, compact_revision=store.compacted),
            )
            return
        for revision, events in store.since(self._next):
            mine = [event for event in events if self._covers(event.kv.key)]
            if mine:
                header = rpc.ResponseHeader(revision=revision)
                self._end.send("message", rpc.WatchResponse(header=header, events=mine))
        self._next = max(self._next, store.revision + 1)

    def changed_later(self) -> None:
        self._scheduled = True
        self._tell_after(_RETRY * 4)

    def _covers(self, key: bytes) -> bool:
        if not self._stop:
            return key == self._prefix
        return self._prefix <= key and (self._stop == b"\0" or key < self._stop)


class Cluster:
    """An etcd cluster of one or three members."""

    def __init__(self, network: Network, members: int = 3) -> None:
        self.network = network
        self.world: World = network.world
        self.store = Store()
        self.late_writes = 0.0
        """Share of writes that are applied long after they arrived, whose callers hear nothing."""
        self.unknown = 0
        """Writes that were applied although their callers never heard of it."""
        self._applied_at = 0.0
        self._leader: Member | None = None
        self.members: list[Member] = []
        self.store.on_change.append(self._tell_watches)
        for number in range(members):
            name = f"etcd{number + 1}"
            process = Process(self.world, name, Host(self.world, name))
            self.members.append(Member(self, process, f"{name}:2379"))
        self._elect()
        self._tick()

    def _tell_watches(self, revision: int, events: list[Any]) -> None:
        keys = sorted([event.kv.key for event in events])
        for member in self.members:
            prompt = not member.watch_lag and not member.watches_stall and self.serves(member)
            for watch in member.watches:
                if not (prompt and watch.passes_over(revision, keys)):
                    watch.changed()

    # --- consensus -----------------------------------------------------------------------------------------

    def serves(self, member: Member) -> bool:
        """Whether it reaches a majority now."""
        process = member.process
        if not process.alive or process.paused:
            return False
        reached, network = 0, self.network
        for other in self.members:
            peer = other.process
            if other is member or (
                peer.alive
                and not peer.paused
                and not (network.anything_cut and network.are_parted(process.host, peer.host))
            ):
                reached += 1
        return reached * 2 > len(self.members)

    def _decides(self) -> bool:
        """Whether any of them serves."""
        return self.serves(self.members[0]) or any(self.serves(each) for each in self.members[1:])

    def _elect(self) -> None:
        """A new leader of etcd gives every lease its full term."""
        self._leader = next((member for member in self.members if self.serves(member)), None)
        if self._leader is not None:
            for lease in self.store.leases.values():
                lease.ends_at = self.world.now + lease.ttl

    def _tick(self) -> None:
        if self._leader is None or not self.serves(self._leader):
            self._elect()
        elif self.store.leases:
            now = self.world.now
            for lease in [lease for lease in self.store.leases.values() if lease.ends_at <= now]:
                self.store.revoke(lease.id)
        self.world.later(self.world.random.uniform(0.2, 0.6), self._tick)

    def go_on(self) -> None:
        """All members were stopped and go on: the leases' time went on meanwhile."""
        for member in self.members:
            member.process.resume()
        now = self.world.now
        for lease in [lease for lease in self.store.leases.values() if lease.ends_at <= now]:
            self.store.revoke(lease.id)

    def restart(self, member: Member) -> None:
        """A killed member comes back, with what the cluster agreed on."""
        if member not in self.members:
            return  # A restore has put another one in its place.
        index = self.members.index(member)
        process = Process(self.world, member.process.name, member.process.host)
        self.members[index] = Member(self, process, member.address)

    def restore(self, backup: Store) -> None:
        """An older state takes the place of the present one; every connection is gone.

        What was on its way to the old members is gone with them. Lease ids are never given twice.
        """
        for member in self.members:
            member.process.kill()
        backup.on_change, backup.next_lease = self.store.on_change, self.store.next_lease
        self.store = backup
        for member in list(self.members):
            self.restart(member)
        self._elect()

    # --- requests ------------------------------------------------------------------------------------------

    def serve(
        self, member: Member, method: str, request: Any, end: Answers, since: float | None = None
    ) -> None:
        """Answer a request as soon as there is a majority, or with an error."""
        now = self.world.now
        since = now if since is None else since
        if not self.serves(member):
            if member.process.alive:
                waited = now - since
                if waited < _WITHOUT_QUORUM:
                    self.world.later(
                        _RETRY, member.process.soon, self.serve, member, method, request, end, since
                    )
                else:
                    end.send("error", NO_LEADER)
            return
        apply = _METHODS[method]
        delay = 0.0003 + (0.003 - 0.0003) * self.world.random.random()
        if method in _WRITES and self.late_writes and self.world.random.random() < self.late_writes:
            delay += self.world.random.uniform(0.05, 4.0)
        self.world.later(delay, self._apply, self.store, member, apply, request, end, since)

    def _apply(
        self, store: Store, member: Member, apply: Any, request: Any, end: Answers, since: float
    ) -> None:
        if store is not self.store:
            return
        if not self._decides():
            # In the log of a leader without a majority: it may come true later, or be forgotten.
            if self.world.random.random() < 0.5 and self.world.now - since < _REQUEST_TIMEOUT:
                self.world.later(_RETRY * 4, self._apply, store, member, apply, request, end, since)
            else:
                end.send("error", TIMED_OUT)
            return
        try:
            kind, answer = "answer", apply(self, request)
        except Refusal as refusal:
            kind, answer = "error", (refusal.code, refusal.details)
        if apply is _keep_alive:
            kind = "message"
        if not member.process.alive:
            self.unknown += 1
            return
        end.send(kind, answer)

    # --- clients -------------------------------------------------------------------------------------------

    def client(self, process: Process) -> EtcdClient:
        """An etcd client for a process: the real one, on the simulated network."""
        process.loop.connect = self.network.dial
        return SimulatedClient(self, process)


def _range(cluster: Cluster, request: Any) -> Any:
    return cluster.store.range(request)


def _txn(cluster: Cluster, request: Any) -> Any:
    if isinstance(request, bytes):
        request = rpc.TxnRequest.FromString(request)
    return cluster.store.txn(request)


def _compact(cluster: Cluster, request: Any) -> Any:
    cluster.store.compact(request.revision)
    return rpc.CompactionResponse(header=cluster.store.header())


def _grant(cluster: Cluster, request: Any) -> Any:
    if cluster.store.no_space:
        raise Refusal(*NO_SPACE)
    lease = cluster.store.grant(request.TTL)
    lease.ends_at = cluster.world.now + lease.ttl
    return rpc.LeaseGrantResponse(header=cluster.store.header(), ID=lease.id, TTL=lease.ttl)


def _revoke(cluster: Cluster, request: Any) -> Any:
    cluster.store.revoke(request.ID)
    return rpc.LeaseRevokeResponse(header=cluster.store.header())


def _keep_alive(cluster: Cluster, request: Any) -> Any:
    lease = cluster.store.leases.get(request.ID)
    if lease is not None and lease.ends_at <= cluster.world.now:
        lease = None  # It has ended, though nobody has revoked it yet: a renewal does not bring it back.
    if lease is not None:
        lease.ends_at = cluster.world.now + lease.ttl
    ttl = lease.ttl if lease is not None else 0
    return rpc.LeaseKeepAliveResponse(header=cluster.store.header(), ID=request.ID, TTL=ttl)


def _time_to_live(cluster: Cluster, request: Any) -> Any:
    lease = cluster.store.leases.get(request.ID)
    left = -1 if lease is None else max(0, int(lease.ends_at - cluster.world.now))
    granted = 0 if lease is None else lease.ttl
    return rpc.LeaseTimeToLiveResponse(
        header=cluster.store.header(), ID=request.ID, TTL=left, grantedTTL=granted
    )


def _status(cluster: Cluster, _: Any) -> Any:
    return rpc.StatusResponse(header=cluster.store.header(), version="3.4.23", leader=1, dbSize=1, raftTerm=2)


def _alarm(cluster: Cluster, request: Any) -> Any:
    if request.action == rpc.AlarmRequest.DEACTIVATE:
        cluster.store.no_space = False
    alarms = [rpc.AlarmMember(memberID=1, alarm=rpc.NOSPACE)] if cluster.store.no_space else []
    return rpc.AlarmResponse(header=cluster.store.header(), alarms=alarms)


_METHODS: Final[dict[str, Callable[[Cluster, Any], Any]]] = {
    "Range": _range,
    "Txn": _txn,
    "Compact": _compact,
    "LeaseGrant": _grant,
    "LeaseRevoke": _revoke,
    "KeepAlive": _keep_alive,
    "LeaseTimeToLive": _time_to_live,
    "Status": _status,
    "Defragment": lambda cluster, _: rpc.DefragmentResponse(header=cluster.store.header()),
    "Alarm": _alarm,
}
_WRITES: Final = frozenset({"Txn", "LeaseGrant", "LeaseRevoke"})


class _Stubs:
    """The stubs of one member, as `EtcdClient` uses them."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.kv = self.lease = self.maintenance = self.cluster = self.watch = self
        self.txn_bytes = channel.unary_unary("Txn")
        self.LeaseKeepAlive = channel.stream_stream("LeaseKeepAlive")
        self.Watch = channel.stream_stream("Watch")
        for name in _METHODS:
            setattr(self, name, channel.unary_unary(name))


class SimulatedEndpoints(Endpoints):
    """The members as a client sees them; how it chooses among them is the real code."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        channels = [Channel(cluster.network, process, member.address) for member in cluster.members]
        self.links = tuple(
            Link(member.address, channel, _Stubs(channel))  # type: ignore[arg-type]
            for member, channel in zip(cluster.members, channels, strict=True)
        )
        self._user = self._password = None
        self._current = cluster.world.random.randrange(len(self.links))
        self._abandoned = False
        self._token = Token(None)


class SimulatedClient(EtcdClient):
    """EtcdClient over `SimulatedEndpoints`."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self.endpoints = SimulatedEndpoints(cluster, process)
        self._keepalives = KeepAlives(self.endpoints)
        self._timeout = DEFAULT_TIMEOUT
        self.high_water = HighWater()


def everything(store: Store, prefix: bytes) -> dict[bytes, Any]:
    """Every key below a prefix, as it is now."""
    request = rpc.RangeRequest(key=prefix, range_end=prefix_end(prefix))
    return {message.key: message for message in store.range(request).kvs}
