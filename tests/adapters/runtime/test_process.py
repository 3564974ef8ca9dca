"""What does an operator see of a service's start, stop and failure?"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "tests.adapters.runtime.sample_service", "--log-format", "json"]


def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def refused(*arguments: str, **environ: str) -> list[str]:
    code, out, err = finish(start(*arguments, **environ))
    assert code == 2
    assert "ready" not in out
    assert "Traceback" not in err
    return [line for line in err.splitlines() if not line.startswith("{")]


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready ")


def test_a_signal_ends_it_in_order_with_code_0() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start()
        wait_until_ready(process)
        process.send_signal(number)
        code, out, err = finish(process)
        assert (code, out.splitlines()) == (0, ["serving ends", "store closed"])
        events = [json.loads(line) for line in err.splitlines()]
        assert [e["step"] for e in events if e["event"] == "shutdown"] == [
            "say that serving ends",
            "stop serving",
            "say that the store is closed",
        ]
        assert {e["service"] for e in events} == {"sample"}


def test_faults_of_the_configuration_are_told_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "sample.toml"
    file.write_text('lisen = "x"\n[log]\nlevel = "loud"\n')
    told = refused("--config", str(file), "--tls-cert", "/nowhere/cert.pem", SAMPLE_INSECURE="perhaps")
    assert told == [
        f"sample: {file}:1:1: unknown key lisen; did you mean listen?",
        f"sample: {file}:3:1: log.level is 'loud', known are debug, info, warning, error",
        "sample: SAMPLE_INSECURE: insecure is 'perhaps', not true or false",
        "sample: tls.key is missing: a certificate needs its key",
        "sample: --tls-cert: tls.cert names /nowhere/cert.pem, which is not a file",
    ]


def test_a_port_in_use_is_one_sentence_and_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (told,) = refused("--listen", address)
    assert told == f"sample: cannot listen on {address}: another process listens there already"


def test_listening_for_others_needs_tls_or_insecure() -> None:
    (told,) = refused("--listen", "0.0.0.0:0")
    assert "refusing to listen on 0.0.0.0:0 without TLS" in told
    process = start("--listen", "0.0.0.0:0", "--insecure")
    wait_until_ready(process)
    process.terminate()
    code, _, err = finish(process)
    assert code == 0
    assert any("without TLS" in json.loads(line)["event"] for line in err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("--fail-after", "50ms"), "a task broke"), (("--end-early",), "ends ended although the service runs")],
)
def test_a_failing_task_brings_the_service_down_loudly(arguments: tuple[str, ...], told: str) -> None:
    code, out, err = finish(start(*arguments))
    assert code == 1
    assert out.splitlines()[-2:] == ["serving ends", "store closed"]
    assert told in err


def test_check_print_and_help() -> None:
    code, out, _ = finish(start("--check-config"))
    assert (code, out) == (0, "sample: the configuration is valid\n")
    code, out, _ = finish(start("--print-config", "--fail-after", "90s"))
    assert code == 0
    assert 'fail_after = "90s"' in out
    assert re.search(r"\[log\]\nlevel = \"info\"\nformat = \"json\"", out)
    code, out, _ = finish(start("--help"))
    assert (code, out.splitlines()[0]) == (0, "Usage: sample [--config FILE] [options]")


def test_failpoints_are_reached_by_name() -> None:
    code, _, _ = finish(start(TENURE_FAILPOINTS="sample.before_ready=exit"))
    assert code == 86
    code, _, err = finish(start(TENURE_FAILPOINTS="sample.before_ready=error"))
    assert code == 1
    assert "failpoint sample.before_ready" in err
    process = start(TENURE_FAILPOINTS="sample.before_ready=pause(100ms); other=1*error")
    wait_until_ready(process)
    process.terminate()
    assert finish(process)[0] == 0


def test_systemd_is_told_when_it_is_ready(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        process = start(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert systemd.recv(100) == b"READY=1"
        process.terminate()
        assert systemd.recv(100) == b"STOPPING=1"
        assert finish(process)[0] == 0


def test_a_stopped_process_notices_its_stall() -> None:
    process = start()
    wait_until_ready(process)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.9)
    process.send_signal(signal.SIGCONT)
    assert process.stderr is not None
    for line in process.stderr:
        if "stood still" in line:
            assert json.loads(line)["seconds"] > 0.5
            break
    process.terminate()
    assert finish(process)[0] == 0


def test_a_log_that_nobody_reads_any_more_fails_nothing() -> None:
    process = start()
    wait_until_ready(process)
    assert process.stderr is not None
    process.stderr.close()
    process.terminate()
    assert process.stdout is not None
    with process.stdout as out:
        assert out.read().splitlines() == ["serving ends", "store closed"]
    assert process.wait(20) == 0
