"""Do the test fixtures themselves keep their word?"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.etcd_server import EtcdServer, EtcdServers
from tests.support.leaks import Belongings, leaked_since, leaked_tasks
from tests.support.ports import borrowed_ports
from tests.support.waiting import eventually, wait_until


async def test_a_shared_etcd_is_healthy(etcd: EtcdServer, cluster_name: str) -> None:
    assert etcd.healthy()
    assert cluster_name.startswith("test-")


async def test_an_etcd_comes_back_on_its_data_after_a_kill(etcd_servers: EtcdServers) -> None:
    (server,) = etcd_servers.launch()
    before = server.pid
    server.kill()
    assert not server.running
    server.start()
    await server.ready()
    assert server.pid != before
    assert (server.data_dir / "member/wal").is_dir()


def test_a_frozen_etcd_answers_nothing(etcd_servers: EtcdServers) -> None:
    (server,) = etcd_servers.launch()
    server.pause()
    assert not server.healthy()
    server.resume()
    server.wait_ready()


def test_three_members_form_a_cluster(etcd_servers: EtcdServers) -> None:
    members = etcd_servers.launch(members=3)
    members[0].kill()
    wait_until(members[1].healthy)


def test_a_port_is_handed_out_once() -> None:
    with borrowed_ports() as here, borrowed_ports() as there:
        taken = [ports.take() for ports in (here, there) for _ in range(50)]
    assert len(set(taken)) == 100


async def test_waiting_returns_the_first_true_answer() -> None:
    answers = iter([0, None, 7])
    assert await eventually(lambda: next(answers)) == 7


async def test_waiting_says_what_it_waited_for() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(AssertionError, match=r"the moon: not so within 0.05 s; the last answer was False"):
        await eventually(never, within=0.05, what="the moon")


async def test_a_task_left_behind_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.leaks._PATIENCE", 0.05)
    forgotten = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    (leak,) = await leaked_tasks()
    assert "forgotten" in leak
    forgotten.cancel()


def test_files_sockets_and_processes_left_behind_are_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.support.leaks._PATIENCE", 0.05)
    before = Belongings.now()
    # Only the orphan is left when its parent has ended: it is ours then.
    orphaning = "import subprocess; subprocess.Popen(['sleep', '600'])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", orphaning], check=True)
    pair = socket.socketpair()
    with (tmp_path / "open").open("w"), socket.create_server(("127.0.0.1", 0)) as listening:
        leaks = leaked_since(before)
        port = listening.getsockname()[1]
    for end in pair:
        end.close()
    assert len(leaks) == 3
    assert any(str(tmp_path / "open") in leak for leak in leaks)
    assert any(f"127.0.0.1', {port}" in leak for leak in leaks)
    assert leaks[-1].endswith("sleep 600")
    assert leaked_since(before) == []


def test_etcd_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = """
import os, signal
from pathlib import Path
from tests.support.etcd_server import EtcdServers
from tests.support.ports import Ports
(server,) = EtcdServers(Ports()).launch()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environ = {**os.environ, "PYTHONPATH": str(Path.cwd()), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environ)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not _runs(int(done.stdout)), what="etcd ended")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
