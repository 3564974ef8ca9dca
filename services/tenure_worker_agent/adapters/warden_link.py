"""How does the agent talk to its warden?

Over the socket that it was born with. Commands of one loop turn leave in one message, and each batch of
events that arrives is handed on in one call.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from tenure_worker_agent.warden.protocol import Decoder, Message, ProtocolError, encode

OnMessages = Callable[[list[Message]], None]


class WardenLink(asyncio.Protocol):
    """The agent's end of the socket."""

    def __init__(self, on_messages: OnMessages, on_lost: Callable[[], None]) -> None:
        self._on_messages = on_messages
        self._on_lost = on_lost
        self._decoder = Decoder()
        self._unsent: list[Message] = []
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, fd: int, on_messages: OnMessages, on_lost: Callable[[], None]) -> WardenLink:
        """Take over the socket with this number."""
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(lambda: cls(on_messages, on_lost), sock=sock)
        return link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            messages = list(self._decoder.feed(data))
        except ProtocolError:
            self.close()
            return
        if messages:
            self._on_messages(messages)

    def connection_lost(self, _: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._on_lost()

    def send(self, message: Message) -> None:
        """Send at the end of this loop turn, with everything else of it."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(message)

    def _flush(self) -> None:
        messages, self._unsent = self._unsent, []
        if self._transport is not None:
            self._transport.write(encode(messages))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
