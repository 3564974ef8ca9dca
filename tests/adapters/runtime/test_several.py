"""Is another server asked when one is gone, each under its own name?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from tenure_runtime.config_sections import TlsConfig
from tenure_runtime.rpc.several import Several
from tests.adapters.runtime.probe import Client, Probe, failure_of, pb, serving
from tests.support.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path


async def echoed(client: Client) -> str:
    return str((await client.unary("Echo", pb.EchoRequest(), timeout=5)).facts["server"])


async def counted(client: Client) -> list[str]:
    return [message.text async for message in client.stream("Count", pb.EchoRequest(count=2))]


async def test_the_next_server_is_asked_after_one_has_failed() -> None:
    async with serving(Probe("second")) as second:
        async with serving(Probe("first")) as first:
            several = Several([first, second])
            client = Client(several.channel)
            assert [await echoed(client), await echoed(client)] == ["first", "first"]
        assert (
            await failure_of(client.unary("Echo", pb.EchoRequest()))
        ).code() is grpc.StatusCode.UNAVAILABLE
        assert await echoed(client) == "second"
        assert await counted(client) == ["0", "1"]
        refusal = await failure_of(client.unary("Echo", pb.EchoRequest(fail="NotFound")))
        assert refusal.code() is grpc.StatusCode.NOT_FOUND
        assert await echoed(client) == "second", "a refusal is an answer"
    await several.close()


async def test_with_tls_each_server_has_a_name_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    names = ("localhost", "127.0.0.1")
    pairs = [authority.issue(name, hosts=(name,)) for name in names]
    one, two = (TlsConfig(cert=pair.cert, key=pair.key) for pair in pairs)
    async with serving(Probe("second"), tls=two) as second:
        async with serving(Probe("first"), tls=one) as first:
            addresses = [first, second.replace("localhost", "127.0.0.1")]
            several = Several(addresses, TlsConfig(ca=authority.ca))
            assert await echoed(Client(several.channel)) == "first"
        await failure_of(Client(several.channel).unary("Echo", pb.EchoRequest()))
        assert await echoed(Client(several.channel)) == "second"
        await several.close()
