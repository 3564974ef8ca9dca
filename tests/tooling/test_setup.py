"""Does the set-up say in one sentence what a machine lacks, and stop with exit code 2?"""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def set_up(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up in an empty folder with an interpreter of that name."""
    return subprocess.run(
        ["bash", ROOT / "deploy/dev/setup.sh", "requirements.lock"],
        cwd=folder,
        env={**os.environ, "PYTHON": python},
        capture_output=True,
        text=True,
    )


def interpreter(folder: Path, body: str) -> str:
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_no_python(tmp_path: Path) -> None:
    done = set_up(tmp_path, "/nowhere/python3")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "setup: /nowhere/python3 is not installed; on Debian or Ubuntu: apt-get install make git python3-venv"
    ]


def test_an_old_python(tmp_path: Path) -> None:
    old = interpreter(tmp_path, 'case "$1" in -V) echo Python 3.10.13;; *) exit 1;; esac')
    done = set_up(tmp_path, old)
    assert done.returncode == 2
    assert done.stderr.startswith(f"setup: Python 3.11 or newer is needed, {old} is Python 3.10.13;")


def test_a_python_without_venv(tmp_path: Path) -> None:
    bare = interpreter(tmp_path, 'case "$2" in *ensurepip*) exit 1;; esac')
    done = set_up(tmp_path, bare)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "setup: this Python cannot create environments;"
        " on Debian or Ubuntu: apt-get install make git python3-venv"
    ]
    assert not (tmp_path / ".venv").exists()


def test_make_alone_lists_the_targets() -> None:
    listing = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "demo", "test", "check", "generate", "bench", "clean"):
        assert f"  make {target} " in listing
