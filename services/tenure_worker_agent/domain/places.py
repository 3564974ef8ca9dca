"""Which scheduler is talked to next?"""

from __future__ import annotations

from collections.abc import Iterable


class Places:
    """Addresses of schedulers: the configured ones, and those that were learned."""

    def __init__(self, configured: Iterable[str]) -> None:
        self._configured = list(dict.fromkeys(configured))
        self.all: list[str] = list(self._configured)
        self.leader = ""
        """Where the leader was last known to be; empty: unknown."""
        self._next = 0

    def learn(self, addresses: Iterable[str]) -> None:
        """The cluster named its replicas; the configured addresses stay."""
        self.all = list(dict.fromkeys([*self._configured, *filter(None, addresses)]))

    def leads(self, address: str) -> None:
        """Somebody said where the leader is."""
        self.leader = address
        if address and address not in self.all:
            self.all.append(address)

    def answers(self, address: str) -> None:
        """Whoever was just heard knows who leads, if it is not the leader itself: ask there first."""
        self.leader = address

    def for_session(self, avoid: str = "") -> str:
        """Where to say Hello: to the leader if one was named, to whom we just heard, or one after the other.

        Whoever is to be avoided is skipped if there are others.
        """
        address, self.leader = self.leader, ""
        if address and address != avoid:
            return address
        if self.all[self._next % len(self.all)] == avoid:
            self._next += 1
        self._next += 1
        return self.all[(self._next - 1) % len(self.all)]

    def for_beat(self, failures: int) -> str:
        """Where the next beat goes after so many that failed."""
        first = self.all.index(self.leader) if self.leader in self.all else self._next
        return self.all[(first + failures) % len(self.all)]
