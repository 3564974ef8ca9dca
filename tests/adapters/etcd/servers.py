"""Real etcd processes that a test may kill, pause, restart and cluster."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenure.local.etcd_binary import find_etcd
from tenure_runtime.etcd.errors import EtcdError

if TYPE_CHECKING:
    from pathlib import Path

    from tenure_runtime.etcd.client import EtcdClient

_TAKEN: set[int] = set()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on and that was not given out before."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port not in _TAKEN:
            _TAKEN.add(port)
            return port


@dataclass
class EtcdServer:
    """One member; `options` are further command line arguments."""

    folder: Path
    name: str = "m1"
    options: tuple[str, ...] = ()
    scheme: str = "http"
    port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    cluster: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def peer(self) -> str:
        return f"{self.name}=http://127.0.0.1:{self.peer_port}"

    def start(self) -> None:
        client, peer = f"{self.scheme}://{self.endpoint}", f"http://127.0.0.1:{self.peer_port}"
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "etcd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(str(find_etcd().path), "--name", self.name, "--data-dir", str(self.folder / "data")),
                    *("--listen-client-urls", client, "--advertise-client-urls", client),
                    *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", self.cluster or self.peer, "--logger", "zap", *self.options),
                ],
                stdout=log,
                stderr=log,
            )

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, also when it is paused or dead already."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def cluster_of_three(folder: Path) -> list[EtcdServer]:
    """Three members that know each other, not yet started."""
    members = [EtcdServer(folder / name, name) for name in ("m1", "m2", "m3")]
    for member in members:
        member.cluster = ",".join(m.peer for m in members)
    return members


async def answers(client: EtcdClient, within: float = 20.0) -> None:
    """Wait until a linearizable read succeeds."""
    async with asyncio.timeout(within):
        while True:
            try:
                await client.get(b"ready", timeout=1.0)
                return
            except EtcdError:
                await asyncio.sleep(0.05)
