"""Are bytes that are no message the caller's fault, for every RPC of every replica?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from tenure.dispatch.v1 import log_ingest_service_pb2, worker_session_service_pb2
from tenure.v1 import (
    cluster_service_pb2,
    task_service_pb2,
    task_type_service_pb2,
    worker_admin_service_pb2,
)
from tests.adapters.scheduler.processes import NOOP, Api

if TYPE_CHECKING:
    from tests.adapters.scheduler.processes import Schedulers

SERVICES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"],
    worker_admin_service_pb2.DESCRIPTOR.services_by_name["WorkerAdminService"],
    task_type_service_pb2.DESCRIPTOR.services_by_name["TaskTypeService"],
    cluster_service_pb2.DESCRIPTOR.services_by_name["ClusterService"],
    worker_session_service_pb2.DESCRIPTOR.services_by_name["WorkerSessionService"],
    log_ingest_service_pb2.DESCRIPTOR.services_by_name["LogStateService"],
)
GARBAGE = (b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe" * 3)
"""A field that does not exist and never ends, a text that is cut off, and texts that are not UTF-8."""


async def refusal(channel: Any, method: Any, data: bytes) -> tuple[grpc.StatusCode, str]:
    """Code and sentence; OK when these bytes are a request of this method after all."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    kind = (
        "stream" if method.client_streaming else "unary",
        "stream" if method.server_streaming else "unary",
    )
    call = getattr(channel, "_".join(kind))(path)
    request: Any = iter([data]) if method.client_streaming else data
    try:
        answer = call(request, timeout=10)
        if method.server_streaming:
            await answer.read()
            answer.cancel()
        else:
            await answer
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def test_bytes_that_are_no_message_are_invalid_arguments_everywhere(schedulers: Schedulers) -> None:
    invalid, later = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED
    for replica in await schedulers.pair():
        async with Api(replica.address) as api:
            for service in SERVICES:
                for method in service.methods:
                    codes = {}
                    for data in GARBAGE:
                        codes[data], sentence = await refusal(api.channel, method, data)
                        assert codes[data] in (invalid, later, grpc.StatusCode.OK), (method.full_name, data)
                        assert codes[data] is grpc.StatusCode.OK or sentence
                    assert codes[GARBAGE[0]] is not grpc.StatusCode.OK, method.full_name
            assert len(await api.submit(NOOP)) == 1, "it goes on"
        assert "Traceback" not in replica.said()
        assert "rpc failed" not in replica.said()
