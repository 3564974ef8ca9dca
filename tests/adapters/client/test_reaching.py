"""Is a client told why no connection to a server with TLS comes about, and what to do?"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import tenure
from tenure import Tls, errors
from tenure.v1 import cluster_service_pb2 as cluster
from tenure_runtime.config_sections import TlsConfig
from tenure_runtime.rpc.server import Server
from tests.support.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CLUSTER = cluster.DESCRIPTOR.services_by_name["ClusterService"]


class Info:
    async def GetServerInfo(self, _request: Any, _call: Any) -> cluster.GetServerInfoResponse:
        return cluster.GetServerInfoResponse(version="here")


@asynccontextmanager
async def serving(tls: TlsConfig | None) -> AsyncIterator[str]:
    server = Server(tls=tls)
    server.add(CLUSTER, Info(), unimplemented="not here")
    (port,) = await server.start(["127.0.0.1:0"])
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def server_tls(ours: Authority) -> TlsConfig:
    pair = ours.issue("server", hosts=("127.0.0.1", "server.test"))
    return TlsConfig(cert=pair.cert, key=pair.key, ca=ours.ca, client_ca=ours.ca)


async def answer(address: str, tls: Tls | None) -> str:
    async with tenure.Client(address, tls=tls, connect_timeout=0.2) as client:
        return str((await client.server_info()).version)


async def refusal(address: str, tls: Tls | None) -> str:
    with pytest.raises(errors.Unavailable) as caught:
        await answer(address, tls)
    return caught.value.message


async def test_the_right_certificates_connect(ours: Authority, server_tls: TlsConfig) -> None:
    alice = ours.issue("alice", name="alice")
    async with serving(server_tls) as address:
        assert await answer(address, Tls(ca=ours.ca, cert=alice.cert, key=alice.key)) == "here"
        named = Tls(ca=ours.ca, cert=alice.cert, key=alice.key, server_name="server.test")
        assert await answer(address, named) == "here"


async def test_what_is_missing_is_named(ours: Authority, server_tls: TlsConfig) -> None:
    async with serving(server_tls) as address:
        assert (
            await refusal(address, None) == f"{address} speaks TLS: give TENURE_TLS_CA, or ca in the context"
        )
        assert await refusal(address, Tls(ca=ours.ca)) == (
            f"{address} asks for a client certificate: give TENURE_TLS_CERT and TENURE_TLS_KEY, "
            "or cert and key in the context"
        )


async def test_what_is_wrong_is_named(ours: Authority, server_tls: TlsConfig, tmp_path: Path) -> None:
    strange = Authority(tmp_path / "strange")
    alice, mallory = ours.issue("alice", name="alice"), strange.issue("mallory", name="alice")
    async with serving(server_tls) as address:
        told = await refusal(address, Tls(ca=ours.ca, cert=mallory.cert, key=mallory.key))
        assert told == f"{address} does not accept the client certificate {mallory.cert}"
        told = await refusal(address, Tls(ca=strange.ca, cert=alice.cert, key=alice.key))
        assert told.startswith(
            f"the certificate of {address} is not signed by the authorities in {strange.ca}"
        )
        other = Tls(ca=ours.ca, cert=alice.cert, key=alice.key, server_name="elsewhere.test")
        assert f"the certificate of {address} is for another name" in await refusal(address, other)


async def test_a_server_without_tls_is_told(ours: Authority) -> None:
    async with serving(None) as address:
        assert await refusal(address, Tls(ca=ours.ca)) == f"{address} does not speak TLS"


async def test_files_that_cannot_be_used_are_told_before_anything_is_sent(
    ours: Authority, tmp_path: Path
) -> None:
    alice, bob = ours.issue("alice", name="alice"), ours.issue("bob", name="bob")
    missing = tmp_path / "missing.pem"
    told = {
        "cert is given without key": Tls(cert=alice.cert),
        "key is given without cert": Tls(key=alice.key),
        f"{bob.key} is not the key of the certificate {alice.cert}": Tls(cert=alice.cert, key=bob.key),
        f"{alice.key} holds no certificate in PEM": Tls(ca=alice.key),
        f"cannot read {missing}: No such file": Tls(ca=missing),
        f"cannot read {missing}: No such": Tls(cert=alice.cert, key=missing),
    }
    for sentence, tls in told.items():
        with pytest.raises(errors.BadConfiguration) as caught:
            await answer("127.0.0.1:9", tls)
        assert sentence in caught.value.message
