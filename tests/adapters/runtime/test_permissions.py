"""Does every RPC of the real protocols declare who may call it?"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest

import tenure.dispatch.v1
import tenure.v1
from tenure_runtime.rpc.access import ANONYMOUS, Access, Identity, identity_of, parse_identity, permission_of

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor


def services() -> list[ServiceDescriptor]:
    found: list[ServiceDescriptor] = []
    for package in (tenure.v1, tenure.dispatch.v1):
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_pb2"):
                descriptor = importlib.import_module(f"{package.__name__}.{module.name}").DESCRIPTOR
                found.extend(descriptor.services_by_name.values())
    return found


def test_every_method_declares_a_permission() -> None:
    undeclared = [m.full_name for service in services() for m in service.methods if permission_of(m) is None]
    assert undeclared == []
    assert len(services()) >= 5


def test_what_agents_call_is_for_workers() -> None:
    asked = {
        permission_of(m) for s in services() if s.full_name.startswith("tenure.dispatch") for m in s.methods
    }
    assert "PERMISSION_WORK" in asked
    assert None not in asked


@pytest.mark.parametrize(
    ("names", "common", "identity"),
    [
        ([b"tenure://worker/n1"], [b"whatever"], Identity("worker", "n1")),
        ([b"n1.example.org"], [b"worker/n1"], Identity("worker", "n1")),
        ([], [b"alice"], Identity("user", "alice")),
        ([], [b"root/alice"], Identity("user", "root/alice")),
        ([], [], ANONYMOUS),
        ([b"\xff\xfe"], [b"\xff"], Identity("user", "\ufffd")),
    ],
)
def test_certificates_name_their_holder(names: list[bytes], common: list[bytes], identity: Identity) -> None:
    auth = {"x509_subject_alternative_name": names, "x509_common_name": common}
    assert identity_of(auth) == identity
    assert parse_identity(str(identity)) == identity


def test_only_replicas_speak_for_others_where_certificates_are_asked_for() -> None:
    checked, open_to_all = Access(client_certificates=True), Access()
    assert [checked.may_forward(Identity(k, "x")) for k in ("scheduler", "relay", "worker", "user")] == [
        True,
        True,
        False,
        False,
    ]
    assert open_to_all.may_forward(ANONYMOUS)
