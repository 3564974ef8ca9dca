"""Do the real services say before they start what is wrong with their configuration?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[3] / "deploy" / "config"
SERVICES = {
    "tenure_scheduler": "scheduler",
    "tenure_worker_agent": "worker-agent",
    "tenure_log_relay": "log-relay",
}


def checked(module: str, file: Path, *flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, "--config", str(file), "--check-config", *flags],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(("module", "name"), SERVICES.items(), ids=list(SERVICES))
def test_the_file_that_is_shipped_is_valid(module: str, name: str) -> None:
    done = checked(module, CONFIG / f"{name}.toml")
    assert (done.returncode, done.stdout) == (0, f"tenure-{name}: the configuration is valid\n")


@pytest.mark.parametrize(("module", "name"), SERVICES.items(), ids=list(SERVICES))
def test_all_faults_of_file_environment_and_flags_are_told_with_code_2(
    module: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text('[log]\nlevle = "info"\n[telemetry]\nexporter = "otlp"\nendpoint = "collector:4317"\n')
    variable = f"TENURE_{name.replace('-', '_').upper()}_TLS_CA"
    done = checked(module, file, "--log-format", "loud", **{variable: "/nowhere/ca.pem"})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    told = {line.removeprefix(f"tenure-{name}: ") for line in done.stderr.splitlines()}
    assert f"{file}:2:1: unknown key log.levle; did you mean log.level?" in told
    assert any("log.format is 'loud'" in line for line in told)
    assert any(f"{variable}: tls.ca names /nowhere/ca.pem, which is not a file" in line for line in told)
    assert any("telemetry.endpoint is 'collector:4317'" in line for line in told)
