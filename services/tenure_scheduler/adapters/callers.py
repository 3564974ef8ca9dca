"""Who waits for an answer of the core, and until when?"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tenure_core.errors import TenureError
from tenure_core.timing import Instant
from tenure_runtime.etcd.leadership import boottime

RETRY_AFTER: Final = 0.2
"""After how many seconds it is worth while to ask again when the leadership was lost."""
LONGEST_WAIT: Final = 5.0
"""How long a caller waits for a stalled commit before it is told to come again."""
DEADLINE_MARGIN: Final = 0.3


class Caller:
    """One call that waits for its answer."""

    __slots__ = ("future", "gives_up_at")

    def __init__(self, future: asyncio.Future[Any], gives_up_at: Instant) -> None:
        self.future = future
        self.gives_up_at = gives_up_at

    def answer(self, result: Any) -> None:
        """The answer."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: TenureError) -> None:
        """There is none."""
        if not self.future.done():
            self.future.set_exception(error)


class Listener:
    """One call that is answered more than once."""

    __slots__ = ("answers", "gives_up_at", "ticket")

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.gives_up_at: Instant = float("inf")

    def answer(self, result: Any) -> None:
        """A further answer."""
        self.answers.put_nowait(result)

    def fail(self, error: TenureError) -> None:
        """No answer comes any more."""
        self.answers.put_nowait(error)

    @property
    def ready(self) -> bool:
        """Whether the next answer is there already."""
        return not self.answers.empty()

    async def next(self) -> Any:
        """The next answer; raises what it failed with."""
        answer = await self.answers.get()
        if isinstance(answer, TenureError):
            raise answer
        return answer


def gives_up_at(remaining: float | None) -> Instant:
    """When a caller with so many seconds left is told to come again, if its commit hangs."""
    wait = LONGEST_WAIT if remaining is None else min(remaining - DEADLINE_MARGIN, LONGEST_WAIT)
    return boottime() + wait
