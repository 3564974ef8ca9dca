"""How is one process of a fleet cut off from another, on any machine and without privileges?

Every server advertises the address of its gate, a TCP proxy, and listens elsewhere. Who is calling is read
from /proc: the process at the other end of an accepted connection. So both directions of every pair can be
cut or slowed for themselves, although all of them use one address.

A cut holds bytes back, as a network does that TCP repeats itself over: connections stay open and silent, and
a new one is accepted and gets no answer. Healing delivers what waited, or resets the connections, as a
firewall does that has forgotten them. A server that is gone refuses connections at its gate as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from tenure.local.process_tree import descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Way: TypeAlias = tuple[str, str]
"""Sender and receiver."""
Peer: TypeAlias = tuple[str, int]
"""Host and port of the other end of a connection."""
_LOOK_SECONDS: Final = 0.05
_CHUNK: Final = 1 << 16
_ESTABLISHED: Final = 1


class Links:
    """Which ways are cut or slow."""

    def __init__(self) -> None:
        self._cuts: dict[Way, int] = defaultdict(int)
        self._delays: dict[Way, float] = {}
        self._changed = asyncio.Event()
        self._connections: dict[frozenset[str], set[Callable[[], None]]] = defaultdict(set)

    def cut(self, ways: Iterable[Way]) -> None:
        """Hold back everything on these ways from now on."""
        for way in ways:
            self._cuts[way] += 1

    def heal(self, ways: Iterable[Way], *, reset: bool = False) -> None:
        """Undo one `cut`; with `reset` what waited is lost with its connections."""
        for way in ways:
            self._cuts[way] -= 1
            if reset:
                for abort in list(self._connections[frozenset(way)]):
                    abort()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def slow(self, ways: Iterable[Way], seconds: float) -> None:
        """Let every chunk on these ways take so long; 0: no longer."""
        for way in ways:
            self._delays[way] = seconds

    async def passage(self, way: Way) -> None:
        """Return when bytes may pass."""
        if delay := self._delays.get(way):
            await asyncio.sleep(delay)
        while self._cuts[way]:
            await self._changed.wait()

    @contextlib.contextmanager
    def connection(self, way: Way, abort: Callable[[], None]) -> Iterator[None]:
        """Know of a connection between two processes, which a healing may reset."""
        known = self._connections[frozenset(way)]
        known.add(abort)
        try:
            yield
        finally:
            known.discard(abort)


class Gate:
    """The proxy before one server."""

    def __init__(
        self,
        links: Links,
        server: str,
        target: int,
        caller: Callable[[Peer], str],
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self._links = links
        self._server_name = server
        self._target = target
        self._caller = caller
        self._host = host
        self.port = 0
        self._server: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where the others reach the server."""
        return f"{self._host}:{self.port}"

    async def open(self, port: int) -> None:
        """Accept connections on this port."""
        self.port = port
        self._server = await asyncio.start_server(self._accept, self._host, port, backlog=500)

    async def close(self) -> None:
        """End everything."""
        tasks = [*self._serving, *([self._reopening] if self._reopening else [])]
        if self._server is not None:
            self._server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            peer = writer.get_extra_info("peername")
            # Looking for callers takes so long that those who gave up would be all that a slow machine finds.
            if peer and _is_established(writer.get_extra_info("socket")):
                await self._serve(self._caller(peer[:2]), reader, writer)
        except OSError:
            await self._shut_if_gone()
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _serve(self, caller: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = (caller, self._server_name), (self._server_name, caller)
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._target)

        def abort() -> None:
            writer.transport.abort()
            to_upstream.transport.abort()

        with self._links.connection(there, abort):
            pumps = [
                asyncio.create_task(self._pump(there, reader, to_upstream)),
                asyncio.create_task(self._pump(back, upstream, writer, watched=True)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                abort()
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watched: bool = False
    ) -> None:
        """Carry bytes until either end closes; the end of a connection passes like bytes."""
        with contextlib.suppress(OSError):
            while data := await _read(reader):
                await self._links.passage(way)
                writer.write(data)
                await writer.drain()
        if watched:
            await self._shut_if_gone()
        await self._links.passage(way)

    async def _shut_if_gone(self) -> None:
        """Refuse connections while nobody listens behind the gate."""
        if self._server is None or await self._listens() or self._server is None:
            return
        self._server.close()
        self._server = None
        self._reopening = asyncio.create_task(self._reopen())

    async def _reopen(self) -> None:
        while not await self._listens():  # noqa: ASYNC110  (another process tells nobody that it listens)
            await asyncio.sleep(_LOOK_SECONDS)
        await self.open(self.port)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return False
        writer.transport.abort()
        return True


def _is_established(connection: socket.socket) -> bool:
    """Whether the other end still has it open: the first byte of struct tcp_info is the state."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


class Callers:
    """Whose connection is it? Asked by the host and port that it comes from."""

    def __init__(self, own_name: str, nodes: Mapping[str, str]) -> None:
        self._own_name = own_name
        self._nodes = nodes
        """Names by address of the nodes that have one of their own."""

    def __call__(self, peer: Peer) -> str:
        """Name of the process as its command line has it; the program that asks has `own_name`."""
        host, port = peer
        if host in self._nodes:
            return self._nodes[host]
        wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
        for pid in descendants(os.getpid()):
            if _holds(pid, wanted):
                return _name(pid)
        return self._own_name


def _inodes(port: int) -> list[str]:
    """Inodes of the sockets whose own end is this port."""
    found, end = [], f":{port:04X} "
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            if end not in line:
                continue
            fields = line.split()
            if fields[1].endswith(end[:-1]) and fields[9] != "0":
                found.append(fields[9])
    return found


def _holds(pid: int, wanted: set[str]) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        return any(os.readlink(f"{folder}/{fd}") in wanted for fd in os.listdir(folder))  # noqa: PTH115, PTH208
    except OSError:
        return False


def _name(pid: int) -> str:
    """`scheduler-1` from `--config …/scheduler-1.toml`, `etcd-1` from `--name=etcd-1`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "unknown"
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--config":
            return Path(following).stem
        if word.startswith("--name="):
            return word.removeprefix("--name=")
    return "unknown"
