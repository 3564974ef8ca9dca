"""What is the CRC-32 of some bytes, as fast as this machine can say?

Every byte of output is summed twice on its way, by the warden and by the relay. `zlib.crc32` needs 0.3 ms
for a MiB, that of ISA-L a tenth of it; the numbers are the same. Where isal is not installed the standard
library is enough.
"""

from __future__ import annotations

try:
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]
