"""Is a sync really slow, and a program otherwise as it was?"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults import slow_sync

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 0.2
SYNCS = """
import json, os, sys, time
began = time.monotonic()
with open(sys.argv[1], "wb", buffering=0) as file:
    file.write(b"x")
    os.fsync(file.fileno())
    os.fdatasync(file.fileno())
print(json.dumps([os.getpid(), time.monotonic() - began]))
"""


@pytest.fixture(autouse=True)
def possible() -> None:
    """Where nobody can be asked there is nothing to look at."""
    if why := slow_sync.why_not():
        pytest.skip(why)


def two_syncs(delay: Path) -> float:
    """How long fsync and fdatasync of a program took; its pid is the one that was started."""
    command = (sys.executable, "-c", SYNCS, str(delay.with_name("synced")))
    with subprocess.Popen(slow_sync.argv(delay, command), stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=30)
    pid, seconds = json.loads(output)
    assert (pid, process.returncode) == (process.pid, 0)
    return float(seconds)


def test_a_sync_takes_as_long_as_the_file_says(tmp_path: Path) -> None:
    delay = tmp_path / "delay"
    slow_sync.write(delay, SECONDS)
    assert two_syncs(delay) >= 2 * SECONDS
    slow_sync.write(delay, 0.0)
    assert two_syncs(delay) < 2 * SECONDS
