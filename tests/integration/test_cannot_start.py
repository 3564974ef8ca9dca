"""Does each service say in a sentence why it cannot start, and end with code 2?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from tests.support.disks import small_disk

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer
    from tests.support.ports import Ports

SCHEDULER, RELAY, WORKER = "tenure_scheduler", "tenure_log_relay", "tenure_worker_agent"
PROGRAMS = {SCHEDULER: "tenure-scheduler", RELAY: "tenure-log-relay", WORKER: "tenure-worker-agent"}
WITH_ETCD = [SCHEDULER, RELAY]
WITH_DISK = [RELAY, WORKER]


class Case:
    """Flags with which each service would start, but for what a test changes."""

    def __init__(self, folder: Path, etcd: EtcdServer, ports: Ports, cluster: str) -> None:
        self.folder = folder
        listen = f"127.0.0.1:{ports.take()}"
        store = {"cluster": cluster, "etcd-endpoints": etcd.endpoint, "listen": listen}
        self.flags = {
            SCHEDULER: store,
            RELAY: {**store, "data-dir": str(folder / "relay")},
            WORKER: {"name": "w1", "schedulers": listen, "data-dir": str(folder / "worker")},
        }

    async def refusal(self, module: str, **changed: str | None) -> list[str]:
        """What the service says when it refuses; its log lines are left out."""
        flags = self.flags[module] | {name.replace("_", "-"): value for name, value in changed.items()}
        words = [word for name, value in flags.items() for word in (f"--{name}", value) if word is not None]
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", module, *words),
            env={**os.environ, f"{PROGRAMS[module].upper().replace('-', '_')}_LOG_FORMAT": "json"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        said = err.decode()
        assert process.returncode == 2, said
        assert out == b""
        assert "Traceback" not in said
        told = [line for line in said.splitlines() if not line.startswith("{")]
        assert all(line.startswith(f"{PROGRAMS[module]}: ") for line in told), told
        return [line.partition(": ")[2] for line in told]


@pytest.fixture
def case(tmp_path: Path, etcd: EtcdServer, ports: Ports, cluster_name: str) -> Case:
    return Case(tmp_path, etcd, ports, cluster_name)


@pytest.mark.parametrize("module", WITH_ETCD)
async def test_without_etcd(case: Case, ports: Ports, module: str) -> None:
    nowhere = f"127.0.0.1:{ports.take()}"
    (sentence,) = await case.refusal(module, etcd_endpoints=nowhere)
    assert sentence.startswith(f"etcd does not answer at {nowhere}: ")
    assert sentence.endswith("Start it, or set etcd.endpoints to where it listens")


@contextlib.asynccontextmanager
async def an_etcd_of_version(version: str, ports: Ports) -> AsyncIterator[str]:
    """What answers etcd's Status with this version, as an etcd of that age would."""

    class Maintenance(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            if handler_call_details.method != "/etcdserverpb.Maintenance/Status":
                return None

            async def status(request: bytes, context: Any) -> bytes:
                return bytes([2 << 3 | 2, len(version)]) + version.encode()  # StatusResponse.version

            return grpc.unary_unary_rpc_method_handler(status)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Maintenance(),))
    address = f"127.0.0.1:{ports.take()}"
    server.add_insecure_port(address)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


@pytest.mark.parametrize("module", WITH_ETCD)
async def test_with_an_etcd_that_is_too_old(case: Case, ports: Ports, module: str) -> None:
    async with an_etcd_of_version("3.3.27", ports) as address:
        (sentence,) = await case.refusal(module, etcd_endpoints=address)
    assert sentence == f"etcd at {address} has version 3.3.27; 3.4 or newer is needed"


@pytest.mark.parametrize("module", WITH_ETCD)
async def test_on_a_port_that_is_taken(case: Case, ports: Ports, module: str) -> None:
    address = f"127.0.0.1:{ports.take()}"
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        (sentence,) = await case.refusal(module, listen=address)
    assert sentence == f"cannot listen on {address}: another process listens there already"


@pytest.mark.parametrize("module", WITH_ETCD)
async def test_where_others_could_reach_it_without_tls(case: Case, ports: Ports, module: str) -> None:
    address = f"0.0.0.0:{ports.take()}"
    (sentence,) = await case.refusal(module, listen=address)
    assert sentence == (
        f"refusing to listen on {address} without TLS, since others could reach it:"
        " set tls.cert and tls.key, listen on 127.0.0.1, or say --insecure"
    )


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "read only", read_only=True) as folder:
        yield folder


@pytest.mark.parametrize("module", WITH_DISK)
async def test_in_a_directory_that_cannot_be_written(case: Case, read_only: Path, module: str) -> None:
    folder = read_only / "data"
    (sentence,) = await case.refusal(module, data_dir=str(folder))
    assert sentence == f"cannot use the data directory {folder}: Read-only file system"


@pytest.mark.parametrize("module", WITH_DISK)
async def test_where_a_file_stands_in_the_way(case: Case, module: str) -> None:
    file = case.folder / "file"
    file.write_text("not a directory\n")
    (sentence,) = await case.refusal(module, data_dir=str(file / "data"))
    assert sentence == f"cannot use the data directory {file}/data: Not a directory"


@pytest.mark.parametrize("module", PROGRAMS)
async def test_with_a_wrong_file(case: Case, module: str) -> None:
    missing = case.folder / "missing.toml"
    (sentence,) = await case.refusal(module, config=str(missing))
    assert sentence == f"cannot read the configuration file {missing}: No such file or directory"
    (sentence,) = await case.refusal(module, config=str(case.folder))
    assert sentence == f"cannot read the configuration file {case.folder}: Is a directory"
    binary = case.folder / "binary.toml"
    binary.write_bytes(bytes(range(256)))
    (sentence,) = await case.refusal(module, config=str(binary))
    assert str(binary) in sentence
    (sentence,) = await case.refusal(module, tls_ca=str(binary))
    assert sentence.startswith(f"--tls-ca: tls.ca names {binary}, which holds no certificate")


async def test_with_values_that_mean_nothing(case: Case) -> None:
    said = await case.refusal(
        SCHEDULER, listen="7420", cluster="My Cluster", etcd_endpoints="db:2379,etcd", replica="-"
    )
    assert said == [
        "--cluster: cluster is 'My Cluster': use 1 to 63 of a-z, 0-9, '.', '_', '-', with a letter or digit"
        " at both ends",
        "--etcd-endpoints: etcd.endpoints is 'etcd', not an address: write host:port or https://host:port",
        "--listen: listen is '7420', not an address: write host:port, as in 127.0.0.1:7420",
        "--replica: replica is '-': use 1 to 128 letters, digits, '.', '_', '-', with a letter or digit at"
        " both ends",
    ]
    (sentence,) = await case.refusal(WORKER, schedulers="node-1")
    assert sentence.startswith("--schedulers: schedulers is 'node-1', not an address")
    (sentence,) = await case.refusal(WORKER, name="my worker")
    assert sentence.startswith("--name: name is 'my worker': use 1 to 128 letters")
