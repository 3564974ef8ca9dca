"""Where does an attempt find a fresh directory, and how does it go away again?"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Final

SMALL: Final = 32
"""Entries that are removed in place; more are left to a child process, so that nothing waits for a big tree."""
REMOVER: Final = ("/bin/rm", "/usr/bin/rm")


class Workplaces:
    """The attempts' own directories, below one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._trash = f"{directory}.trash"
        self._discarded = 0
        for each in (directory, self._trash):
            os.makedirs(each, mode=0o711, exist_ok=True)

    def path(self, fence: str) -> str:
        return f"{self._directory}/{fence}"

    def make(self, fence: str) -> str:
        """A fresh, empty directory."""
        path = self.path(fence)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            shutil.rmtree(path)
            os.mkdir(path, 0o700)
        return path

    def discard(self, fence: str) -> str | None:
        """Remove the directory; returns a path that a child process should remove when it holds much."""
        path = self.path(fence)
        try:
            os.rmdir(path)
            return None
        except FileNotFoundError:
            return None
        except OSError:
            pass
        if _remove_small(path):
            return None
        self._discarded += 1
        elsewhere = f"{self._trash}/{os.getpid()}.{self._discarded}"
        with contextlib.suppress(OSError):
            os.rename(path, elsewhere)
            return elsewhere
        return path

    def sweep(self) -> list[str]:
        """Paths that former wardens left, for a child process to remove."""
        left = [entry.path for each in (self._directory, self._trash) for entry in os.scandir(each)]
        moved = []
        for path in left:
            self._discarded += 1
            elsewhere = f"{self._trash}/{os.getpid()}.{self._discarded}"
            with contextlib.suppress(OSError):
                os.rename(path, elsewhere)
                moved.append(elsewhere)
        return moved


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
