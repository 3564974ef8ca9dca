"""Every test of this folder runs on each etcd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.subjects import Model, Real, Subject, current_etcd
from tests.support.etcd_server import EtcdServer, EtcdServers
from tests.support.ports import borrowed_ports


@pytest.fixture(scope="session", params=["debian", "current", "model"])
def shared(request: pytest.FixtureRequest) -> Iterator[EtcdServer | None]:
    """The server that all tests of one etcd share; None: the model."""
    kind: str = request.param
    program = current_etcd() if kind == "current" else ""
    if kind == "model":
        yield None
        return
    if kind == "current" and not program:
        pytest.skip("no current etcd: build one with `make etcd`, or name one by TENURE_CURRENT_ETCD")
    with borrowed_ports() as borrowed:
        servers = EtcdServers(borrowed)
        try:
            (server,) = servers.launch(program=program)
            yield server
        finally:
            servers.remove()


@pytest.fixture
def subject(shared: EtcdServer | None, etcd_servers: EtcdServers) -> Subject:
    """One etcd after the other."""
    return Model() if shared is None else Real(shared, etcd_servers)
