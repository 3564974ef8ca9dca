"""Which files does the demo work on, and what must come out of it?"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenure.errors import BadConfiguration
from tenure.specs import process

if TYPE_CHECKING:
    from tenure.v1.task_spec_pb2 import TaskSpec

_LEFT_OUT: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})
LARGE_BYTES: Final = 4 << 20
SCRIPT: Final = Path(__file__).with_name("hash_file.py")


@dataclass(frozen=True, slots=True)
class Files:
    """The input of the demo."""

    chosen: list[Path]
    """Large ones first."""
    unreadable: int = 0
    """How many there are besides that may not be read."""


def find_files(folder: Path | None, limit: int) -> Files:
    """Files below the folder, at most so many; by default those of Python's own library.

    Raises:
        BadConfiguration: there is no such folder, or no readable file in it.
    """
    root = Path(sysconfig.get_paths()["stdlib"]) if folder is None else folder.absolute()
    if not root.is_dir():
        raise BadConfiguration(f"--input: {root} is not a folder")
    found: list[Path] = []
    unreadable = 0
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(place, name)
            if not path.is_file():
                continue
            if os.access(path, os.R_OK):
                found.append(path)
            else:
                unreadable += 1
        if len(found) >= limit:
            break
    if not found:
        raise BadConfiguration(f"--input: there is no readable file below {root}")
    # Large files first: one that came last would be waited for alone.
    return Files(sorted(found[:limit], key=lambda path: path.stat().st_size < LARGE_BYTES), unreadable)


def task_for(path: Path, run: str) -> TaskSpec:
    """The task that hashes one file."""
    # Arguments and names of tasks are Unicode text; names of files are any bytes.
    named = [str(path)] if _is_unicode(str(path)) else ["--hex", os.fsencode(path).hex()]
    argv = [sys.executable, "-I", "-S", str(SCRIPT), *named]
    return process(argv, name=printable(path.name)[:200], labels={"demo": run})


def printable(name: str) -> str:
    """A file's name as people may see it."""
    return "".join(char if char.isprintable() else "?" for char in name)


def sha256_of(path: Path) -> str:
    """The hash, computed here and now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
