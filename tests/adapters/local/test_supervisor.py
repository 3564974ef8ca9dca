"""Does the supervisor keep processes running, and does nothing outlive it, whoever is killed?"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tenure.local.etcd_binary import find_etcd
from tenure.local.fleet import Fleet, FleetError
from tenure.local.layout import Size, plan
from tenure.local.plan import AGENT, RELAY, Part, Plan
from tenure.local.process_tree import connected_with, descendants, is_alive, start_ticks
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STUBBORN = "trap '' TERM; sleep 1000 & (cd / && exec setsid sleep 1000) & wait; wait"

WITNESSES = 200
WITNESS = f"""
import os, pathlib, signal
state = pathlib.Path(os.environ["STATE"])
ours, theirs = os.pipe()
for _ in range({WITNESSES}):
    if os.fork() == 0:
        os.close(theirs)
        os.read(ours, 1)
        (state / "noticed").touch()
        signal.pause()
(state / "watching").touch()
signal.pause()
"""
"""A node whose processes would tell that the first one of them ended."""


class Supervised:
    """A supervisor under its reaper, as the fleet starts it."""

    def __init__(self, folder: Path, *parts: Part) -> None:
        self.folder = folder
        file = folder / "plan.json"
        file.write_text(Plan(str(folder), parts, stop_seconds=0.2).to_json())
        module = [sys.executable, "-m", "tenure.local.supervisor"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tenure.local.reaper", *module, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def command(self, what: str, name: str = "") -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, "name": name}).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    async def running(self, name: str) -> int:
        await eventually(lambda: bool(self.command("pids")["pids"][name]), what=f"{name} runs")
        return int(self.command("pids")["pids"][name])

    def tree(self) -> list[int]:
        return descendants(self.process.pid)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait(10)
        self.process.stdout.close()


def part(tmp_path: Path, name: str, script: str, kind: str = RELAY) -> Part:
    state = tmp_path / name
    state.mkdir()
    return Part(name, kind, ("sh", "-c", script), {"STATE": str(state)}, state_dir=str(state))


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Supervised]:
    stubborn = part(tmp_path, "node", STUBBORN, AGENT)
    simple = part(tmp_path, "simple", "exec sleep 1000")
    found = Supervised(tmp_path, stubborn, simple)
    yield found
    found.close()
    assert not [pid for pid in found_pids(tmp_path) if is_alive(pid)]


def found_pids(folder: Path) -> list[int]:
    return connected_with(folder)


async def test_what_is_killed_is_started_again(supervised: Supervised) -> None:
    pid = await supervised.running("simple")
    supervised.command("kill", "simple")
    await eventually(
        lambda: supervised.command("pids")["pids"]["simple"] not in (0, pid), what="it runs again"
    )


async def test_a_killed_node_takes_its_daemons_along_and_stays_down(supervised: Supervised) -> None:
    await supervised.running("node")
    await eventually(lambda: len(found_pids(supervised.folder / "node")) == 3, what="it is up")
    before = found_pids(supervised.folder / "node")
    killed = supervised.command("kill_node", "node")["killed"]
    assert set(before) <= set(killed)
    assert not found_pids(supervised.folder / "node")
    # Whatever dies later is up again before this is looked at.
    pid = await supervised.running("simple")
    supervised.command("kill", "simple")
    await eventually(lambda: supervised.command("pids")["pids"]["simple"] not in (0, pid))
    assert supervised.command("pids")["pids"]["node"] == 0
    supervised.command("start", "node")
    assert await supervised.running("node")


async def test_no_process_of_a_killed_node_sees_another_end(tmp_path: Path) -> None:
    (tmp_path / "witness.py").write_text(WITNESS)
    node = part(tmp_path, "node", f"exec {sys.executable} -I -S {tmp_path / 'witness.py'}", AGENT)
    with contextlib.closing(Supervised(tmp_path, node)) as supervised:
        await eventually((tmp_path / "node" / "watching").exists, what="the node has all its processes")
        killed = supervised.command("kill_node", "node")["killed"]
        assert len(killed) == WITNESSES + 1
        assert not (tmp_path / "node" / "noticed").exists()


async def test_a_paused_process_is_stopped_and_goes_on(supervised: Supervised) -> None:
    pid = await supervised.running("simple")
    supervised.command("pause", "simple")
    await eventually(lambda: _letter(pid) == "T", what="it is stopped")
    supervised.command("resume", "simple")
    await eventually(lambda: _letter(pid) != "T", what="it goes on")


async def test_a_killed_supervisor_takes_all_along_and_begins_anew(supervised: Supervised) -> None:
    await supervised.running("node")
    await eventually(lambda: len(found_pids(supervised.folder / "node")) == 3, what="it is up")
    tree = {pid: start_ticks(pid) for pid in supervised.tree()}
    os.kill(supervised.tree()[0], signal.SIGKILL)
    await eventually(
        lambda: not [pid for pid, ticks in tree.items() if is_alive(pid, ticks)], what="all ended"
    )
    assert await supervised.running("node")


async def test_a_killed_reaper_changes_nothing(supervised: Supervised) -> None:
    pid = await supervised.running("node")
    supervised.process.kill()
    supervised.process.wait()
    assert await supervised.running("node") == pid


async def test_settings_of_other_servers_do_not_reach_the_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_SCHEDULER_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("ETCD_NAME", "other")
    found = Supervised(tmp_path, part(tmp_path, "simple", "env; exec sleep 1000"))
    try:
        log = tmp_path / "logs" / "simple.log"
        await eventually(lambda: log.exists() and "STATE=" in log.read_text(), what="it ran")
        assert "TENURE_SCHEDULER" not in log.read_text()
        assert "ETCD_NAME" not in log.read_text()
    finally:
        found.close()


async def test_etcd_comes_back_on_its_data(tmp_path: Path) -> None:
    etcd = plan(tmp_path, find_etcd().path, Size(schedulers=0, agents=0, relays=0)).parts[0]
    found = Supervised(tmp_path, etcd)
    try:
        pid = await found.running("etcd")
        member = tmp_path / "etcd" / "member"
        await eventually(member.exists, what="it wrote its data")
        found.command("kill", "etcd")
        await eventually(lambda: found.command("pids")["pids"]["etcd"] not in (0, pid), what="it runs again")
        assert found.command("pids")["exits"]["etcd"] == [-9]
    finally:
        found.close()


async def test_a_folder_serves_one_fleet_at_a_time(tmp_path: Path) -> None:
    found = Supervised(tmp_path, part(tmp_path, "simple", "exec sleep 1000"))
    try:
        await found.running("simple")
        with pytest.raises(FleetError, match=r"a fleet runs in .* already \(pid \d+\)"):
            await Fleet(data_dir=tmp_path).start()
    finally:
        found.close()


async def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FleetError, match=r"cannot use .*file/below: Not a directory"):
        await Fleet(data_dir=tmp_path / "file" / "below").start()


def _letter(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
