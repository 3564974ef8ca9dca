"""How soon does another scheduler lead when the leader is killed, falls silent or is told to end?

With 100,000 tasks in state, three schedulers and default settings. A takeover is over when a call that only
a leader can answer is answered: a cancellation that is committed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from bench.recovery.figures import Figure
from tenure import Client, noop
from tenure.errors import TenureError
from tenure.local.fleet import Fleet
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Say = Callable[[str], None]

TASKS: Final = 100_000
CHUNK: Final = 2_000
LEADER_TTL: Final = 5.0
"""Default of `leadership.ttl`."""
PROBE_SECONDS: Final = 0.02
"""Pause between two tries: the resolution of what is measured."""
