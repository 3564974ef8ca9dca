"""A store that is restored from a snapshot is noticed, made another incarnation, and its tasks run again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tenure.v1 import task_service_pb2 as pb
from tenure.v1.task_pb2 import Attempt, LossEvidence, TaskState
from tenure.v1.task_spec_pb2 import ProcessBody, TaskSpec
from tenure_core.errors import NotFound
from tests.adapters.scheduler.processes import NOOP, Api, Schedulers, answers
from tests.support.etcdctl import restore
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.etcd_server import EtcdServer, EtcdServers
    from tests.support.ports import Ports

FIRST_HANGS = "case $TENURE_FENCE in *.1) sleep 600;; esac; echo $TENURE_FENCE"
"""The first attempt runs until it is killed, every later one ends."""


LOOK_SECONDS = 1.0
"""How often a process that is not busy looks at the store."""
LATER = 40
"""So many revisions later is the store put back: more than its processes write at once."""
CANNOT_START = 2


class Service:
    """A process of the fleet that is started and ended by hand."""

    def __init__(self, module: str, log: Path, *flags: str) -> None:
        self._command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", module, *flags]
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill_agent(self) -> None:
        """SIGKILL the warden's agent: the next one greets the leader anew."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            if "--warden-fd" in child.cmdline():
                child.kill()

    def said(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture
def own_etcd(etcd_servers: EtcdServers) -> EtcdServer:
    return etcd_servers.launch()[0]


@pytest.fixture
def schedulers(ports: Ports, own_etcd: EtcdServer, cluster_name: str) -> Iterator[Schedulers]:
    replicas = Schedulers(ports, own_etcd.endpoint, cluster_name)
    yield replicas
    replicas.remove()


@pytest.fixture
def services() -> Iterator[list[Service]]:
    started: list[Service] = []
    yield started
    for service in started:
        service.stop()


async def cluster(own_etcd: EtcdServer, name: str, *words: str) -> str:
    """What `tenure cluster` prints."""
    command = [sys.executable, "-m", "tenure.cli", "cluster", *words, "--json"]
    where = ["--etcd", own_etcd.endpoint, "--cluster", name]
    done = await asyncio.to_thread(
        subprocess.run, [*command, *where], capture_output=True, text=True, timeout=40
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.timeout(120)
async def test_a_restored_store_goes_on_only_as_another_incarnation(
    own_etcd: EtcdServer,
    schedulers: Schedulers,
    services: list[Service],
    cluster_name: str,
    tmp_path: Path,
) -> None:
    scheduler = await schedulers.launch(workers_ttl="3s", leadership_ttl="2s")
    common = ["--schedulers", scheduler.address]
    agent_at = ["--name", "w1", "--data-dir", str(tmp_path / "w1")]
    agent = Service(
        "tenure_worker_agent", tmp_path / "agent.log", *common, *agent_at, "--capacity-cpu-milli", "8000"
    )
    services.append(agent)
    for service in services:
        service.start()
    spec = TaskSpec(process=ProcessBody(argv=["sh", "-c", FIRST_HANGS]))
    async with Api(scheduler.address) as api:
        (before,) = await api.submit(spec)
        await eventually(lambda: runs(api, before), within=30, what="the first task runs")
        snapshot = tmp_path / "it.db"
        taken = json.loads(await cluster(own_etcd, cluster_name, "snapshot", str(snapshot)))
        assert taken["incarnation"]
        agent.kill_agent()
        await eventually(lambda: agent.said().count('"connected"') > 1, within=20, what="another session")
        (after,) = await api.submit(spec)
        await eventually(lambda: runs(api, after), within=20, what="the later task runs")
        scheduler.stop()
        own_etcd.stop()
        restore(snapshot, own_etcd)
        own_etcd.start()
        await own_etcd.ready()

        # Nobody has declared it: the agent, which was told more, is refused, and nothing is assigned.
        scheduler.start()
        await eventually(lambda: answers(api), within=30, what="the scheduler answers")
        await eventually(lambda: "store-rolled-back" in scheduler.said())
        (idle,) = await api.submit(spec)
        assert await api.state(idle) == "PENDING"
        await eventually(lambda: "ROLLED_BACK" in agent.said(), within=20, what="the agent is refused")
        told = json.loads(await cluster(own_etcd, cluster_name, "status"))
        assert "the store was rolled back" in told["rolled_back"]
        scheduler.stop()

        done = json.loads(await cluster(own_etcd, cluster_name, "new-incarnation", "--yes"))
        assert done["incarnation"] > done["before"] == taken["incarnation"]
        scheduler.start()
        await eventually(lambda: answers(api), within=30, what="the scheduler answers again")
        finished = await api.wait(before, timeout=50)
        assert [task.state for task in finished if task.id == before] == [TaskState.TASK_STATE_SUCCEEDED]
        attempts = await history(api, before)
        fences = [attempt.fence for attempt in attempts]
        assert fences == [f"{done['before']}.{before}.1", f"{done['incarnation']}.{before}.2"]
        assert attempts[0].evidence == LossEvidence.LOSS_EVIDENCE_STORE_RESTORED
        assert (await api.get(before)).losses == 0
        with pytest.raises(NotFound):
            await api.get(after)
        said = scheduler.said()
        assert "orphans: a worker holds attempts of an earlier incarnation" in said
        assert f"{done['before']}.{after}.1" in said


@pytest.mark.timeout(120)
async def test_processes_that_see_the_store_go_back_end_with_code_2_and_say_what_to_do(
    own_etcd: EtcdServer,
    schedulers: Schedulers,
    services: list[Service],
    cluster_name: str,
    ports: Ports,
    tmp_path: Path,
) -> None:
    """They were not stopped for the restore, as they should have been."""
    scheduler = await schedulers.launch(leadership_ttl="2s")
    listen = ("--listen", f"127.0.0.1:{ports.take()}", "--data-dir", str(tmp_path / "relay"))
    store = ("--etcd-endpoints", own_etcd.endpoint, "--cluster", cluster_name)
    at = ("--schedulers", scheduler.address)
    relay = Service("tenure_log_relay", tmp_path / "relay.log", *listen, *store, *at)
    services.append(relay)
    relay.start()
    async with Api(scheduler.address) as api:
        await eventually(lambda: knows_relay(api), within=20, what="the relay is registered")
        snapshot = tmp_path / "it.db"
        await cluster(own_etcd, cluster_name, "snapshot", str(snapshot))
        for _ in range(LATER):
            await api.submit(NOOP)
        # The relay looks at the store from time to time; it has to have seen more than the snapshot has.
        await asyncio.sleep(3 * LOOK_SECONDS)
        own_etcd.kill()
        restore(snapshot, own_etcd)
        own_etcd.start()
        await own_etcd.ready()
        for process, said in ((scheduler.process, scheduler.said), (relay.process, relay.said)):
            assert process is not None
            assert await asyncio.to_thread(process.wait, 30) == CANNOT_START
            assert (
                "it was rolled back. Stop the schedulers and call `tenure cluster new-incarnation`" in said()
            )
    told = json.loads(await cluster(own_etcd, cluster_name, "status"))
    assert "it was rolled back" in told["rolled_back"]


async def knows_relay(api: Api) -> bool:
    return bool((await api.info()).log_relays)


async def runs(api: Api, task: str) -> bool:
    return await api.state(task) == "RUNNING"


async def history(api: Api, task: str) -> list[Attempt]:
    return list((await api.call("GetTaskHistory", pb.GetTaskHistoryRequest(task_id=task))).attempts)
