"""Does `tenure up` leave nothing behind, however it ends, and does the demo hold what it says?"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tenure.local.process_tree import connected_with, descendants, is_alive, start_ticks
from tests.integration.cli.conftest import TENURE, Terminal
from tests.support.waiting import wait_until


def up(terminal: Terminal, folder: Path) -> tuple[subprocess.Popen[str], dict[int, int]]:
    """A running `tenure up` with every process that belongs to it, by pid and start time."""
    running = terminal.start("up", "--data-dir", str(folder))
    assert running.stdout is not None
    while "Ctrl-C stops everything." not in running.stdout.readline():
        assert running.poll() is None, running.stderr and running.stderr.read()
    tree = [running.pid, *descendants(running.pid)]
    assert len(tree) >= 8, "up, reaper, supervisor, etcd, scheduler, relay, warden, agent"
    return running, {pid: start_ticks(pid) for pid in tree}


def sleepers(pid: int) -> list[int]:
    return [child for child in descendants(pid) if _command(child) == b"sleep\0987\0"]


def gone(tree: dict[int, int]) -> bool:
    return not [pid for pid, ticks in tree.items() if is_alive(pid, ticks)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_everything_ends_with_it(tmp_path: Path, number: int) -> None:
    terminal = Terminal(tmp_path)
    running, tree = up(terminal, tmp_path / "data")
    plan = json.loads((tmp_path / "data" / "plan.json").read_text())
    (terminal.env["TENURE_ADDRESS"],) = [
        part["address"] for part in plan["parts"] if part["kind"] == "scheduler"
    ]
    terminal("submit", "--", "sh", "-c", "setsid sleep 987 & exec sleep 987")
    wait_until(lambda: len(sleepers(running.pid)) == 2, within=20, what="the task and its daemon run")
    tree |= {pid: start_ticks(pid) for pid in sleepers(running.pid)}
    running.send_signal(number)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == (0 if number != signal.SIGKILL else -9)
    assert errors == ""
    wait_until(lambda: gone(tree), within=20, what="every process has ended")
    wait_until(lambda: not connected_with(tmp_path / "data"), what="no task is left")


def test_what_dies_is_started_again_and_told(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    running, _ = up(terminal, tmp_path / "data")
    assert running.stdout is not None
    try:
        (scheduler,) = [pid for pid in descendants(running.pid) if b"tenure_scheduler" in _command(pid)]
        os.kill(scheduler, signal.SIGKILL)
        assert "scheduler-1 ended (signal 9) and is started again" in running.stdout.readline()
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = Terminal(tmp_path)("up", "--data-dir", str(tmp_path / "file"), code=2)
    assert re.fullmatch(r"tenure: cannot use .*file: .*\n", done.stderr)


def test_up_and_down_speak_json(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    started = json.loads(terminal.out("up", "--detach", "--json", "--data-dir", str(tmp_path / "data")))
    try:
        terminal.env["TENURE_ADDRESS"] = started["address"]
        names = [json.loads(line)["name"] for line in terminal.out("workers", "--json").splitlines()]
        assert names == started["workers"] == ["worker-1"]
        again = terminal("up", "--detach", "--data-dir", started["data_dir"], code=2)
        assert "a fleet runs in" in again.stderr
        assert f"`tenure down --data-dir {started['data_dir']}`" in again.stderr
    finally:
        stopped = terminal.out("down", "--json", "--data-dir", str(tmp_path / "data"))
    assert json.loads(stopped) == {"stopped": started["data_dir"]}


def test_the_demo_ends_well_on_a_small_input(tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    for number in range(60):
        (folder / f"file-{number}").write_bytes(bytes([number]) * 5000 * number)
    done = Terminal(tmp_path)("demo", "--input", str(folder), "--agents", "2")
    assert "Every task succeeded, each with exactly one accepted result." in done.stdout
    assert re.search(r"SHA-256 equal to a direct computation +60\n", done.stdout)
    assert not connected_with(tmp_path)


def test_the_demo_takes_files_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "in put"
    (folder / "ünter" / "[red]").mkdir(parents=True)
    names = [
        "plain",
        "two words",
        "日本語",
        "new\nline",
        "\x1b[31mred",
        "-n",
        "'\"",
        "[bold]",
        "x" * 255,
        "empty",
    ]
    for name in names:
        (folder / "ünter" / "[red]" / name).write_text("" if name == "empty" else name * 3000)
    Path(os.fsdecode(os.fsencode(folder) + b"/no unicode \xff\xfe")).write_text("bytes")
    (folder / "link").symlink_to(Path("ünter", "[red]", "plain"))
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "pipe")
    (folder / "secret").write_text("")
    (folder / "secret").chmod(0)
    may_read_all = os.access(folder / "secret", os.R_OK)
    said = at_a_terminal(Terminal(tmp_path), "demo", "--input", str(folder), "--agents", "2")
    files = len(names) + 2 + may_read_all
    assert re.search(rf"rows read back, one per file +{files}\n", said), said
    assert re.search(rf"SHA-256 equal to a direct computation +{files}\n", said)
    assert ("1 more may not be read" in said) == (not may_read_all)
    assert re.search(rf"\d+/{files} done .*\d running, .*\d pending, .*\d read", said), (
        "a bar shows how far it is"
    )
    assert "newest log line: " in said
    assert "\x1b[31mred" not in said


def at_a_terminal(terminal: Terminal, *arguments: str) -> str:
    """What a person sees of a command that ends well."""
    screen, side = pty.openpty()
    running = subprocess.Popen(
        [*TENURE, *arguments],
        env={**terminal.env, "TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=side,
        stderr=side,
    )
    os.close(side)
    seen = b""
    # Linux answers EIO instead of an end once the last writer has gone.
    with contextlib.suppress(OSError):
        while part := os.read(screen, 65536):
            seen += part
    os.close(screen)
    assert running.wait(timeout=30) == 0, seen
    return seen.decode().replace("\r\n", "\n")


def test_the_demo_says_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    missing = terminal("demo", "--input", str(tmp_path / "missing"), code=2)
    assert missing.stderr == f"tenure: --input: {tmp_path / 'missing'} is not a folder\n"
    (tmp_path / "empty").mkdir()
    empty = terminal("demo", "--input", str(tmp_path / "empty"), code=2)
    assert empty.stderr == f"tenure: --input: there is no readable file below {tmp_path / 'empty'}\n"


@pytest.mark.parametrize(
    ("moment", "limit", "again"), [("Ready after", 2000, True), ("Stopping the fleet", 20, False)]
)
def test_an_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, moment: str, limit: int, again: bool
) -> None:
    terminal = Terminal(tmp_path)
    (tmp_path / "tmp").mkdir()
    terminal.env["TMPDIR"] = str(tmp_path / "tmp")
    running = terminal.start("demo", "--limit", str(limit))
    assert running.stdout is not None
    while moment not in running.stdout.readline():
        assert running.poll() is None
    tree = {pid: start_ticks(pid) for pid in descendants(running.pid)}
    running.send_signal(signal.SIGINT)
    if again:
        wait_until(lambda: not all(map(is_alive, tree)), within=20, what="the fleet is being stopped")
        running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "nothing is left behind" in said
    assert errors == ""
    assert gone(tree)
    assert list((tmp_path / "tmp").iterdir()) == []
