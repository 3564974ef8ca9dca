"""How does a node get a CLOCK_BOOTTIME that starts again, as that of a machine does when it boots?

In a time namespace (man 7 time_namespaces), whose offset lies in a file: what is started again in the same
boot goes on with the same clock. CLOCK_MONOTONIC starts again with it; the wall clock is the machine's.
"""

from __future__ import annotations

import functools
import subprocess
from typing import TYPE_CHECKING, Final

from tests.faults.program import machine_clock

if TYPE_CHECKING:
    from pathlib import Path

_ENTER: Final = 'by=$(cat "$0") && exec unshare --time --monotonic="$by" --boottime="$by" -- "$@"'
_PROBE_SECONDS: Final = 1000


@functools.cache
def why_not() -> str:
    """What keeps a clock from starting again here; empty: nothing does.

    A process gets its new clock when it is executed since Linux 6.2, before that only its children do: the
    warden would then be nobody's child whom its supervisor knows.
    """
    command = ("unshare", "--time", f"--boottime={_PROBE_SECONDS}", "cat", "/proc/uptime")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"unshare cannot be run: {error.strerror}"
    if done.returncode:
        return f"time namespaces need root and Linux 5.6: {done.stderr.strip()}"
    ahead = float(done.stdout.split()[0]) - machine_clock()
    return "" if ahead > _PROBE_SECONDS / 2 else "a clock for a process itself needs Linux 6.2"


def argv(offset: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command, on a clock that is off by the seconds in this file when it is started; its pid stays."""
    return ("sh", "-c", _ENTER, str(offset), *command)


def write(offset: Path, uptime: float | None = None) -> None:
    """Let the clock begin at `uptime` now, in whole seconds; None: it is the machine's own."""
    offset.write_text("0\n" if uptime is None else f"{round(uptime - machine_clock())}\n")
