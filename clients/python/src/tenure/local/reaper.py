"""Who cleans up when the supervisor itself is killed?

`python -m tenure.local.reaper COMMAND…` starts the command, passes SIGTERM on, adopts every orphan below it,
and when the command has ended kills whatever is left of its tree. A command that was killed is then started
again. It does nothing else, so there is little that could break it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tenure.local.prctl import adopt_orphans
from tenure.local.process_tree import descendants, end_all, reap

if TYPE_CHECKING:
    from types import FrameType

MOST_STARTS: Final = 20


def main(command: list[str]) -> int:
    """The command's exit code, once nothing of its tree is left."""
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopping = False
    code = 0
    for _ in range(MOST_STARTS):
        child = subprocess.Popen(command)

        def pass_on(number: int, frame: FrameType | None, child: subprocess.Popen[bytes] = child) -> None:
            nonlocal stopping
            stopping = True
            child.send_signal(signal.SIGTERM)

        signal.signal(signal.SIGTERM, pass_on)
        code = child.wait()
        end_all(lambda: descendants(os.getpid()))
        reap()
        if code >= 0 or stopping:
            break
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
