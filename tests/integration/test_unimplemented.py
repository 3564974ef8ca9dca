"""Does every RPC of the public API answer, or say in a sentence that it does not exist yet?"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import grpc
import pytest

import tenure.v1
from tenure.local.fleet import Fleet
from tenure_runtime.rpc.transport import create_channel

LATER = {
    "ClaimService": {"ClaimTasks", "HeartbeatClaims", "CompleteClaim", "FailClaim", "ReleaseClaims"},
    "TaskTypeService": {"RegisterTaskType", "DeprecateTaskType"},
    "WorkflowService": {"StartWorkflow", "GetWorkflowRun"},
}
EMPTY = b""


def services() -> list[Any]:
    modules = [m.name for m in pkgutil.iter_modules(tenure.v1.__path__) if m.name.endswith("_service_pb2")]
    found = [importlib.import_module(f"tenure.v1.{name}").DESCRIPTOR for name in modules]
    return [service for file in found for service in file.services_by_name.values()]


async def answer(channel: Any, method: Any) -> tuple[grpc.StatusCode, str]:
    """Code and sentence of an empty request; of a stream that goes on, that of its first message."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.server_streaming:
            call = channel.unary_stream(path)(EMPTY, timeout=10)
            await call.read()
            call.cancel()
        else:
            await channel.unary_unary(path)(EMPTY, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def test_what_does_not_exist_yet_says_so_and_everything_else_answers() -> None:
    assert {service.name for service in services()} > set(LATER)
    async with Fleet(agents=0) as fleet:
        for service in services():
            address = fleet.relay_addresses[0] if service.name == "LogService" else fleet.address
            async with create_channel(address) as channel:
                for method in service.methods:
                    code, sentence = await answer(channel, method)
                    if method.name in LATER.get(service.name, ()):
                        assert code is grpc.StatusCode.UNIMPLEMENTED, method.full_name
                        assert " yet: " in sentence, "it says what to do instead"
                    elif code is not grpc.StatusCode.OK:
                        assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), (
                            f"{method.full_name}: {code} {sentence}"
                        )


@pytest.mark.parametrize("service", sorted(LATER))
def test_the_list_above_names_real_rpcs(service: str) -> None:
    (descriptor,) = (each for each in services() if each.name == service)
    assert {method.name for method in descriptor.methods} >= LATER[service]
