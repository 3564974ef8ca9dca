"""Which files does the demo work on, and what must come out of it?"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenure.errors import BadConfiguration
from tenure.specs import process

if TYPE_CHECKING:
    from tenure.v1.task_spec_pb2 import TaskSpec

_LEFT_OUT: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})
LARGE_BYTES: Final = 4 << 20
SCRIPT: Final = Path(__file__).with_name("hash_file.py")


def find_files(folder: Path | None, limit: int) -> list[Path]:
    """Readable files below the folder, large ones first; by default those of Python's own library.

    Raises:
        BadConfiguration: there is no such folder, or no file in it.
    """
    root = Path(sysconfig.get_paths()["stdlib"]) if folder is None else folder.absolute()
    if not root.is_dir():
        raise BadConfiguration(f"--input: {root} is not a folder")
    found: list[Path] = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and os.access(path, os.R_OK) and _is_text(str(path)):
                found.append(path)
        if len(found) >= limit:
            break
    if not found:
        raise BadConfiguration(f"--input: there is no readable file below {root}")
    # Large files first: one that came last would be waited for alone.
    return sorted(found[:limit], key=lambda path: path.stat().st_size < LARGE_BYTES)


def task_for(path: Path, run: str) -> TaskSpec:
    """The task that hashes one file."""
    argv = [sys.executable, "-I", "-S", str(SCRIPT), str(path)]
    return process(argv, name=path.name[:200], labels={"demo": run})


def sha256_of(path: Path) -> str:
    """The hash, computed here and now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_text(path: str) -> bool:
    """Whether the path can travel as an argument and as a name: no control characters, valid Unicode."""
    return path.isprintable()
