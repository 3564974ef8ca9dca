"""Do the client and the servers mean the same by each error?"""

from __future__ import annotations

import inspect

import pytest

from tenure import errors as seen
from tenure import methods, statuses
from tenure.channels import Rpc
from tenure.v1 import cluster_service_pb2, log_service_pb2, task_service_pb2, worker_admin_service_pb2
from tenure_core import errors as served
from tenure_runtime.rpc.status import to_status

CLASSES = [
    cls for _, cls in inspect.getmembers(served, inspect.isclass) if issubclass(cls, served.TenureError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_of_the_servers_arrives_as_the_class_of_that_name(cls: type[served.TenureError]) -> None:
    arrived = statuses.from_status(to_status(cls("because")))
    assert type(arrived).__name__ == cls.__name__
    assert (arrived.reason, arrived.retryable, arrived.message) == (cls.reason, cls.retryable, "because")
    parents = [parent.__name__ for parent in cls.__mro__]
    assert [parent.__name__ for parent in type(arrived).__mro__] == parents


def test_the_details_arrive() -> None:
    bad = served.InvalidArgument(violations=(served.Violation("a.b", "is wrong"),))
    arrived = statuses.from_status(to_status(bad))
    assert isinstance(arrived, seen.InvalidArgument)
    assert arrived.violations == (seen.Violation("a.b", "is wrong"),)
    other = statuses.from_status(
        to_status(served.AlreadyExists(kind="task", name="x", differing=("spec.name",)))
    )
    assert isinstance(other, seen.AlreadyExists)
    assert (other.kind, other.name, other.differing) == ("task", "x", ("spec.name",))
    busy = statuses.from_status(to_status(served.NotLeader(leader="a:1", retry_after=0.25)))
    assert isinstance(busy, seen.NotLeader)
    assert (busy.leader, busy.retry_after) == ("a:1", 0.25)


def test_the_methods_are_those_of_the_services() -> None:
    modules = (task_service_pb2, worker_admin_service_pb2, cluster_service_pb2, log_service_pb2)
    services = {s.full_name: s for m in modules for s in m.DESCRIPTOR.services_by_name.values()}
    for rpc in vars(methods).values():
        if isinstance(rpc, Rpc):
            service, _, method = rpc.path.lstrip("/").partition("/")
            described = services[service].methods_by_name[method]
            assert described.input_type is rpc.request.DESCRIPTOR
            assert described.output_type is rpc.response.DESCRIPTOR
            assert described.server_streaming == rpc.streams
