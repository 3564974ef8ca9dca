"""How do simulated processes reach each other, and what goes wrong on the way?

Everything is a connection between two processes, as with TCP: what is sent in one direction arrives in order,
late, or never; a peer that died resets it, a peer that is unreachable does not. Calls of gRPC are built on
that: each unary call and each stream has its own delay, so that two calls may overtake each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from tests.simulation.world import Handle, Host, Process, World

if TYPE_CHECKING:
    pass

REFUSED: Final = "failed to connect to all addresses; last error: connection refused"
RESET: Final = "recvmsg: Connection reset by peer"
HUNG_UP: Final = "keepalive watchdog timeout"
_NO_METADATA: Final = grpc.aio.Metadata()
CLIENT_PINGS: Final = (6.0, 3.0)
SERVER_PINGS: Final = (10.0, 5.0)
"""Every how many seconds a side of a stream asks whether the other is there, and how long it waits then."""


def rpc_error(code: grpc.StatusCode, details: str, trailers: Any = ()) -> grpc.aio.AioRpcError:
    """An error as a call of grpc.aio raises it."""
    return grpc.aio.AioRpcError(code, _NO_METADATA, grpc.aio.Metadata(*trailers), details, None)


@dataclass(slots=True)
class Weather:
    """How the network is between two hosts, in one direction."""

    cut: bool = False
    slow: float = 0.0
    """Seconds that a message takes longer, at most."""


class Network:
    """Who can reach whom, and how fast."""

    def __init__(self, world: World, latency: float = 0.0004) -> None:
        self.world = world
        self.random = world.random
        self.latency = latency
        self._servers: dict[str, Any] = {}
        """By address: something with `process`, and what its port can do."""
        self._weather: dict[tuple[str, str], Weather] = {}
        self._links: dict[Link, None] = {}
        self.cuts = 0
        self.anything_cut = False
        """Whether any way is cut."""
        self.handed_on = 0
        """Sessions that one replica opened to another for an agent."""

    # --- places --------------------------------------------------------------------------------------------

    def listen(self, address: str, server: Any) -> None:
        """A process listens; it stops when it dies."""
        self._servers[address] = server
        server.process.on_death.append(lambda: self._closed(address, server))
        server.process.loop.connect = self.dial

    def _closed(self, address: str, server: Any) -> None:
        if self._servers.get(address) is server:
            del self._servers[address]

    def at(self, address: str) -> Any:
        """What listens there; None: nothing."""
        return self._servers.get(address)

    # --- weather -------------------------------------------------------------------------------------------

    def weather(self, source: Host, target: Host) -> Weather:
        key = (source.name, target.name)
        found = self._weather.get(key)
        if found is None:
            found = self._weather[key] = Weather()
        return found

    def cut(self, source: Host, target: Host) -> None:
        """Nothing goes this way any more; what is under way waits, as TCP would send it again."""
        self.weather(source, target).cut = True
        self.cuts += 1
        self.anything_cut = True

    def is_cut(self, source: Host, target: Host) -> bool:
        """Whether nothing goes this way."""
        found = self._weather.get((source.name, target.name))
        return found is not None and found.cut

    def are_parted(self, one: Host, other: Host) -> bool:
        """Whether they cannot talk: one of the two ways between them is cut."""
        return self.anything_cut and (self.is_cut(one, other) or self.is_cut(other, one))

    def heal(self) -> None:
        """The weather is fine everywhere; what was held up arrives."""
        self._weather.clear()
        self.anything_cut = False
        for link in list(self._links):
            link.flush()

    def delay(self, source: Host, target: Host) -> float | None:
        """How long a message takes now; None: it does not get through."""
        drawn = self.random.random
        if source is target:
            return 0.00005 + (0.0002 - 0.00005) * drawn()
        weather = self._weather.get((source.name, target.name)) if self._weather else None
        if weather is not None and weather.cut:
            return None
        delay = self.latency * (0.5 + 1.5 * drawn())
        if drawn() < 0.01:
            delay += 0.2 * drawn()  # A packet was sent again.
        return delay + weather.slow * drawn() if weather is not None and weather.slow else delay

    # --- plain TCP -----------------------------------------------------------------------------------------

    def dial(self, process: Process, address: str) -> Callable[[Any], Any]:
        """A connection that carries nothing; whoever holds it learns of the peer's death."""

        async def connect(protocol_factory: Any) -> Any:
            server = self.at(address)
            target = server.process if server is not None else None
            if target is None:
                await asyncio.sleep(self.latency)
                raise ConnectionRefusedError(111, f"nobody listens at {address}")
            there = self.delay(process.host, target.host)
            back = self.delay(target.host, process.host)
            if there is None or back is None:
                await asyncio.sleep(60)
                raise TimeoutError
            await asyncio.sleep(there + back)
            if not target.alive:
                raise ConnectionRefusedError(111, f"nobody listens at {address}")
            transport = _Transport()
            protocol = protocol_factory()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)

            def died() -> None:
                back = self.delay(target.host, process.host)
                if back is not None and target.resets:
                    self.world.later(back, process.soon, transport.broken)

            target.on_death.append(died)
            return transport, protocol

        return connect


