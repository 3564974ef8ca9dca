"""Where can a test make this process pause, fail or die?

    TENURE_FAILPOINTS="commit.before_tell=pause(2s);relay.before_fsync=exit" tenure-scheduler …

    if failpoints.ACTIVE:
        await failpoints.reach("commit.before_tell")

A point may be `off`, `error` (raises FailpointError), `exit` (as kill -9 would: no cleanup), `pause(2s)`,
`drop` (a message is lost here; only where a point asks `drops`), or any of them after `N*`, for the first N
times only: `1*error`. Without the variable `ACTIVE` is False and
a point costs one look at it. Standard library only.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass
from typing import Final

VARIABLE: Final = "TENURE_FAILPOINTS"
EXIT_CODE: Final = 86
_ACTION: Final = re.compile(r"(?:(\d+)\*)?(off|error|exit|drop|pause\((\d+(?:\.\d+)?)(ms|s)\))")


class FailpointError(RuntimeError):
    """A failpoint was set to fail here."""


@dataclass(slots=True)
class _Point:
    action: str
    seconds: float
    left: int


def parse(text: str) -> dict[str, _Point]:
    """The points that a setting names; ValueError says which part is wrong."""
    points: dict[str, _Point] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, _, action = part.partition("=")
        match = _ACTION.fullmatch(action.strip())
        if not name or match is None:
            raise ValueError(f"{VARIABLE}: {part!r} is not name=off, error, exit, drop or pause(2s)")
        seconds = float(match[3] or 0) * (0.001 if match[4] == "ms" else 1.0)
        points[name.strip()] = _Point(match[2].partition("(")[0], seconds, int(match[1] or -1))
    return points


_points: dict[str, _Point] = parse(os.environ.get(VARIABLE, ""))
ACTIVE: Final = bool(_points)


async def reach(name: str) -> None:
    """Do what the point `name` is set to; a pause lets the loop go on."""
    seconds = _act(name)
    if seconds:
        await asyncio.sleep(seconds)


def reach_blocking(name: str) -> None:
    """The same outside of a loop; a pause stops the thread."""
    seconds = _act(name)
    if seconds:
        time.sleep(seconds)


def drops(name: str) -> bool:
    """Whether what passes the point `name` now is to be lost."""
    point = _points.get(name)
    if point is None or point.action != "drop" or point.left == 0:
        return False
    point.left -= 1
    return True


def _act(name: str) -> float:
    point = _points.get(name)
    if point is None or point.action in ("off", "drop") or point.left == 0:
        return 0.0
    point.left -= 1
    if point.action == "exit":
        os._exit(EXIT_CODE)
    if point.action == "error":
        raise FailpointError(f"failpoint {name}")
    return point.seconds
