"""Does a whole fleet run with TLS, client certificates and etcd's own, and who is kept out?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tenure
from tenure import Tls, errors
from tenure.dispatch.v1 import log_ingest_service_pb2 as ingest
from tenure.dispatch.v1 import log_ingest_service_pb2_grpc as ingest_grpc
from tenure.dispatch.v1 import worker_session_service_pb2 as session
from tenure.dispatch.v1 import worker_session_service_pb2_grpc as session_grpc
from tenure.local.fleet import Fleet
from tenure_core.errors import PermissionDenied
from tenure_runtime.config_sections import TlsConfig
from tenure_runtime.etcd.channel import Tls as EtcdTls
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdAuthRefused
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.stubs import auth, rpc
from tenure_runtime.rpc.status import from_rpc_error
from tenure_runtime.rpc.transport import create_channel
from tests.adapters.etcd.reaching import answers
from tests.adapters.runtime.probe import failure_of, stream_of
from tests.integration.cli.conftest import TENURE, Terminal
from tests.support.certificates import Authority, Pair
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServers

HERE = ("127.0.0.1", "localhost")
COUNT = "for n in $(seq 1 60); do echo $n; sleep 0.1; done; exit 5"
NUMBERS = [str(number) for number in range(1, 61)]


@dataclass
class Secured:
    """A running fleet and who may talk to it."""

    fleet: Fleet
    authority: Authority
    alice: Pair

    def tls(self, pair: Pair | None = None) -> Tls:
        pair = pair or self.alice
        return Tls(ca=self.authority.ca, cert=pair.cert, key=pair.key)

    def channel(self, address: str, pair: Pair) -> Any:
        return create_channel(address, TlsConfig(ca=self.authority.ca, cert=pair.cert, key=pair.key))


@pytest.fixture
async def secured_etcd(etcd_servers: EtcdServers, tmp_path: Path) -> dict[str, Any]:
    """etcd with TLS, client certificates and users: what a service needs to get in."""
    authority = Authority(tmp_path / "etcd-ca")
    own, ours = authority.issue("etcd", hosts=HERE), authority.issue("tenure", name="a scheduler or relay")
    (server,) = etcd_servers.create()
    url = f"https://{server.endpoint}"
    server.flags = [
        *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}", "--client-cert-auth"),
        *(f"--cert-file={own.cert}", f"--key-file={own.key}", f"--trusted-ca-file={authority.ca}"),
    ]
    server.start()
    tls = EtcdTls.from_files(ca=str(authority.ca), cert=str(ours.cert), key=str(ours.key))
    async with EtcdClient([url], tls=tls) as client:
        await answers(client)
        await _only_with_a_password(client)
        with pytest.raises(EtcdAuthRefused):
            await client.put(Keys("default").task("a"), b"1")
    (tmp_path / "password").write_text("s3cret\n")
    return {
        "etcd.endpoints": [url],
        "etcd.user": "tenure",
        "etcd.password_file": str(tmp_path / "password"),
        "etcd.tls.ca": str(authority.ca),
        "etcd.tls.cert": str(ours.cert),
        "etcd.tls.key": str(ours.key),
    }


async def _only_with_a_password(client: EtcdClient) -> None:
    """Users: root, and `tenure`, who may use the keys of the cluster "default" and no others."""
    service = client.endpoints.current.stubs.auth
    await service.UserAdd(rpc.AuthUserAddRequest(name="root", password="secret"))
    await service.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
    await service.RoleAdd(rpc.AuthRoleAddRequest(name="tenure"))
    prefix = Keys("default").prefix
    permission = auth.Permission(permType=auth.Permission.READWRITE, key=prefix, range_end=prefix[:-1] + b"0")
    await service.RoleGrantPermission(rpc.AuthRoleGrantPermissionRequest(name="tenure", perm=permission))
    await service.UserAdd(rpc.AuthUserAddRequest(name="tenure", password="s3cret"))
    await service.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="tenure", role="tenure"))
    await service.AuthEnable(rpc.AuthEnableRequest())


@pytest.fixture
def secured(secured_etcd: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start a fleet with client certificates everywhere; the environment is alice's."""
    authority = Authority(tmp_path / "tenure-ca")
    alice = authority.issue("alice", name="alice")
    monkeypatch.setenv("TENURE_TLS_CA", str(authority.ca))
    monkeypatch.setenv("TENURE_TLS_CERT", str(alice.cert))
    monkeypatch.setenv("TENURE_TLS_KEY", str(alice.key))

    def files(pair: Pair, *, serves: bool = True) -> dict[str, Any]:
        shown = {"tls.cert": str(pair.cert), "tls.key": str(pair.key), "tls.ca": str(authority.ca)}
        return {**shown, "tls.client_ca": str(authority.ca)} if serves else shown

    @asynccontextmanager
    async def started() -> AsyncIterator[Secured]:
        scheduler = authority.issue("scheduler", hosts=HERE, uri="tenure://scheduler/s")
        relay = authority.issue("relay", hosts=HERE, uri="tenure://relay/relay-1")
        worker = authority.issue("worker", uri="tenure://worker/worker-1")
        async with Fleet(
            schedulers=2,
            scheduler_options={**files(scheduler), **secured_etcd},
            relay_options={**files(relay), **secured_etcd},
            agent_options=files(worker, serves=False),
        ) as fleet:
            yield Secured(fleet, authority, alice)

    return started


