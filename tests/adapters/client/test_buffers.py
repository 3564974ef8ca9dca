"""Does a process keep the memory of large messages?"""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from {module} import keep_buffers
{call}
for _ in range(3):
    bytes(2 << 20) + b"1"
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    bytes(2 << 20) + b"1"
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 50 * (2 << 20) // 4096


def faults(module: str, call: str) -> int:
    """Page faults of fifty large messages."""
    script = FAULTS.format(module=module, call=call)
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
@pytest.mark.parametrize("module", ["tenure", "tenure_runtime.allocator"])
def test_large_buffers_are_used_again(module: str) -> None:
    kept = faults(module, "assert keep_buffers()")
    assert kept < PAGES // 10 < faults(module, "")
