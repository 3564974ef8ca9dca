"""One fleet for all tests of this folder, started and used as a person would: through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TENURE = [sys.executable, "-m", "tenure.cli"]


class Terminal:
    """Runs `tenure …` with the settings of one fleet."""

    def __init__(self, home: Path, address: str = "") -> None:
        self.env = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
        for name in ("TENURE_ADDRESS", "TENURE_CONTEXT", "TENURE_CONFIG", "XDG_CONFIG_HOME"):
            self.env.pop(name, None)
        # A download of etcd, should one be needed, goes where all tests find it.
        self.env.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        if address:
            self.env["TENURE_ADDRESS"] = address

    def __call__(
        self, *arguments: str, stdin: str = "", code: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The ended command; its exit code is checked unless it is None."""
        done = subprocess.run(
            [*TENURE, *arguments],
            input=stdin,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert "Traceback" not in done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def out(self, *arguments: str, stdin: str = "") -> str:
        """Standard output without its last newline."""
        return self(*arguments, stdin=stdin).stdout.rstrip("\n")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The running command, with pipes."""
        return subprocess.Popen(
            [*TENURE, *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="session")
def fleet_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fleet."""
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="session")
def tenure(tmp_path_factory: pytest.TempPathFactory, fleet_data: Path) -> Iterator[Terminal]:
    """A terminal in front of a fleet with two workers."""
    home = tmp_path_factory.mktemp("home")
    data = fleet_data
    terminal = Terminal(home)
    said = terminal("up", "--detach", "--agents", "2", "--data-dir", str(data)).stdout
    assert "Tenure is up after" in said
    plan = json.loads((data / "plan.json").read_text())
    schedulers = [part["address"] for part in plan["parts"] if part["kind"] == "scheduler"]
    yield Terminal(home, ",".join(schedulers))
    terminal("down", "--data-dir", str(data))


@pytest.fixture
def nowhere(tmp_path: Path) -> Terminal:
    """A terminal whose address nobody listens at."""
    return Terminal(tmp_path, "127.0.0.1:9")
