"""Who can connect, and what does an operator read when a server cannot listen?"""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest
import trustme

from tenure_core import errors
from tenure_runtime.config_sections import TlsConfig
from tenure_runtime.rpc.server import Server
from tenure_runtime.rpc.status import from_rpc_error
from tenure_runtime.rpc.transport import create_channel, is_local, split_address
from tenure_runtime.startup import CannotStart
from tests.adapters.runtime.probe import PROBE, SENTENCE, Client, Probe, calling, failure_of, pb, serving

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Pki:
    """Certificates of one authority, as files."""

    folder: Path
    authority: trustme.CA

    def issue(self, name: str, *identities: str, common_name: str | None = None) -> TlsConfig:
        cert = self.authority.issue_cert(*identities, common_name=common_name)
        (self.folder / f"{name}.key").write_bytes(cert.private_key_pem.bytes())
        (self.folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
        return TlsConfig(cert=self.folder / f"{name}.pem", key=self.folder / f"{name}.key", ca=self.ca)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def server(self, name: str = "server", *, client_ca: bool = True) -> TlsConfig:
        issued = self.issue(name, "localhost", "127.0.0.1")
        return TlsConfig(
            cert=issued.cert, key=issued.key, ca=self.ca, client_ca=self.ca if client_ca else None
        )


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Pki(tmp_path, authority)


async def identity_seen(address: str, tls: TlsConfig, method: str = "Echo") -> str:
    async with calling(address, tls) as client:
        return str((await client.unary(method, pb.EchoRequest(), timeout=10)).facts["identity"])


async def test_the_client_certificate_says_who_calls(pki: Pki) -> None:
    async with serving(tls=pki.server()) as address:
        assert await identity_seen(address, pki.issue("a", "x", common_name="alice")) == "user/alice"
        worker = pki.issue("w", "x", common_name="worker/n1")
        assert await identity_seen(address, worker, "Work") == "worker/n1"


async def test_only_workers_may_use_the_workers_api(pki: Pki) -> None:
    async with serving(tls=pki.server()) as address:
        async with calling(address, pki.issue("w", "x", common_name="worker/n1")) as worker:
            assert (await worker.unary("Work", pb.EchoRequest())).facts["identity"] == "worker/n1"
        async with calling(address, pki.issue("a", "x", common_name="alice")) as user:
            error = from_rpc_error(await failure_of(user.unary("Work", pb.EchoRequest())))
            assert isinstance(error, errors.PermissionDenied)
            assert "user/alice" in error.message


async def test_a_workers_certificate_is_for_work_only(pki: Pki) -> None:
    async with serving(tls=pki.server()) as address:
        async with calling(address, pki.issue("w", "x", common_name="worker/n1")) as worker:
            error = from_rpc_error(await failure_of(worker.unary("Echo", pb.EchoRequest())))
            assert isinstance(error, errors.PermissionDenied)
            assert error.message == (
                "PERMISSION_READ is not for workers: this certificate names worker/n1, "
                "use one that names a user"
            )


async def test_without_a_client_certificate_nobody_connects(pki: Pki) -> None:
    async with serving(tls=pki.server()) as address, calling(address, TlsConfig(ca=pki.ca)) as client:
        error = await failure_of(client.unary("Echo", pb.EchoRequest(), timeout=20))
        assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_tls_without_client_authority_serves_the_anonymous(pki: Pki) -> None:
    async with serving(tls=pki.server(client_ca=False)) as address:
        assert await identity_seen(address, TlsConfig(ca=pki.ca)) == "anonymous"


async def test_an_identity_in_metadata_is_believed_only_from_a_replica(pki: Pki) -> None:
    claim = (("tenure-identity", "user/root"),)
    async with serving(tls=pki.server()) as address:
        for name, seen in (("alice", "user/alice"), ("relay/r1", "relay/r1"), ("scheduler/s1", "user/root")):
            tls = pki.issue(name.replace("/", "-"), "x", common_name=name)
            async with calling(address, tls) as client:
                answer = await client.unary("Echo", pb.EchoRequest(), metadata=claim)
                assert answer.facts["identity"] == seen


async def test_a_forwarded_call_keeps_its_callers_identity(pki: Pki) -> None:
    replica = pki.issue("replica", "localhost", common_name="scheduler/s2")
    async with serving(Probe("leader"), tls=pki.server()) as leader:
        async with create_channel(leader, replica) as ahead:

            async def route(method: str) -> grpc.aio.Channel | None:
                return ahead

            async with serving(tls=pki.server("follower"), router=route) as follower:
                worker = pki.issue("w", "x", common_name="worker/n1")
                async with calling(follower, worker) as client:
                    answer = await client.unary("Work", pb.EchoRequest())
                    assert (answer.facts["server"], answer.facts["identity"]) == ("leader", "worker/n1")


async def test_rotated_certificates_are_used_without_a_restart(pki: Pki) -> None:
    tls = pki.server(client_ca=False)
    assert tls.cert is not None
    assert tls.key is not None
    async with serving(tls=tls) as address:
        assert await identity_seen(address, TlsConfig(ca=pki.ca)) == "anonymous"
        other = trustme.CA()
        fresh = Pki(pki.folder / "fresh", other)
        fresh.folder.mkdir()
        other.cert_pem.write_to_path(str(fresh.ca))
        issued = fresh.server(client_ca=False)
        shutil.copy(str(issued.key), tls.key)
        shutil.copy(str(issued.cert), tls.cert)
        assert await identity_seen(address, TlsConfig(ca=fresh.ca)) == "anonymous"


async def test_a_broken_rotation_keeps_the_old_certificate(pki: Pki) -> None:
    tls = pki.server(client_ca=False)
    assert tls.cert is not None
    async with serving(tls=tls) as address:
        tls.cert.write_text("half a file")
        assert await identity_seen(address, TlsConfig(ca=pki.ca)) == "anonymous"


async def refusal(address: str, **options: object) -> str:
    server = Server(**options)  # type: ignore[arg-type]
    server.add(PROBE, Probe(), unimplemented=SENTENCE)
    with pytest.raises(CannotStart) as caught:
        await server.start([address])
    await server.stop(0)
    return str(caught.value)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
async def test_listening_for_others_without_tls_is_refused(address: str) -> None:
    told = await refusal(address)
    assert f"refusing to listen on {address} without TLS" in told
    assert "--insecure" in told


async def test_a_port_in_use_is_told_in_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        told = await refusal(address)
        assert told == f"cannot listen on {address}: another process listens there already"


@pytest.mark.parametrize("address", ["7420", "localhost", ":7420", "a:b", "::1:7420", "localhost:99999"])
async def test_a_malformed_address_is_told_in_a_sentence(address: str) -> None:
    assert "write host:port" in await refusal(address)


async def test_wrong_certificate_files_are_told_in_a_sentence(tmp_path: Path, pki: Pki) -> None:
    missing = TlsConfig(cert=tmp_path / "no.pem", key=tmp_path / "no.key")
    assert "cannot read" in await refusal("127.0.0.1:0", tls=missing)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("hello")
    assert "holds no PEM block" in await refusal("127.0.0.1:0", tls=TlsConfig(cert=nonsense, key=nonsense))


async def test_a_unix_socket_serves(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s.sock"
    server = Server()
    server.add(PROBE, Probe(), unimplemented=SENTENCE)
    await server.start([address])
    async with create_channel(address) as channel:
        assert (await Client(channel).unary("Echo", pb.EchoRequest(text="hi"))).text == "hi"
    await server.stop(0)
    assert "its folder does not exist" in await refusal(f"unix:{tmp_path}/nowhere/s.sock")


def test_addresses_are_taken_apart() -> None:
    assert split_address("[::1]:7420") == ("::1", "7420")
    local = [is_local(a) for a in ("localhost:1", "127.9.9.9:1", "[::1]:1", "unix:/x", "0.0.0.0:1", "h:1")]
    assert local == [True, True, True, True, False, False]
