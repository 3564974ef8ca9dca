"""How does a program that reads much output spare the kernel's work for each message?

By default the C library maps every buffer above 128 KiB anew and gives it back at once, so that the kernel
zeroes each of the hundreds of megabytes a second page by page. That is half of what reading costs.
"""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
_MIB: Final = 1 << 20


def keep_buffers(spare_bytes: int = 64 * _MIB) -> bool:
    """Let this process keep the memory of large messages for the next ones.

    To be called once, at the start of a program that follows tasks with much output; `tenure logs` and
    `tenure run` do so. It changes how the C library's malloc serves the whole process, which is why no
    `Client` does it by itself.

    Args:
        spare_bytes: how much unused memory the process keeps at most at the end of its heap.

    Returns:
        Whether the C library has these settings, as glibc does; without them nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    options = ((_MMAP_THRESHOLD, 32 * _MIB), (_TRIM_THRESHOLD, spare_bytes), (_TOP_PAD, _MIB))
    return all(mallopt(option, value) == 1 for option, value in options)
