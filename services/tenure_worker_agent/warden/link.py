"""How does the warden talk to an agent that may be slow, stopped or gone?"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, Final

from tenure_worker_agent.warden.protocol import Decoder, Message, framed

if TYPE_CHECKING:
    import socket

RECEIVE: Final = 256 << 10
CONGESTED: Final = 1 << 20


class Link:
    """The warden's end of the socket to its agent; nothing here ever blocks."""

    def __init__(self, sock: socket.socket, epoll: select.epoll) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._epoll = epoll
        self._decoder = Decoder()
        self._unsent = bytearray()
        epoll.register(sock.fileno(), select.EPOLLIN)

    @property
    def fd(self) -> int:
        return self._sock.fileno()

    @property
    def congested(self) -> bool:
        """The peer does not read: keep events, and merge those that can be merged."""
        return len(self._unsent) > CONGESTED

    def receive(self) -> list[Message] | None:
        """The commands that arrived; None when the agent has gone."""
        try:
            data = self._sock.recv(RECEIVE)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        return list(self._decoder.feed(data)) if data else None

    def send(self, events: list[str]) -> None:
        """Send now what the socket takes and the rest later."""
        data = framed(events)
        if not self._unsent:
            sent = self._try(data)
            if sent == len(data):
                return
            data = data[sent:]
            self._epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)
        self._unsent += data

    def flush(self) -> None:
        """The socket takes more."""
        del self._unsent[: self._try(self._unsent)]
        if not self._unsent:
            self._epoll.modify(self.fd, select.EPOLLIN)

    def _try(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, ConnectionError):
            return 0

    def close(self) -> None:
        self._epoll.unregister(self.fd)
        self._sock.close()

    def carried(self) -> dict[str, Any]:
        """What a re-executed warden needs to go on in the middle of a message; the socket is detached."""
        unsent, received = self._unsent.hex(), self._decoder.pending.hex()
        return {"fd": self._sock.detach(), "unsent": unsent, "received": received}

    def resume(self, carried: dict[str, Any]) -> None:
        """Go on where `carried` says."""
        self._decoder.pending += bytes.fromhex(carried["received"])
        self._unsent += bytes.fromhex(carried["unsent"])
        if self._unsent:
            self._epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)
