"""Is a sync really slow, and a program otherwise as it was?"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tenure_runtime.etcd.client import EtcdClient
from tests.faults import slow_sync
from tests.faults.etcd_metrics import defragmentations, read, slower_syncs
from tests.support.etcd_server import etcd_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.etcd_server import EtcdServers

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


async def test_an_etcd_counts_its_slow_syncs_and_keeps_its_data(
    etcd_servers: EtcdServers, tmp_path: Path
) -> None:
    """Linked statically, and its threads are interrupted by signals all the time."""
    delay, program = tmp_path / "delay", tmp_path / "etcd"
    slow_sync.write(delay, 0.0)
    command = shlex.join(slow_sync.argv(delay, (etcd_program(),)))
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    (server,) = etcd_servers.launch(program=str(program))
    async with EtcdClient([server.endpoint]) as client:
        await client.put(b"a", b"1")
        slow_sync.write(delay, SECONDS)
        before = slower_syncs(await read(server.endpoint), 0.1)
        began = time.monotonic()
        for _ in range(3):
            await client.put(b"a", b"2")
        assert time.monotonic() - began >= 3 * SECONDS
        slow_sync.write(delay, 0.0)
        assert slower_syncs(await read(server.endpoint), 0.1) >= before + 3
        assert defragmentations(await read(server.endpoint)) == 0
        await client.defragment(server.endpoint)
        assert defragmentations(await read(server.endpoint)) == 1
    server.kill()
    server.start()
    await server.ready()
    async with EtcdClient([server.endpoint]) as client:
        found = await client.get(b"a")
        assert found is not None
        assert found.value == b"2"
