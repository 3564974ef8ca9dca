"""How does a test get a disk that is really full?"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, megabytes: int = 4, read_only: bool = False) -> Iterator[Path]:
    """A file system of so many MiB at `folder`, which is made; mounting needs root."""
    if os.geteuid():
        pytest.skip("mounting a small file system needs root")
    folder.mkdir(parents=True)
    options = f"size={megabytes}m" + (",ro" if read_only else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not one byte is left on the disk of `folder`; afterwards what filled it is gone."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                _fill(file.fileno(), size)
        yield
    finally:
        ballast.unlink()


def _fill(fd: int, size: int) -> None:
    block = bytes(size)
    try:
        while os.write(fd, block):
            pass
    except OSError:
        return