class _Transport(asyncio.Transport):
    """The end of a connection that carries nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._closing = False
        self._protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def broken(self) -> None:
        if not self._closing:
            self._closing = True
            self._protocol.connection_lost(ConnectionResetError(104, RESET))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Link:
    """One stream between two processes: two directions, each in order."""

    __slots__ = ("client", "ends", "network", "server")

    def __init__(self, network: Network, client: Process, server: Process) -> None:
        self.network = network
        self.client = client
        self.server = server
        self.ends = {client: End(self, client, server), server: End(self, server, client)}
        network._links[self] = None
        client.links[self] = server.links[self] = None

    def died(self, process: Process) -> None:
        """One of the two died; unless its machine lost power, its kernel resets the connection."""
        self.ends[process].broken = True
        if process.resets:
            self.ends[process].send_reset()

    def keep_alive(self) -> None:
        """Both sides of a stream look after each other from now on, as gRPC does."""
        self.ends[self.client].ping(*CLIENT_PINGS)
        self.ends[self.server].ping(*SERVER_PINGS)

    def reaches(self) -> bool:
        """Whether a ping would be answered now."""
        here, there = self.client, self.server
        if not (here.alive and there.alive) or here.paused or there.paused:
            return False
        return not self.network.are_parted(here.host, there.host)

    def flush(self) -> None:
        for end in self.ends.values():
            end.flush()

    def close(self) -> None:
        self.network._links.pop(self, None)
        self.client.links.pop(self, None)
        self.server.links.pop(self, None)


def _nobody(kind: str, payload: Any) -> None:
    """Takes what nobody listens for yet."""


class End:
    """What one process sends over a link."""

    __slots__ = ("_held", "_last", "broken", "heard", "link", "mine", "peer", "receive")

    def __init__(self, link: Link, mine: Process, peer: Process) -> None:
        self.link = link
        self.mine = mine
        self.peer = peer
        self.receive: Callable[[str, Any], None] = _nobody
        """Called in the peer's process for what this end sends."""
        self.broken = False
        self.heard = False
        """Something that it sent has arrived."""
        self._held: deque[tuple[str, Any]] = deque()
        self._last = 0.0

    def send(self, kind: str, payload: Any = None) -> None:
        """Send something; it arrives in order, or never."""
        if self.broken:
            return
        if self._held:
            self._held.append((kind, payload))
            self.flush()
            return
        network = self.link.network
        delay = network.delay(self.mine.host, self.peer.host)
        if delay is None:
            self._held.append((kind, payload))
        else:
            self._leave(network.world, delay, kind, payload)

    def send_reset(self) -> None:
        """The kernel's last word; in bad weather it is lost, as the sender is gone."""
        self._held.clear()
        network = self.link.network
        delay = network.delay(self.mine.host, self.peer.host)
        if delay is not None:
            at = max(network.world.now + delay, self._last)
            network.world.later(at - network.world.now, self._arrive, "reset", RESET)

    def flush(self) -> None:
        network = self.link.network
        world = network.world
        while self._held:
            delay = network.delay(self.mine.host, self.peer.host)
            if delay is None:
                return
            self._leave(world, delay, *self._held.popleft())

    def _leave(self, world: World, delay: float, kind: str, payload: Any) -> None:
        """It is on its way, behind what left before."""
        now = world.now
        self._last = at = max(now + delay, self._last + 1e-7)
        world.later(at - now, self._arrive, kind, payload)

    def ping(self, interval: float, patience: float, missed: bool = False) -> None:
        """Ask, and ask once more before the stream is given up."""
        world = self.link.network.world
        wait = patience if missed else interval * world.random.uniform(0.9, 1.1)
        world.later(wait, self._pinged, interval, patience, missed)

    def _pinged(self, interval: float, patience: float, missed: bool) -> None:
        link = self.link
        if self.broken or link not in link.network._links or not self.mine.alive:
            return
        forgotten = link.ends[self.peer].broken
        if self.mine.paused or (link.reaches() and not forgotten):
            self.ping(interval, patience)
        elif not missed and not (forgotten and link.reaches()):
            self.ping(interval, patience, missed=True)
        else:
            self.broken = True
            self._held.clear()
            self.mine.soon(link.ends[self.peer].receive, "reset", HUNG_UP)

    def _arrive(self, kind: str, payload: Any) -> None:
        if not self.peer.alive:
            return
        other = self.link.ends[self.peer]
        if other.broken:
            return
        self.heard = True
        if kind == "reset":
            other.broken = True
        self.peer.due(Handle((self.receive, (kind, payload))))
