"""TLS and users are really used, and refusals say so."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
import trustme

from tenure_runtime.etcd.channel import Tls
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdAuthRefused, EtcdUnavailable, EtcdUnknownOutcome
from tenure_runtime.etcd.stubs import auth, rpc
from tenure_runtime.etcd.watch import Delta, PrefixWatch
from tests.adapters.etcd.reaching import answers

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from tenure_runtime.etcd.keys import Keys
    from tests.support.etcd_server import EtcdServer, EtcdServers
from tests.support.waiting import eventually

AUTHORITY = trustme.CA()


def tls(authority: trustme.CA = AUTHORITY, *, identity: trustme.CA | None = AUTHORITY) -> Tls:
    if identity is None:
        return Tls(ca=authority.cert_pem.bytes())
    own = identity.issue_cert("scheduler.test")
    return Tls(
        ca=authority.cert_pem.bytes(),
        cert=b"".join(blob.bytes() for blob in own.cert_chain_pems),
        key=own.private_key_pem.bytes(),
    )


@pytest.fixture
async def tls_server(etcd_servers: EtcdServers, tmp_path: Path) -> EtcdServer:
    certificate = AUTHORITY.issue_cert("127.0.0.1", "localhost", "etcd.test")
    ca, cert, key = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    AUTHORITY.cert_pem.write_to_path(ca)
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(cert, append=True)
    (server,) = etcd_servers.create()
    server.flags = [
        *(
            f"--listen-client-urls=https://{server.endpoint}",
            f"--advertise-client-urls=https://{server.endpoint}",
        ),
        *(f"--cert-file={cert}", f"--key-file={key}", f"--trusted-ca-file={ca}", "--client-cert-auth"),
    ]
    server.start()
    async with EtcdClient([server.endpoint], tls=tls()) as client:
        await answers(client)
    return server


async def test_tls_with_our_certificate(tls_server: EtcdServer, keys: Keys) -> None:
    async with EtcdClient(
        ["https://" + tls_server.endpoint.replace("127.0.0.1", "localhost")], tls=tls()
    ) as client:
        await client.put(keys.task("a"), b"1")
        lease = await client.lease_grant(30)
        assert await client.lease_keepalive(lease.id) == 30


@pytest.mark.parametrize(
    "offered",
    [None, tls(trustme.CA()), tls(identity=None), tls(identity=trustme.CA())],
    ids=["plain text", "unknown authority", "no certificate", "certificate of a stranger"],
)
async def test_anything_less_is_refused(tls_server: EtcdServer, offered: Tls | None) -> None:
    async with EtcdClient([tls_server.endpoint], tls=offered) as client:
        with pytest.raises(EtcdUnavailable, match="etcd cannot be reached"):
            await client.get(b"a", timeout=2)


def test_tls_is_not_dropped_silently() -> None:
    with pytest.raises(ValueError, match="write https"):
        EtcdClient(["http://127.0.0.1:1"], tls=tls())


@pytest.fixture
async def guarded(own_server: EtcdServer, keys: Keys) -> EtcdServer:
    """A server with authentication: root, and `tenure`, who may use this test's keys only."""
    async with EtcdClient([own_server.endpoint]) as client:
        await answers(client)
        service = client.endpoints.current.stubs.auth
        await service.UserAdd(rpc.AuthUserAddRequest(name="root", password="secret"))
        await service.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
        await service.RoleAdd(rpc.AuthRoleAddRequest(name="tenure"))
        permission = auth.Permission(
            permType=auth.Permission.READWRITE, key=keys.prefix, range_end=keys.prefix[:-1] + b"0"
        )
        await service.RoleGrantPermission(rpc.AuthRoleGrantPermissionRequest(name="tenure", perm=permission))
        await service.UserAdd(rpc.AuthUserAddRequest(name="tenure", password="s3cret"))
        await service.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="tenure", role="tenure"))
        await service.AuthEnable(rpc.AuthEnableRequest())
    return own_server


async def test_a_user_is_let_in_where_he_may(guarded: EtcdServer, keys: Keys) -> None:
    async with EtcdClient([guarded.endpoint], user="tenure", password="s3cret") as client:
        assert await client.put(keys.task("a"), b"1")
        with pytest.raises(EtcdAuthRefused, match="permission denied"):
            await client.put(b"/elsewhere", b"1")
    async with EtcdClient([guarded.endpoint]) as client:
        with pytest.raises(EtcdAuthRefused):
            await client.put(keys.task("a"), b"1")
    async with EtcdClient([guarded.endpoint], user="tenure", password="wrong") as client:
        with pytest.raises(EtcdAuthRefused, match="authentication failed"):
            await client.put(keys.task("a"), b"1")


async def test_a_forgotten_token_is_replaced(guarded: EtcdServer, keys: Keys) -> None:
    """A restarted server knows no tokens: calls and renewals go on all the same."""
    async with EtcdClient([guarded.endpoint], user="tenure", password="s3cret") as client:
        lease = await client.lease_grant(60)
        await client.put(keys.task("a"), b"1", lease=lease.id)
        guarded.kill()
        guarded.start()
        await guarded.ready()
        await eventually(lambda: taken(client.put(keys.task("a"), b"2", lease=lease.id)))
        assert await client.lease_keepalive(lease.id) == 60


async def test_a_watch_replaces_a_forgotten_token(guarded: EtcdServer, keys: Keys) -> None:
    root = EtcdClient([guarded.endpoint], user="root", password="secret")
    client = EtcdClient([guarded.endpoint], user="tenure", password="s3cret")
    async with root, client, contextlib.aclosing(PrefixWatch(client, keys.prefix).changes()) as changes:
        await anext(changes)
        await root.put(keys.task("a"), b"1")
        assert isinstance(await anext(changes), Delta)
        guarded.kill()
        following = asyncio.ensure_future(anext(changes))
        guarded.start()
        await eventually(lambda: taken(root.put(keys.task("a"), b"2")))
        change = await asyncio.wait_for(following, 20)
        assert isinstance(change, Delta)
        assert change.events[0].value == b"2"


async def taken(call: Awaitable[object]) -> bool:
    try:
        await call
    except (EtcdUnavailable, EtcdUnknownOutcome):
        return False
    return True


async def test_a_watch_beyond_the_permission_is_refused(guarded: EtcdServer) -> None:
    async with EtcdClient([guarded.endpoint], user="tenure", password="s3cret") as client:
        changes = PrefixWatch(client, b"/elsewhere").changes(2)
        with pytest.raises(EtcdAuthRefused):
            async with asyncio.timeout(10):
                await anext(changes)
