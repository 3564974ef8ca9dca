"""Does a clock of the boot start again, for one process, and what does a warden make of it?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults import boot_clock
from tests.faults.program import machine_clock

if TYPE_CHECKING:
    from pathlib import Path

UPTIME = 5.0
CLOCKS = """
import json, os, time
from tests.faults.program import machine_clock
boot, monotonic = (time.clock_gettime(getattr(time, f"CLOCK_{name}")) for name in ("BOOTTIME", "MONOTONIC"))
print(json.dumps([os.getpid(), boot, monotonic, machine_clock(), time.time()]))
"""


@pytest.fixture(autouse=True)
def possible() -> None:
    """Where the clock cannot start again there is nothing to look at."""
    if why := boot_clock.why_not():
        pytest.skip(why)


def clocks(offset: Path) -> list[float]:
    """What a process that is started with this offset sees: whether the pid is its own, and its clocks."""
    command = boot_clock.argv(offset, (sys.executable, "-c", CLOCKS))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate()
    pid, *seen = json.loads(output)
    assert pid == process.pid
    return [float(clock) for clock in seen]


def test_a_clock_starts_again_and_the_machines_can_still_be_read(tmp_path: Path) -> None:
    boot_clock.write(tmp_path / "offset", UPTIME)
    before, wall = machine_clock(), time.time()
    boot, monotonic, machine, its_wall = clocks(tmp_path / "offset")
    passed = machine_clock() - before
    assert UPTIME - 1 <= boot <= UPTIME + passed + 1
    assert UPTIME - 1 <= monotonic <= UPTIME + passed + 1
    assert before <= machine <= before + passed
    assert wall <= its_wall <= time.time()


def test_a_clock_goes_on_when_a_process_is_started_again(tmp_path: Path) -> None:
    boot_clock.write(tmp_path / "offset", UPTIME)
    first, second = clocks(tmp_path / "offset"), clocks(tmp_path / "offset")
    assert first[0] < second[0] < first[0] + 20
    boot_clock.write(tmp_path / "offset")
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= clocks(tmp_path / "offset")[0] <= time.clock_gettime(time.CLOCK_BOOTTIME)
