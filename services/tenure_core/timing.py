"""Which clock does an instant belong to?

Two clocks are never mixed: `Instant` counts seconds on CLOCK_BOOTTIME of one host and is the only one that
decides deadlines; `UtcNs` counts nanoseconds since the epoch and serves display, schedules and persisted
deadlines.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

Instant: TypeAlias = float
"""Seconds on CLOCK_BOOTTIME; meaningless on another host and never written to etcd."""
UtcNs: TypeAlias = int
"""Nanoseconds since 1970-01-01 UTC on the wall clock, which may step; 0: unset."""
Duration: TypeAlias = float
"""Seconds."""

NEVER: Final[Instant] = float("-inf")
FOREVER: Final[Instant] = float("inf")
SECOND_NS: Final = 1_000_000_000


class Now(NamedTuple):
    """Both clocks, read together by the shell once per batch of events."""

    boot: Instant
    utc_ns: UtcNs

    def until(self, deadline: UtcNs, longest: Duration) -> Instant:
        """The instant of a persisted deadline: remaining time clamped to [0, longest].

        The wall clock may have stepped since the deadline was written; the clamp bounds the damage.
        """
        return self.boot + min(max((deadline - self.utc_ns) / SECOND_NS, 0.0), longest)

    def utc_after(self, seconds: Duration) -> UtcNs:
        """The wall-clock time in `seconds` from now, for a deadline that is persisted."""
        return self.utc_ns + int(seconds * SECOND_NS)
