"""Do health, reflection and channelz answer real stubs?"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tenure_runtime.rpc.server import Server
from tenure_runtime.rpc.transport import create_channel
from tests.adapters.runtime.probe import PROBE, SENTENCE, Probe, calling, pb, serving, stream_of

STATUS = health_pb2.HealthCheckResponse


async def test_health_follows_the_servers_life() -> None:
    server = Server()
    server.add(PROBE, Probe(), unimplemented=SENTENCE)
    (port,) = await server.start(["127.0.0.1:0"])
    async with create_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=PROBE.full_name))
        assert (await watch.read()).status == STATUS.NOT_SERVING
        await server.set_serving(True)
        assert (await watch.read()).status == STATUS.SERVING
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == STATUS.SERVING
        await server.set_serving(False)
        assert (await watch.read()).status == STATUS.NOT_SERVING
        await server.set_serving(True)
        assert (await watch.read()).status == STATUS.SERVING
        await server.stop(grace=0.5)
        assert (await watch.read()).status == STATUS.NOT_SERVING


async def test_reflection_lists_and_describes_the_services() -> None:
    async with serving() as address, create_channel(address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest
        asked = [ask(list_services=""), ask(file_containing_symbol="tenure.probe.v1.Probe")]
        listed, described = [answer async for answer in stub.ServerReflectionInfo(stream_of(asked))]
        names = {service.name for service in listed.list_services_response.service}
        assert {PROBE.full_name, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} <= names
        files = described.file_descriptor_response.file_descriptor_proto
        assert "probe.proto" in {FileDescriptorProto.FromString(file).name for file in files}


async def test_channelz_counts_the_calls() -> None:
    async with serving() as address, calling(address) as client:
        await client.unary("Echo", pb.EchoRequest())
        stub: Any = channelz_pb2_grpc.ChannelzStub(client.channel)
        servers = (await stub.GetServers(channelz_pb2.GetServersRequest(start_server_id=0))).server
        assert any(server.data.calls_started >= 1 for server in servers)
