"""Is the checksum of frames zlib's, whichever library computes it?"""

import subprocess
import sys
import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tenure_core import checksum

SERVICES = Path(checksum.__file__).parents[1]
FALLBACK = """
import sys, zlib
sys.path.insert(0, {services!r})
from tenure_core.checksum import crc32
assert crc32 is zlib.crc32
import tenure_worker_agent.warden.spool
"""


@given(st.binary(max_size=5_000), st.integers(0, 2**32 - 1))
def test_it_is_the_same_number_as_that_of_zlib(data: bytes, start: int) -> None:
    assert checksum.crc32(data, start) == zlib.crc32(data, start)
    assert checksum.crc32(memoryview(data)[1:], start) == zlib.crc32(data[1:], start)
    assert checksum.crc32(bytearray(data)) == zlib.crc32(data)


def test_the_standard_library_is_enough() -> None:
    script = FALLBACK.format(services=str(SERVICES))
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)
