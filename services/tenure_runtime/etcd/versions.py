"""Is this version of etcd good enough?

Nested transactions, leases and fragments work as Tenure needs them from 3.4 on. Production should run a
recent patch release of a line that etcd maintains.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class EtcdVersion(NamedTuple):
    """A version of etcd; compares as versions do."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> EtcdVersion:
        """Read `3.5.16` or `3.6.0-rc.1`; raises ValueError."""
        if (match := _NUMBERS.match(text)) is None:
            raise ValueError(f"not a version of etcd: {text!r}")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return ".".join(map(str, self))


class Verdict(Enum):
    """What to do about a version."""

    GOOD = "good"
    WARN = "below the floor for production"
    REFUSE = "too old"


OLDEST: Final = EtcdVersion(3, 4, 0)
PRODUCTION_FLOORS: Final = (EtcdVersion(3, 5, 33), EtcdVersion(3, 6, 14))


def judge(version: EtcdVersion) -> tuple[Verdict, str]:
    """The verdict and a sentence for the operator; no sentence when all is well."""
    if version < OLDEST:
        return Verdict.REFUSE, f"etcd {version} is too old: Tenure needs {OLDEST} or newer"
    if any(version < floor for floor in PRODUCTION_FLOORS if version[:2] == floor[:2]) or (
        version < PRODUCTION_FLOORS[0]
    ):
        floors = " or ".join(map(str, PRODUCTION_FLOORS))
        return Verdict.WARN, f"etcd {version} will do for trying out; run {floors} or newer in production"
    return Verdict.GOOD, ""
