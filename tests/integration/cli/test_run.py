"""Does `tenure run` behave as the command would, had it run here?"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.conftest import TENURE

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Terminal


def test_output_goes_where_the_task_wrote_it(tenure: Terminal) -> None:
    done = tenure("run", "--", "sh", "-c", "echo out; echo err >&2; printf tail")
    assert done.stdout == "out\ntail"
    assert done.stderr == "err\n"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_the_exit_code_is_the_tasks_own(tenure: Terminal, script: str, code: int) -> None:
    tenure("run", "--", "sh", "-c", script, code=code)


def test_time_up_is_124(tenure: Terminal) -> None:
    tenure("run", "--timeout", "300ms", "--", "sleep", "60", code=124)


def test_a_program_that_does_not_exist_is_tenures_error(tenure: Terminal) -> None:
    done = tenure("run", "--", "no-such-program", code=125)
    assert "no-such-program" in done.stderr


def test_standard_input_is_passed(tenure: Terminal) -> None:
    assert tenure.out("run", "--", "sort", "-r", stdin="a\nc\nb\n") == "c\nb\na"
    assert tenure.out("run", "--no-stdin", "--", "cat", stdin="a") == ""


def test_standard_input_that_is_too_large_is_told(tenure: Terminal) -> None:
    done = tenure("run", "--", "cat", stdin="x" * 70_000, code=2)
    assert "its standard input" in done.stderr
    assert "must fit into 64 KiB" in done.stderr


def test_options_reach_the_task(tenure: Terminal) -> None:
    options = "--cpu 500m --memory 16MiB --name opt --label run=opt -e COLOUR=red --cwd / --priority 3"
    options += " --retries 1 --constraint tenure/os=linux"
    line = tenure.out("run", *options.split(), "--", "sh", "-c", "echo $COLOUR $PWD")
    assert line == "red /"
    (task,) = [json.loads(line) for line in tenure.out("ps", "-a", "-l", "run=opt", "--json").splitlines()]
    spec = json.loads(tenure.out("show", "--json", task["id"]))["spec"]
    assert spec["resources"]["cpu_milli"] == 500
    assert spec["resources"]["memory_bytes"] == 16 << 20
    assert (spec["name"], spec["priority"], spec["retry"]["max_failures"]) == ("opt", 3, 1)
    assert spec["constraints"] == [{"key": "tenure/os", "operator": "in", "values": ["linux"]}]


def test_output_comes_while_the_task_runs(tenure: Terminal) -> None:
    running = tenure.start("run", "--", "sh", "-c", "echo first; sleep 60")
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "first\n"
        assert running.poll() is None
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_cancels_the_task(tenure: Terminal, number: int, code: int) -> None:
    running = tenure.start("run", "--name", f"long-{number}", "--", "sh", "-c", "echo up; sleep 60")
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.send_signal(number)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == code
    assert "cancelling task" in errors
    assert "Traceback" not in errors
    (task,) = tenure.out("ps", "-a", "--name", f"long-{number}", "--json").splitlines()
    assert json.loads(task)["state"] == "cancelled"


def test_ctrl_c_at_a_terminal_cancels_the_task(tenure: Terminal) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execve(TENURE[0], [*TENURE, "run", "--", "sh", "-c", "echo up; sleep 60"], tenure.env)
    seen = b""
    while b"up" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            seen += os.read(terminal, 1000)
        except OSError:
            break
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"cancelling task" in seen
    assert b"Traceback" not in seen


def test_a_reader_that_leaves_cancels_the_task(tenure: Terminal) -> None:
    script = " ".join([*TENURE, "run", "--name", "yes", "--", "yes"]) + " | head -n 1; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", script], env=tenure.env, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr, done.returncode) == ("y\n", "", 141)


def test_every_byte_passes_unchanged(tenure: Terminal) -> None:
    source = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)"
    done = subprocess.run(
        [*TENURE, "run", "--", "python3", "-c", source],
        env=tenure.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=50,
    )
    assert done.stdout == bytes(range(256)) * 1000


def test_json_tells_the_id_the_lines_and_the_end(tenure: Terminal) -> None:
    said = tenure("run", "--json", "--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3).stdout
    first, *rest = [json.loads(line) for line in said.splitlines()]
    assert first["type"] == "submitted"
    assert tenure.out("show", "--json", first["task_id"])
    assert {(one["channel"], one["text"]) for one in rest if one["type"] == "line"} == {
        ("stdout", "out"),
        ("stderr", "err"),
    }
    assert (rest[-1]["type"], rest[-1]["exit_code"]) == ("end", 3)


def test_nothing_to_run_is_wrong_usage(tenure: Terminal) -> None:
    assert "tenure run -- echo hello" in tenure("run", code=2).stderr
    assert "--cpu: 'many' is not a number" in tenure("run", "--cpu", "many", "--", "true", code=2).stderr
