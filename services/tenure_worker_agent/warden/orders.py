"""What is the warden asked to start?"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Final

FENCE: Final = re.compile(r"[0-9]+\.[0-9a-z]+\.[0-9]+")
"""Safe in a file's name and in JSON as it stands."""
DEFAULT_GRACE: Final = 5.0
DROP_OLDEST: Final = "drop_oldest"
BLOCK: Final = "block"
FAIL: Final = "fail"


@dataclass(slots=True)
class Order:
    """One attempt to start, as the agent gave it."""

    fence: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    """Added to the environment that every attempt gets."""
    cwd: str = ""
    """Absolute; empty: the attempt's own fresh directory."""
    stdin: bytes = b""
    stdin_pipe: bool = False
    """Standard input is a pipe that `stdin` commands fill."""
    records: bool = False
    """A third pipe for structured entries, its number in TENURE_RECORDS_FD."""
    memory: int = 0
    """Bytes; 0: not limited."""
    cpu_milli: int = 0
    """Thousandths of a processor; 0: not limited."""
    grace: float = DEFAULT_GRACE
    """Seconds between TERM and KILL."""
    run_limit: float = 0.0
    """Longest run in seconds; 0: none."""
    not_after: float = 0.0
    """CLOCK_BOOTTIME second after which it must not be exec'd; 0: none."""
    exclusive: tuple[float, float] | None = None
    """For `on_disconnect: stop`: when TERM and when KILL is due unless extended, CLOCK_BOOTTIME seconds."""
    log_cap: int = 0
    """Bytes of unacknowledged output; 0: the warden's limit."""
    overflow: str = DROP_OLDEST
    note: Any = None
    """Handed back with the attempt and its exit; the warden does not look at it."""

    @classmethod
    def parse(cls, message: dict[str, Any]) -> Order:
        """Read a start command; KeyError, TypeError or ValueError when the agent is at fault."""
        fields = {name: value for name, value in message.items() if name in cls.__slots__}
        fields["stdin"] = base64.b64decode(fields.get("stdin", ""))
        if fields.get("exclusive"):
            term, kill = fields["exclusive"]
            fields["exclusive"] = (float(term), float(kill))
        order = cls(**fields)
        if not FENCE.fullmatch(order.fence):
            raise ValueError(f"{order.fence[:80]!r} is not a fence")
        if not order.argv or not order.argv[0]:
            raise ValueError("argv is empty")
        if any("\0" in text for text in (*order.argv, *order.env, *order.env.values(), order.cwd)):
            raise ValueError("a NUL byte in argv, environment or working directory")
        if any("=" in name or not name for name in order.env):
            raise ValueError("a variable's name is empty or contains =")
        return order

    def message(self) -> dict[str, Any]:
        """The start command that `parse` reads; only what differs from the defaults."""
        blank = _BLANK
        fields = {
            name: value for name in self.__slots__ if (value := getattr(self, name)) != getattr(blank, name)
        }
        if self.stdin:
            fields["stdin"] = base64.b64encode(self.stdin).decode()
        return {"do": "start", **fields}


_BLANK: Final = Order("", [])
