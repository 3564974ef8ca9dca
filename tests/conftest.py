"""What every test gets: a real etcd, ports, a name of its own, and a look at what it left behind."""

import inspect
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.etcd_server import EtcdServer, EtcdServers
from tests.support.leaks import Belongings, adopt_orphans, leaked_since, leaked_tasks
from tests.support.ports import Ports, borrowed_ports

# Wall-clock limits per example would fail on a busy machine; pytest's limit per test stands.
hypothesis.settings.register_profile(
    "tenure", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("tenure")


def pytest_configure() -> None:
    adopt_orphans()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves tasks, files, sockets or child processes behind."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("no_task_left_behind")
    before = Belongings.now()
    yield
    if leaks := leaked_since(before):
        pytest.fail("left behind:\n  " + "\n  ".join(leaks))


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    yield
    if leaks := await leaked_tasks():
        pytest.fail("left behind:\n  " + "\n  ".join(leaks))


@pytest.fixture
def ports() -> Iterator[Ports]:
    """Hand out TCP ports for servers that cannot take port 0: `ports.take()`."""
    with borrowed_ports() as borrowed:
        yield borrowed


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """Give a folder with a short name: a Unix socket's path has at most 107 bytes, and tmp_path is long."""
    folder = Path(tempfile.mkdtemp(prefix="tn-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def etcd() -> Iterator[EtcdServer]:
    """Run one real etcd for all tests of this process; keep keys apart with `cluster_name`."""
    with borrowed_ports() as borrowed:
        servers = EtcdServers(borrowed)
        try:
            (server,) = servers.launch()
            yield server
        finally:
            servers.remove()


@pytest.fixture
def etcd_servers(ports: Ports) -> Iterator[EtcdServers]:
    """Make etcd servers of this test's own, to be killed, frozen and restarted: `etcd_servers.launch()`."""
    servers = EtcdServers(ports)
    yield servers
    servers.remove()


@pytest.fixture
def cluster_name() -> str:
    """Return a name of a Tenure cluster that no other test uses."""
    return f"test-{secrets.token_hex(6)}"
