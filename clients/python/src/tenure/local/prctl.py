"""How does a process bind its life to its parent's, and inherit orphans?"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

_PDEATHSIG: Final = 1
_CHILD_SUBREAPER: Final = 36
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Get signal `number` when the parent's thread that started this process ends.

    A parent that ended before is noticed by its pid: then this process ends itself.
    """
    _call(_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    _call(_CHILD_SUBREAPER, 1)


def _call(option: int, argument: int) -> None:
    if _LIBC.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
