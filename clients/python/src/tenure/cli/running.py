"""How does a command reach the cluster, and how are its errors turned into exit codes?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tenure.cli import exits
from tenure.errors import TenureError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenure.client import Client

FIRST_ANSWER_SECONDS: Final = 1.5
address: str | None = None
"""Set by the global option `--address`."""
context: str | None = None
"""Set by the global option `--context`."""


def with_client(act: Callable[[Client], Awaitable[int | None]], *, patience: float = 20.0) -> NoReturn:
    """Run a command that talks to the cluster, then exit with the code it returns."""

    async def connected() -> int | None:
        from tenure.client import Client

        async with Client(
            address, context=context, patience=patience, connect_timeout=FIRST_ANSWER_SECONDS
        ) as client:
            return await act(client)

    to_the_end(connected())


def to_the_end(work: Any) -> NoReturn:
    """Run a coroutine and exit with the code it returns; every error becomes a line."""
    import asyncio

    try:
        code = asyncio.run(work) or 0
    except TenureError as error:
        code = exits.complain(error)
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    except OSError as error:
        code = exits.refused_by_system(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = exits.refused_by_system(error)
    exits.leave_quietly()
    sys.exit(code)
