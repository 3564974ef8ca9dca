"""How does the C library hand out the large buffers that messages are made of?

By default it maps every buffer above 128 KiB anew and gives it back at once, so that each of the hundreds of
megabytes a second is zeroed by the kernel, page by page, several times on its way. Kept buffers made the path
from push to reader 1.5 times as fast in `bench/relay_speed.py`.
"""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
MIB: Final = 1 << 20


def keep_buffers(*, spare: int = 64 * MIB) -> bool:
    """Serve buffers up to 32 MiB from the heap and keep up to `spare` bytes of it; False without glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    options = ((_MMAP_THRESHOLD, 32 * MIB), (_TRIM_THRESHOLD, spare), (_TOP_PAD, MIB))
    return all(mallopt(option, value) == 1 for option, value in options)
