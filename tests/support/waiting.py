"""How does a test wait for something that another process or task brings about, without sleeping to be lucky?

Ask for the condition until it holds or a deadline passes. The deadline only bounds a failing run: it may be
generous, because a passing run never waits for it.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, within: float = 20.0, what: str = "") -> T: ...
@overload
async def eventually(condition: Callable[[], T], *, within: float = 20.0, what: str = "") -> T: ...
async def eventually(condition: Callable[[], Any], *, within: float = 20.0, what: str = "") -> Any:
    """Return the first true answer of `condition`, which may be a function or a coroutine function.

    An AssertionError or LookupError that it raises counts as "not yet". Fails with the last answer after
    `within` seconds; `what` says in that failure what was awaited.
    """
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        answer: object
        try:
            asked = condition()
            answer = await asked if inspect.isawaitable(asked) else asked
            if answer:
                return answer
        except (AssertionError, LookupError) as error:
            answer = error
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(condition, within, what, answer))
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def wait_until(condition: Callable[[], T], *, within: float = 20.0, what: str = "") -> T:
    """Do as `eventually` does, for code without an event loop; blocks."""
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        answer: object
        try:
            if answer := condition():
                return answer
        except (AssertionError, LookupError) as error:
            answer = error
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(condition, within, what, answer))
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _complaint(condition: object, within: float, what: str, answer: object) -> str:
    awaited = what or getattr(condition, "__qualname__", repr(condition))
    return f"{awaited}: not so within {within:g} s; the last answer was {answer!r}"
