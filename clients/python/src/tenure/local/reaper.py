"""Who cleans up when the supervisor itself is killed?

`python -m tenure.local.reaper COMMAND…` starts the command, passes SIGTERM on, adopts every orphan below it,
and when the command has ended, however it did, kills whatever is left of its tree. It does nothing else, so
there is little that could break it; if it is killed, the command gets SIGTERM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tenure.local.prctl import adopt_orphans, die_with_parent
from tenure.local.process_tree import descendants, end_all, reap

if TYPE_CHECKING:
    from types import FrameType


def main(command: list[str]) -> int:
    """The command's exit code, once nothing of its tree is left."""
    adopt_orphans()
    me = os.getpid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(command, preexec_fn=lambda: die_with_parent(me, signal.SIGTERM))

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)
    code = child.wait()
    end_all(lambda: descendants(me))
    reap()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
