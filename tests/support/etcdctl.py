"""Which etcdctl restores the snapshots of these tests, and how?

The one on the PATH, or else Debian's, unpacked in the user's cache folder beside the etcd that tests use.
"""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.local.etcd_binary import download

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer

_PACKAGE = "etcd-client"


@functools.cache
def etcdctl() -> str:
    """The path of an etcdctl."""
    if found := shutil.which("etcdctl"):
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenure" / "etcdctl"
    program = cache / "usr" / "bin" / "etcdctl"
    if not program.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as work:
            package = download(Path(work), _PACKAGE)
            subprocess.run(["dpkg", "-x", package, f"{work}/unpacked"], check=True)
            shutil.copytree(f"{work}/unpacked", cache, dirs_exist_ok=True)
    return str(program)


def restore(snapshot: Path, server: "EtcdServer") -> None:
    """Make a snapshot the data of a stopped server, as the operations guide says."""
    shutil.rmtree(server.data_dir)
    cluster = ",".join(f"{peer.name}={peer.peer_url}" for peer in server.peers)
    done = subprocess.run(
        [
            *(etcdctl(), "snapshot", "restore", str(snapshot)),
            *("--data-dir", str(server.data_dir), "--name", server.name),
            *("--initial-cluster", cluster, "--initial-advertise-peer-urls", server.peer_url),
        ],
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
