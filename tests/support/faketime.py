"""Which libfaketime makes the wall clock of a process jump?

The installed one, or else Debian's, unpacked in the user's cache folder beside the etcd that tests use.
"""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tenure.local.etcd_binary import download

_PACKAGE = "libfaketime"
_NAME = "libfaketime.so.1"


@functools.cache
def libfaketime() -> Path | None:
    """The library's path; None where it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenure" / "faketime"
    for folder in (Path("/usr/lib"), cache):
        if found := next(iter(sorted(folder.glob(f"**/faketime/{_NAME}"))), None):
            return found
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent) as work:
            subprocess.run(["dpkg", "-x", download(Path(work), _PACKAGE), f"{work}/unpacked"], check=True)
            shutil.copytree(f"{work}/unpacked", cache, dirs_exist_ok=True)
    except Exception:  # noqa: BLE001  (whatever keeps it away: then there is none)
        return None
    return next(iter(cache.glob(f"**/faketime/{_NAME}")), None)


def environment(library: Path, offset: Path) -> dict[str, str]:
    """What a process needs whose wall clock is off by what the file `offset` says; other clocks are true."""
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
