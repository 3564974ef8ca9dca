"""Which token shows etcd who we are?

etcd forgets tokens (after 5 minutes without use by default, and when a member restarts), so a call that is
refused for its token asks for a new one and is sent again: such a refusal means that nothing was applied.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Metadata: TypeAlias = tuple[tuple[str, str], ...]

# Without it a member that lost its quorum answers late or, on a stream, never.
_HAS_LEADER: Metadata = (("hasleader", "true"),)


class Token:
    """The metadata of every call, with the token of the configured user if there is one."""

    def __init__(self, authenticate: Callable[[], Awaitable[str]] | None) -> None:
        self._authenticate = authenticate
        self._metadata: Metadata | None = _HAS_LEADER if authenticate is None else None
        self._lock = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """Is there a user, so that a refused token can be replaced?"""
        return self._authenticate is not None

    async def metadata(self) -> Metadata:
        """The metadata for the next call; authenticates first when there is no token."""
        if self._metadata is not None:
            return self._metadata
        async with self._lock:
            if self._metadata is None and self._authenticate is not None:
                self._metadata = (*_HAS_LEADER, ("token", await self._authenticate()))
            return self._metadata or _HAS_LEADER

    def discard(self, refused: Metadata) -> None:
        """Forget this token; one that a concurrent caller has replaced already is kept."""
        if self.renewable and self._metadata is refused:
            self._metadata = None
