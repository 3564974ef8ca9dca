"""Does every RPC of the real protocols declare who may call it?"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest

import tenure.dispatch.v1
import tenure.v1
from tenure_core.errors import PermissionDenied, Unauthenticated
from tenure_runtime.rpc.access import (
    ANONYMOUS,
    Access,
    Identity,
    identity_of,
    parse_identity,
    permission_of,
    require_worker,
)

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
    kinds = ("scheduler", "relay", "worker", "user")
    speaking = {kind: checked.may_forward(Identity(kind, "x"), "PERMISSION_SUBMIT") for kind in kinds}
    assert speaking == {"scheduler": True, "relay": False, "worker": False, "user": False}
    reading = {kind: checked.may_forward(Identity(kind, "x"), "PERMISSION_READ_LOGS") for kind in kinds}
    assert reading == {"scheduler": True, "relay": True, "worker": False, "user": False}
    assert open_to_all.may_forward(ANONYMOUS, "PERMISSION_SUBMIT")


def held_by(kind: str) -> set[str]:
    """The permissions of all real RPCs that a certificate of this kind holds."""
    access, held = Access(client_certificates=True), set()
    for permission in {str(permission_of(m)) for s in services() for m in s.methods}:
        try:
            access.require(Identity(kind, "x"), permission)
        except PermissionDenied:
            continue
        held.add(permission)
    return held


def test_each_kind_of_certificate_holds_what_it_needs_and_no_more() -> None:
    everything = {str(permission_of(m)) for s in services() for m in s.methods}
    assert held_by("worker") == {"PERMISSION_WORK"}
    assert held_by("relay") == {"PERMISSION_RELAY", "PERMISSION_READ", "PERMISSION_READ_LOGS"}
    assert held_by("scheduler") == set()
    assert held_by("user") == everything - {"PERMISSION_WORK", "PERMISSION_RELAY"}
    with pytest.raises(Unauthenticated, match="client certificate"):
        Access(client_certificates=True).require(ANONYMOUS, "PERMISSION_READ")


def test_a_worker_speaks_for_itself_only() -> None:
    require_worker(Identity("worker", "n1"), "n1")
    require_worker(ANONYMOUS, "n1")
    with pytest.raises(PermissionDenied, match="names worker 'n1', the request 'n2'"):
        require_worker(Identity("worker", "n1"), "n2")
