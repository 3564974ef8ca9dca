"""Do the commands say what is, in words and in JSON, and are their errors one readable line?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.cli.conftest import TENURE

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Terminal

COMMANDS = [
    "up", "down", "demo", "run", "submit", "wait", "ps", "show", "logs", "cancel", "retry", "release",
    "explain", "history", "verify-fence", "workers", "cordon", "uncordon", "server info",
]  # fmt: skip


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(nowhere: Terminal, command: str) -> None:
    said = nowhere(*command.split(), "--help").stdout
    assert f"Usage: tenure {command}" in said
    assert f"Examples:\n    tenure {command}" in said


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tenure', '--help']\n"
        "from tenure.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'grpc', 'rich', 'yaml', 'asyncio', 'google', 'pydantic'}\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_line_of_the_list_of_commands_is_cut_off(nowhere: Terminal) -> None:
    said = nowhere("--help", env={"COLUMNS": "80"}).stdout
    commands = said.partition("Commands:")[2].partition("Examples:")[0]
    assert len(commands.split("\n")) > len({command.split()[0] for command in COMMANDS})
    assert "..." not in commands


def completed(terminal: Terminal, line: str) -> list[str]:
    """What bash offers for the line when the completion that we print for it has been sourced."""
    script = (
        'eval "$(tenure --show-completion bash)"; complete -p tenure > /dev/null || exit 1; '
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tenure_completion tenure; echo ${COMPREPLY[*]}"
    )
    done = subprocess.run(
        ["bash", "-c", f"COMP_WORDS=({line}); {script}"],
        env={
            **terminal.env,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SHELL": "/bin/bash",
        },
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_the_shell_completes_commands_options_ids_and_workers(tenure: Terminal, nowhere: Terminal) -> None:
    assert completed(nowhere, "tenure unc") == ["uncordon"]
    assert "--constraint" in completed(nowhere, "tenure run --co")
    assert completed(nowhere, "tenure show 0") == []
    assert completed(tenure, "tenure cordon work") == ["worker-1", "worker-2"]
    task_id = tenure.out("submit", "--", "true")
    assert completed(tenure, f"tenure show {task_id[:12]}") == [task_id]


@pytest.mark.parametrize(
    "command",
    [
        "submit --priority 9999999999 -- true",
        "submit --retries -1 -- true",
        "submit --cpu nan -- true",
        "submit --memory 99999999PiB -- true",
        "submit --timeout 1e300 -- true",
        "submit --array 5-1 -- true",
        "submit --each-line . -- true",
        "submit --label a -- true",
        "submit --env NO_SUCH_VARIABLE -- true",
        "submit -f .",
        "submit",
        "run --",
        "logs --attempt 99999999999 0000",
        "logs --last 99999999999 0000",
        "ps --limit 0",
        "ps --state nope",
        "ps --label x",
        "cancel",
        "wait",
        "--address nonsense ps",
        "--context nope ps",
    ],
)
def test_wrong_usage_is_a_sentence_and_code_2(nowhere: Terminal, command: str) -> None:
    done = nowhere(*command.split(), code=2)
    assert done.stdout == ""
    assert done.stderr.startswith(("tenure: ", "Usage: tenure"))


@pytest.mark.parametrize("command", ["--help", "workers", "ps -a", "server info --json", "submit -- true"])
def test_output_that_nobody_can_take_is_no_traceback(tenure: Terminal, command: str) -> None:
    everywhere = [*TENURE, *command.split()]
    for redirect, code, complaint in [
        (">&-", 0, ""),
        ("> /dev/full", 125, "tenure: the output cannot be written: No space left on device\n"),
    ]:
        script = f'exec "$@" {redirect}'
        done = subprocess.run(
            ["bash", "-c", script, "-", *everywhere],
            env=tenure.env,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert (done.returncode, done.stderr) == (code, complaint)


def test_output_of_a_task_that_nobody_can_take_ends_it(tenure: Terminal) -> None:
    run = [*TENURE, "run", "--name", "full", "--", "sh", "-c", "echo out; exec sleep 60"]
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" > /dev/full', "-", *run], env=tenure.env, capture_output=True, timeout=50
    )
    assert done.returncode == 125
    assert b"No space left on device" in done.stderr
    (task_id,) = tenure.out("ps", "-a", "-q", "--name", "full").splitlines()
    tenure("wait", task_id, code=None)
    assert json.loads(tenure.out("show", "--json", task_id))["state"] == "cancelled"
    closed = [*TENURE, "run", "--", "sh", "-c", "echo out; exit 3"]
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" >&-', "-", *closed], env=tenure.env, capture_output=True, timeout=50
    )
    assert (done.returncode, done.stderr) == (3, b"")


def test_an_array_runs_once_per_index(tenure: Terminal) -> None:
    ids = tenure.out(
        "submit", "--name", "arr", "--array", "1-5:2", "--", "sh", "-c", "echo $TENURE_ARRAY_INDEX"
    )
    assert len(ids.splitlines()) == 3
    tenure("wait", "-", stdin=ids)
    assert [tenure.out("logs", task_id) for task_id in ids.splitlines()] == ["1", "3", "5"]
    names = {task["name"] for task in objects(tenure.out("ps", "-a", "--name", "arr*", "--json"))}
    assert names == {"arr[1]", "arr[3]", "arr[5]"}


def test_each_line_becomes_a_task(tenure: Terminal, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("one\n\ntwo words\nümlaut\n")
    ids = tenure.out(
        "submit", "--each-line", str(tmp_path / "lines"), "--", "sh", "-c", 'echo "$TENURE_EACH_LINE"'
    )
    tenure("wait", *ids.splitlines())
    assert [tenure.out("logs", task_id) for task_id in ids.splitlines()] == ["one", "two words", "ümlaut"]


def test_files_are_submitted_and_their_faults_told(tenure: Terminal, tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("tasks:\n- call: {type: echo, text: 'ECHO hello'}\n- process: {argv: [echo, there]}\n")
    first, second = tenure.out("submit", "-f", str(good)).splitlines()
    tenure("wait", first, second)
    assert (tenure.out("logs", first), tenure.out("logs", second)) == ("hello", "there")
    bad = tmp_path / "bad.yaml"
    bad.write_text("process:\n  argv: [x]\n  cwd: /tmp\npriority: much\n")
    done = tenure("submit", "-f", str(bad), code=2)
    assert done.stderr.splitlines() == [
        f"tenure: {bad}:3:3: unknown key 'cwd'; known: argv, env, working_directory, stdin",
        f"tenure: {bad}:4:11: 'much' is not a whole number",
    ]
    bad.write_text("name: x\nprocess:\n  argv: ['']\n")
    assert f"{bad}:3:10: process.argv[0]: " in tenure("submit", "-f", str(bad), code=125).stderr
    script = tmp_path / "echo.yaml"
    script.write_text("call:\n  type: echo\n  text: |\n    ECHO a\n    JUMP\n")
    assert f"{script}:3:9: call.text" in tenure("submit", "-f", str(script), code=125).stderr
    assert tenure.out("submit", "-f", "-", stdin='{"call": {"type": "noop"}}')


def test_the_same_request_id_answers_the_same_task(tenure: Terminal) -> None:
    arguments = ("submit", "--request-id", "once", "--json", "--")
    first, again = (json.loads(tenure.out(*arguments, "true")) for _ in range(2))
    assert again == {"task_id": first["task_id"], "created": False}
    refused = tenure(*arguments, "false", code=125)
    assert "process.argv" in refused.stderr


def test_wait_ends_as_the_task_did(tenure: Terminal) -> None:
    failing = tenure.out("submit", "--", "sh", "-c", "exit 3")
    assert "failed (exit 3)" in tenure("wait", failing, code=3).stdout
    sleeping = tenure.out("submit", "--", "sleep", "60")
    tenure("wait", "--timeout", "200ms", sleeping, code=124)
    tenure("wait", "--any", sleeping, failing, code=3)
    assert "cancell" in tenure.out("cancel", sleeping)
    assert json.loads(tenure("wait", "--json", sleeping, code=None).stdout)["state"] == "cancelled"


def test_a_task_is_shown_by_any_unique_prefix(tenure: Terminal) -> None:
    task_id = tenure.out("submit", "--name", "shown", "--", "sh", "-c", "echo hi; exit 4")
    tenure("wait", task_id, code=4)
    said = tenure.out("show", task_id[:8])
    assert f"id            {task_id}" in said
    assert "state         failed (exit 4)" in said
    assert "sh -c 'echo hi; exit 4'" in said
    (attempt,) = json.loads(tenure.out("history", "--json", task_id[:8]))["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["exit_code"]) == (1, "failed", 4)
    told = tenure.out("history", task_id)
    assert told.startswith(f"{task_id}  shown  failed\n")
    assert "FAILED with exit code 4" in told
    assert "No two attempts ran at the same time." in told
    said = tenure.out("explain", task_id)
    assert said.startswith(f"{task_id} failed: it has ended after 1 attempt: exit code 4\n")
    assert json.loads(tenure.out("explain", "--json", task_id))["story"]
    again = tenure.out("retry", task_id)
    tenure("wait", again, code=4)
    assert json.loads(tenure.out("show", "--json", again))["retry_of"] == task_id


def test_a_task_asks_whether_its_own_fence_holds(tenure: Terminal) -> None:
    address = f"TENURE_ADDRESS={tenure.env['TENURE_ADDRESS']}"
    done = tenure("run", "--name", "fenced", "--env", address, "--", *TENURE, "verify-fence")
    (task_id,) = tenure.out("ps", "-a", "-q", "--name", "fenced").splitlines()
    word, fence = done.stdout.split()
    assert word == "valid:"
    assert fence.split(".")[1:] == [task_id, "1"]
    said = tenure("verify-fence", fence, code=1).stdout
    assert said == f"not valid: the task is SUCCEEDED; the newest fence is {fence}\n"
    answer = json.loads(tenure("verify-fence", "--json", fence, code=1).stdout)
    assert (answer["valid"], answer["current_fence"]) == (False, fence)
    assert "fence: is not a fence" in tenure("verify-fence", "1.2.3", code=125).stderr
    outside = {"TENURE_FENCE": ""}
    assert "does not run inside a task" in tenure("verify-fence", env=outside, code=2).stderr


def test_logs_are_followed_to_the_end(tenure: Terminal) -> None:
    task_id = tenure.out(
        "submit", "--", "sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.2; done; echo e >&2"
    )
    done = tenure("logs", "-f", task_id)
    assert (done.stdout, done.stderr) == ("1\n2\n3\n", "e\n")
    assert tenure.out("logs", "--last", "2", task_id) in ("2\n3", "3")
    lines = objects(tenure.out("logs", "--json", task_id))
    texts = [(line["channel"], line["text"]) for line in lines if line["type"] == "line"]
    assert [text for channel, text in texts if channel == "stdout"] == ["1", "2", "3"]
    assert [text for channel, text in texts if channel == "stderr"] == ["e"]
    followed = objects(tenure.out("logs", "-f", "--json", task_id))
    assert followed[-1]["type"] == "end"
    assert (followed[-1]["state"], followed[-1]["exit_code"]) == ("succeeded", 0)


def test_each_line_of_the_output_says_how_to_go_on_behind_it(tenure: Terminal) -> None:
    """Also in the middle of what a task wrote at once."""
    task_id = tenure.out("submit", "--", "sh", "-c", r"printf '1\n2\n3\n4\n5\n'")
    tenure("wait", task_id)
    lines = [line for line in objects(tenure.out("logs", "-f", "--json", task_id)) if line["type"] == "line"]
    assert [line["text"] for line in lines] == ["1", "2", "3", "4", "5"]
    for index, line in enumerate(lines):
        rest = tenure.out("logs", "--after", line["cursor"], task_id)
        assert rest.splitlines() == ["1", "2", "3", "4", "5"][index + 1 :]
    refused = tenure("logs", "--after", lines[0]["cursor"], "--last", "2", task_id, code=2)
    assert "--after and --last exclude each other" in refused.stderr
    assert "cursor" in tenure("logs", "--after", "nonsense", task_id, code=125).stderr


def test_control_characters_do_not_reach_the_terminal(tenure: Terminal) -> None:
    task_id = tenure.out("submit", "--", "printf", r"\033[31mred\033[0m\007\tx\n")
    tenure("wait", task_id)
    assert tenure("logs", task_id).stdout == "red\tx\n"
    assert tenure("logs", "--raw", task_id).stdout == "\x1b[31mred\x1b[0m\x07\tx\n"


def test_workers_are_listed_and_cordoned(tenure: Terminal) -> None:
    names = [worker["name"] for worker in objects(tenure.out("workers", "--json"))]
    assert names == ["worker-1", "worker-2"]
    assert "cordoned" in tenure.out("cordon", "worker-1", "--reason", "new disk")
    try:
        where = tenure.out("submit", "--constraint", "tenure/os", "--", "true")
        tenure("wait", where)
        assert json.loads(tenure.out("show", "--json", where))["attempt"]["worker"] == "worker-2"
    finally:
        tenure("uncordon", "worker-1")
    refused = tenure("cordon", "worker-9", code=125).stderr
    assert refused == "tenure: no worker 'worker-9'; `tenure workers` lists the workers\n"
    info = json.loads(tenure.out("server", "info", "--json"))
    assert info["leader"] == "scheduler-1"


def test_a_task_that_fits_nowhere_is_explained(tenure: Terminal) -> None:
    task_id = tenure.out("submit", "--constraint", "zone=moon", "--", "true")
    said = tenure.out("explain", task_id)
    assert "zone" in said
    assert "worker-1" in said
    assert task_id in tenure.out("ps", "-q", "--state", "pending")
    tenure("cancel", task_id)


def test_tables_survive_a_reader_that_leaves(tenure: Terminal) -> None:
    tenure("submit", "--array", "1-300", "--constraint", "never", "--", "true")
    script = " ".join([*TENURE, "ps", "-n", "1000"]) + " | head -n 1"
    done = subprocess.run(["bash", "-c", script], env=tenure.env, capture_output=True, text=True, timeout=50)
    assert done.stdout.startswith("ID ")
    assert done.stderr == ""
    assert len(tenure.out("cancel", "--state", "pending").splitlines()) == 300


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("show", "zzzzzzzzzzzzzzzzzzzz"), 125, "`tenure ps -a` lists the tasks"),
        (("ps", "--state", "dead"), 2, "--state: 'dead' is none of pending"),
        (("submit", "--array", "5-1", "--", "true"), 2, "--array: '5-1' is not like 1-1000"),
        (("submit",), 2, "give either -f FILE or a command"),
        (("submit", "-f", "missing.yaml"), 2, "cannot read missing.yaml: No such file or directory"),
        (("cancel",), 2, "say which tasks"),
        (("frobnicate",), 2, "No such command 'frobnicate'"),
        (("--address", "nonsense", "ps"), 2, "'nonsense' is not an address"),
        (("--context", "moon", "ps"), 2, "there is no context 'moon'"),
        (("run", "--on-disconnect", "maybe", "--", "true"), 2, "'maybe' is neither continue nor stop"),
        (("run", "--", "cat", "bad\udcff"), 2, "'bad\\udcff' is not UTF-8 text"),
    ],
)
def test_errors_are_a_readable_line(
    tenure: Terminal, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    assert sentence in tenure(*arguments, code=code).stderr


def test_nobody_there_is_told_with_what_to_do(nowhere: Terminal) -> None:
    began = time.monotonic()
    done = nowhere("ps", code=125)
    assert done.stderr.startswith("tenure: nothing answers at 127.0.0.1:9")
    assert "`tenure up`" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - began < 10
    unknown = nowhere("--address", "no.such.host.invalid:7420", "ps", code=125)
    assert unknown.stderr.startswith("tenure: nothing answers at no.such.host.invalid:7420")
    assert "the host name cannot be resolved; start a local fleet" in unknown.stderr
    assert "no fleet runs that `tenure up` started" in nowhere("down", code=125).stderr


def test_contexts_are_read_from_the_file(tenure: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'current = "here"\n[contexts.here]\naddress = "{tenure.env["TENURE_ADDRESS"]}"\n')
    env = {"TENURE_CONFIG": str(file), "TENURE_ADDRESS": ""}
    assert "worker-1" in tenure("workers", env=env).stdout
    file.write_text('[contexts.here]\naddres = "x:1"\n')
    done = tenure("--context", "here", "workers", env=env, code=2)
    assert "unknown key 'addres'; did you mean 'address'?" in done.stderr