async def leader_and_follower(client: tenure.Client) -> tuple[str, str]:
    """Name of the leading process, address of the other one."""

    async def both_known() -> Any:
        info = await client.server_info()
        return info if len(info.schedulers) == 2 else None

    info = await eventually(both_known)
    (follower,) = (place.address for place in info.schedulers if place.id != info.leader)
    return info.leader, follower


async def test_a_task_and_its_reader_survive_the_leader(secured: Any, tmp_path: Path) -> None:
    async with secured() as running:
        command = await asyncio.create_subprocess_exec(
            *TENURE, "run", "--", "sh", "-c", COUNT,
            env={**Terminal(tmp_path).env, "TENURE_ADDRESS": running.fleet.address},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert command.stdout is not None
        lines = [(await command.stdout.readline()).decode().strip() for _ in range(10)]
        async with tenure.Client(running.fleet.address, tls=running.tls()) as client:
            leader, _ = await leader_and_follower(client)
            await running.fleet.kill(leader)
            said, errors_said = await command.communicate()
            assert (lines + said.decode().split(), errors_said) == (NUMBERS, b"")
            assert command.returncode == 5
            task = await client.run(tenure.echo("ECHO still here"), timeout=30)
            assert [entry.text async for entry in client.follow_lines(task.id)] == [b"still here"]
        assert (await running.fleet.exits())[leader] == [-9]


async def test_who_shows_no_or_a_wrong_certificate_is_told_so(secured: Any, tmp_path: Path) -> None:
    mallory = Authority(tmp_path / "strange").issue("mallory", name="alice")
    async with secured() as running:
        address = running.fleet.address.split(",")[0]
        terminal = Terminal(tmp_path, address)

        def told(**env: str) -> list[str]:
            done = terminal("ps", code=125, env=env)
            assert done.stdout == ""
            return done.stderr.splitlines()

        nothing = {"TENURE_TLS_CA": "", "TENURE_TLS_CERT": "", "TENURE_TLS_KEY": ""}
        assert told(**nothing) == [f"tenure: {address} speaks TLS: give TENURE_TLS_CA, or ca in the context"]
        (line,) = told(TENURE_TLS_CERT="", TENURE_TLS_KEY="")
        assert line.startswith(f"tenure: {address} asks for a client certificate: give TENURE_TLS_CERT")
        (line,) = told(TENURE_TLS_CERT=str(mallory.cert), TENURE_TLS_KEY=str(mallory.key))
        assert line == f"tenure: {address} does not accept the client certificate {mallory.cert}"
        (line,) = terminal("ps", code=2, env={"TENURE_TLS_KEY": str(mallory.key)}).stderr.splitlines()
        assert line == f"tenure: {mallory.key} is not the key of the certificate {running.alice.cert}"
        assert terminal("ps", "--json").stdout == ""


async def denied(call: Any) -> str:
    error = from_rpc_error(await failure_of(call))
    assert isinstance(error, PermissionDenied)
    return error.message


async def test_a_workers_certificate_works_and_does_nothing_else(secured: Any) -> None:
    async with secured() as running:
        worker = running.authority.issue("other", uri="tenure://worker/worker-2")
        async with tenure.Client(running.fleet.address, tls=running.tls()) as client:
            _, follower = await leader_and_follower(client)
            task = await client.run(tenure.process(["echo", "secret"]), timeout=30)
        async with tenure.Client(running.fleet.address, tls=running.tls(worker)) as client:
            sentence = "is not for workers: this certificate names worker/worker-2, use one that names a user"
            for attempt in (client.submit(tenure.noop()), client.get(task.id), client.cancel(task.id)):
                with pytest.raises(errors.PermissionDenied, match=sentence):
                    await attempt
        beat = session.BeatRequest(worker="worker-1", session=1, lease_id=1, live_revision=1)
        said = session.Hello(worker="worker-1", instance="other", boot_id="other", connect=99, capacity={})
        hello = session.SessionRequest(hello=said)
        push = ingest.PushRequest(worker="worker-1", chunks=[ingest.PushChunk(fence=task.attempt.fence)])
        sentence = "the certificate names worker 'worker-2', the request 'worker-1'"
        for address in running.fleet.address.split(","):
            async with running.channel(address, worker) as channel:
                stub: Any = session_grpc.WorkerSessionServiceStub(channel)
                assert await denied(stub.Beat(beat)) == sentence
                answer = await anext(aiter(stub.Session(stream_of([hello]))))
                refused = answer.WhichOneof("kind") == "refusal"
                assert refused is (address != follower), "a follower only redirects"
                assert not refused or answer.refusal.message == sentence
        async with running.channel(running.fleet.relay_addresses[0], worker) as channel:
            logs: Any = ingest_grpc.LogIngestServiceStub(channel)
            assert await denied(logs.Push(stream_of([push]))) == sentence
            report: Any = ingest_grpc.LogStateServiceStub
        async with running.channel(follower, worker) as channel:
            assert "PERMISSION_RELAY" in await denied(
                report(channel).ReportLogState(ingest.ReportLogStateRequest(relay="relay-1"))
            )
        async with tenure.Client(running.fleet.address, tls=running.tls()) as client:
            assert [worker.name for worker in await client.workers()] == ["worker-1"]
            assert [entry.text async for entry in client.follow_lines(task.id)] == [b"secret"]
