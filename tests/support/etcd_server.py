"""How does a test start a real etcd, kill it, freeze it and bring it back on the same data?

Nothing is tuned away: fsync is on and every limit has its default. A server dies with the test process.
"""

import functools
import http.client
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tenure.local.etcd_binary import find_etcd
from tests.support.ports import Ports
from tests.support.waiting import eventually, wait_until

_READY_WITHIN = 30.0


@functools.cache
def etcd_program() -> str:
    return str(find_etcd().path)


class EtcdServer:
    """One member of an etcd cluster (of one, unless `peers` names more)."""

    def __init__(self, folder: Path, name: str, client_port: int, peer_port: int) -> None:
        self.name = name
        self.endpoint = f"127.0.0.1:{client_port}"
        self.data_dir = folder / name
        self.log = folder / f"{name}.log"
        self.peer_url = f"http://127.0.0.1:{peer_port}"
        self.flags: list[str] = []
        self.program = ""
        """The etcd to run; empty: the one that local fleets use."""
        self.peers: Sequence[EtcdServer] = (self,)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"etcd {self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, on the data of an earlier start if there was one; returns before it is ready."""
        assert not self.running, f"etcd {self.name} is running already"
        # setpriv becomes etcd: same pid, and the kernel kills it when the test process dies.
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _command(self) -> list[str]:
        client_url = f"http://{self.endpoint}"
        return [
            self.program or etcd_program(),
            f"--name={self.name}",
            f"--data-dir={self.data_dir}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={','.join(f'{peer.name}={peer.peer_url}' for peer in self.peers)}",
            "--logger=zap",
            "--log-level=warn",
            *self.flags,
        ]

    def healthy(self) -> bool:
        """Tell whether it answers and knows a leader; fails the test if the process has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"etcd ended with {self._process.returncode}: {self.log.read_text()[-2000:]}")
        host, port = self.endpoint.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=1)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def wait_ready(self) -> None:
        """Block until it is healthy."""
        wait_until(self.healthy, within=_READY_WITHIN, what=f"etcd {self.name} is healthy")

    async def ready(self) -> None:
        """Wait until it is healthy, without blocking the loop for long."""
        await eventually(self.healthy, within=_READY_WITHIN, what=f"etcd {self.name} is healthy")

    def kill(self) -> None:
        """End it as a power cut does (SIGKILL); a later start() finds its data."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator does (SIGTERM)."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        wait_until(self._stopped, what=f"etcd {self.name} is frozen")

    def _stopped(self) -> bool:
        # The signal reaches threads that run on other processors a little later than kill() returns.
        threads = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class EtcdServers:
    """Makes servers for one test and removes all that is left of them at its end."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._folder = tempfile.TemporaryDirectory(prefix="tenure-test-etcd-")
        self._servers: list[EtcdServer] = []

    def create(self, *, members: int = 1, flags: Sequence[str] = (), program: str = "") -> list[EtcdServer]:
        """Return the members of a new cluster, not started."""
        first = len(self._servers)
        cluster = [
            EtcdServer(Path(self._folder.name), f"etcd{first + n}", self._ports.take(), self._ports.take())
            for n in range(members)
        ]
        for server in cluster:
            server.peers = cluster
            server.flags = list(flags)
            server.program = program
        self._servers += cluster
        return cluster

    def launch(self, *, members: int = 1, flags: Sequence[str] = (), program: str = "") -> list[EtcdServer]:
        """Return the members of a new cluster, ready."""
        cluster = self.create(members=members, flags=flags, program=program)
        for server in cluster:
            server.start()
        for server in cluster:
            server.wait_ready()
        return cluster

    def remove(self) -> None:
        for server in self._servers:
            server.kill()
        self._folder.cleanup()
