"""Would systemd take the units as they are shipped?"""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from tenure_runtime.config_files import FILES

UNITS = sorted((Path(__file__).parents[3] / "deploy" / "systemd").glob("*.service"))


def test_there_is_a_unit_for_each_service() -> None:
    assert [unit.stem for unit in UNITS] == sorted(f"tenure-{Path(file).stem}" for file in FILES)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed here")
    # verify asks for the program to be there; nothing else of the unit changes.
    program = shutil.which("true")
    text = unit.read_text().replace(f"/usr/bin/{unit.stem}", str(program))
    copy = tmp_path / unit.name
    copy.write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=50
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (complaints, done.returncode) == ([], 0)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_its_service_with_its_file_until_it_can_run(unit: Path) -> None:
    parsed = configparser.ConfigParser(strict=True, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit.read_text())
    service = parsed["Service"]
    name = unit.stem.removeprefix("tenure-")
    assert service["ExecStart"] == f"/usr/bin/{unit.stem} --config /etc/tenure/{name}.toml"
    assert service["Restart"] == "on-failure"
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0"
    assert "RestartPreventExitStatus" not in service, "etcd may come later"
    assert service["KillMode"] == "mixed"


def test_the_workers_unit_delegates_its_control_group() -> None:
    (text,) = (unit.read_text() for unit in UNITS if unit.stem == "tenure-worker-agent")
    assert "\nDelegate=yes\n" in text
