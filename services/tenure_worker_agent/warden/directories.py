"""Where does an attempt find a fresh directory, and how does it go away again?

Directories that come back empty and unchanged are used again: making and removing one costs as much as
starting a process. An attempt never sees anything of another.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final

SMALL: Final = 32
"""Entries that are removed in place; more are left to a child process, so that nothing waits for a big
tree."""
REMOVER: Final = ("/bin/rm", "/usr/bin/rm")
MODE: Final = 0o700
KEPT: Final = 256


class Workplaces:
    """The attempts' own directories, below one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._trash = f"{directory}.trash"
        self._made = 0
        self._discarded = 0
        self._empty: list[str] = []
        for each in (directory, self._trash):
            os.makedirs(each, mode=0o711, exist_ok=True)

    def make(self) -> str:
        """A fresh, empty directory."""
        if self._empty:
            return self._empty.pop()
        while True:
            self._made += 1
            path = f"{self._directory}/{self._made}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, MODE)
                return path

    def discard(self, path: str, *, reuse: bool) -> str | None:
        """Take a directory back; returns a path that a child process should remove when it holds much.

        `reuse` says that no process can be left in it.
        """
        if not os.path.lexists(path):
            return None
        if reuse and len(self._empty) < KEPT and _untouched(path):
            self._empty.append(path)
            return None
        return None if _remove_small(path) else self._moved_away(path)

    def sweep(self) -> list[str]:
        """Paths that former wardens left, for a child process to remove."""
        return [
            self._moved_away(entry.path)
            for each in (self._directory, self._trash)
            for entry in os.scandir(each)
        ]

    def close(self) -> None:
        """Remove the empty ones."""
        for path in self._empty:
            with contextlib.suppress(OSError):
                os.rmdir(path)

    def _moved_away(self, path: str) -> str:
        self._discarded += 1
        elsewhere = f"{self._trash}/{os.getpid()}.{self._discarded}"
        try:
            os.rename(path, elsewhere)
        except OSError:
            return path
        return elsewhere


def _untouched(path: str) -> bool:
    try:
        status = os.lstat(path)
        return (
            status.st_mode == stat.S_IFDIR | MODE and status.st_uid == os.geteuid() and not os.listdir(path)
        )
    except OSError:
        return False


def _remove_small(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            listed = [entry for _, entry in zip(range(SMALL + 1), entries, strict=False)]
        if len(listed) > SMALL or any(entry.is_dir(follow_symlinks=False) for entry in listed):
            return False
        for entry in listed:
            os.unlink(entry.path)
        os.rmdir(path)
    except OSError:
        return False
    return True


def remover() -> str | None:
    """The program that removes trees."""
    return next((path for path in REMOVER if os.access(path, os.X_OK)), None)
