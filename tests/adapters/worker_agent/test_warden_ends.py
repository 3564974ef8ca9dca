"""Is it told correctly how attempts end, and does everything of them end?"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tenure_worker_agent.warden import spawn as spawning
from tenure_worker_agent.warden.clock import boottime
from tenure_worker_agent.warden.orders import Order
from tests.adapters.worker_agent.wardens import WardenProcess, a_warden, alive, fence, one_is_in_time
from tests.support.waiting import wait_until

F = fence(1)


def shell(script: str, fence: str = F, **more: object) -> Order:
    return Order(fence, ["sh", "-c", script], {"TENURE_FENCE": fence}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_an_exit_code_is_told(warden: WardenProcess, code: int) -> None:
    record = warden.run(shell(f"exit {code}"))
    assert (record["cause"], record["code"]) == ("self", code)
    assert record["pid"] == warden.started(F)["pid"]
    assert record["started"] <= record["ended"]


def test_a_signal_is_told_apart_from_an_exit_code(warden: WardenProcess) -> None:
    record = warden.run(shell("kill -SEGV $$"))
    assert record["signal"] == signal.SIGSEGV
    assert "code" not in record
    assert warden.run(shell("exit 139", fence(2)))["code"] == 139


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["no-such-program"], "not_found"),
        (["/no/such/program"], "not_found"),
        (["/etc/passwd"], "permission"),
        (["/etc"], "permission"),
        (["{tmp}/garbage"], "exec_format"),
        (["{tmp}/orphan-script"], "exec_format"),
        (["/bin/true", "x" * 300_000], "too_big"),
    ],
)
def test_spawn_errors_are_classified(
    warden: WardenProcess, tmp_path: Path, argv: list[str], kind: str
) -> None:
    for name, content in (("garbage", b"\x00\x01\x02\x03"), ("orphan-script", b"#!/no/such/interpreter\n")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    record = warden.run(Order(F, [word.replace("{tmp}", str(tmp_path)) for word in argv]))
    assert (record["cause"], record["error"]) == ("spawn", kind)
    assert record["message"]
    assert record["frames"] == 0
    assert not list((warden.state / "spool").iterdir())


def test_a_missing_working_directory_is_its_own_kind(warden: WardenProcess) -> None:
    record = warden.run(Order(F, ["true"], cwd="/no/such/directory"))
    assert (record["cause"], record["error"]) == ("spawn", "cwd")


def test_stop_is_term_then_kill_after_the_grace(warden: WardenProcess) -> None:
    warden.order(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done", grace=0.3))
    wait_until(lambda: warden.output(F) == b"ready\n")
    began = boottime()
    warden.send({"do": "stop", "fence": F, "note": {"outcome": 5}})
    record = warden.exit_of(F)
    assert boottime() - began >= 0.3
    assert (record["cause"], record["signal"], record["killed"]) == ("stop", signal.SIGKILL, True)
    assert record["stop"] == {"outcome": 5}


def test_a_process_may_end_itself_on_term(warden: WardenProcess) -> None:
    warden.order(shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done", grace=10))
    wait_until(lambda: warden.output(F) == b"ready\n")
    warden.send({"do": "stop", "fence": F})
    record = warden.exit_of(F)
    assert (record["cause"], record["code"], record["killed"]) == ("stop", 3, False)
    assert warden.output(F) == b"ready\nbye\n"


def test_the_longest_run_is_enforced(warden: WardenProcess) -> None:
    began = boottime()
    record = warden.run(shell("sleep 60", run_limit=0.2, grace=5))
    assert (record["cause"], record["signal"]) == ("timeout", signal.SIGTERM)
    assert 0.19 <= boottime() - began < 5


DAEMON = """
import os, sys, time
if os.fork(): os._exit(0) if sys.argv[1] == "leave" else time.sleep(60)
os.setsid()
if os.fork(): os._exit(0)
print(os.getpid(), flush=True)
os.environ.clear()
time.sleep(60)
"""


def daemonised(warden: WardenProcess, how: str) -> int:
    order = Order(F, [sys.executable, "-I", "-c", DAEMON, how], {"TENURE_FENCE": F}, grace=0.2)
    warden.order(order)
    return int(wait_until(lambda: warden.output(F).endswith(b"\n") and warden.output(F)))


def test_daemonised_grandchildren_die_with_a_stopped_attempt(warden: WardenProcess) -> None:
    grandchild = daemonised(warden, "stay")
    assert alive(grandchild)
    warden.send({"do": "stop", "fence": F})
    warden.exit_of(F)
    wait_until(lambda: not alive(grandchild))


def test_what_an_ended_attempt_leaves_behind_dies(warden: WardenProcess) -> None:
    began = boottime()
    warden.order(shell("sleep 77 & echo $!; exit 4"))
    record = warden.exit_of(F)
    assert record["code"] == 4
    assert boottime() - began < 5
    grandchild = int(warden.output(F))
    wait_until(lambda: not alive(grandchild))


def test_held_output_does_not_delay_the_exit(warden: WardenProcess) -> None:
    """The pipe's other end is in a process outside of the attempt, which nobody kills: this one."""
    warden.order(Order(F, ["sh", "-c", "echo before; read line; exit 5"], stdin_pipe=True))
    pid = warden.started(F)["pid"]
    holder = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)
    try:
        began = boottime()
        warden.send({"do": "stdin", "fence": F, "eof": True})
        record = warden.exit_of(F)
        assert record["code"] == 5
        assert boottime() - began < 5
        assert record["offsets"][0] == len(warden.output(F)) == len(b"before\n")
    finally:
        os.close(holder)


def test_a_fence_is_never_started_twice(warden: WardenProcess, tmp_path: Path) -> None:
    order = shell(f"echo once >> {tmp_path}/starts")
    warden.run(order)
    warden.order(order)
    assert warden.until(lambda e: e["is"] == "refused")["kind"] == "duplicate"
    warden.send({"do": "forget", "fences": [F]})
    warden.events.clear()
    warden.order(order)
    assert warden.until(lambda e: e["is"] == "refused")["kind"] == "duplicate"
    assert (tmp_path / "starts").read_text() == "once\n"


def test_nothing_is_started_after_the_deadline(warden: WardenProcess) -> None:
    warden.order(shell("true", not_after=boottime() - 0.001))
    assert warden.until(lambda e: e["is"] == "refused")["kind"] == "late"
    assert not [event for event in warden.events if event["is"] == "started"]


def test_an_exclusive_attempt_is_killed_by_its_deadline(warden: WardenProcess) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"

    def killed_in_time(number: int) -> bool:
        each, deadline = fence(number), boottime() + 3.0
        warden.order(shell(script, each, exclusive=(deadline - 0.5, deadline), grace=60))
        record = warden.exit_of(each)
        in_time = boottime() <= deadline
        assert record["cause"] == "deadline"
        # A shell that had not come to its trap was ended by the TERM.
        return in_time and record["signal"] == signal.SIGKILL and warden.output(each) == b"ready\n"

    one_is_in_time(killed_in_time)


def test_an_extended_exclusive_attempt_goes_on(warden: WardenProcess) -> None:
    now = boottime()
    warden.order(shell("sleep 7; exit 9", exclusive=(now + 5, now + 6), grace=60))
    warden.started(F)
    warden.send({"do": "extend", "deadlines": {F: [now + 30, now + 40]}})
    assert warden.exit_of(F)["code"] == 9


def test_term_ends_attempts_and_then_the_warden(warden: WardenProcess) -> None:
    warden.order(shell("trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done"))
    wait_until(lambda: warden.output(F) == b"ready\n")
    os.kill(warden.pid, signal.SIGTERM)
    record = warden.exit_of(F)
    assert (record["cause"], record["code"]) == ("shutdown", 6)
    assert warden.wait() == 0


def test_attempts_get_a_fresh_directory_and_a_small_environment(warden: WardenProcess) -> None:
    warden.run(shell("pwd; echo $TMPDIR; ls -A; touch left-over; mkdir deep; touch deep/er"))
    place, tmp, *rest = warden.output(F).decode().split()
    assert place == tmp
    assert not rest
    wait_until(lambda: not Path(place).exists())
    record = warden.run(shell("ls -A; env | cut -d= -f1 | sort", fence(2)))
    assert record["code"] == 0
    assert set(warden.output(fence(2)).decode().split()) <= {
        *(
            "HOME",
            "LANG",
            "LC_ALL",
            "LOGNAME",
            "OLDPWD",
            "PATH",
            "PWD",
            "SHELL",
            "SHLVL",
            "TMPDIR",
            "TZ",
            "USER",
            "_",
        ),
        "TENURE_FENCE",
    }


def test_stdin_comes_from_bytes_or_from_commands(warden: WardenProcess) -> None:
    warden.run(Order(F, ["cat"], stdin=b"given\x00bytes"))
    assert warden.output(F) == b"given\x00bytes"
    warden.order(Order(fence(2), ["cat"], stdin_pipe=True))
    warden.started(fence(2))
    for data, eof in (("b25l", False), ("dHdv", True)):
        warden.send({"do": "stdin", "fence": fence(2), "data": data, "eof": eof})
    warden.exit_of(fence(2))
    assert warden.output(fence(2)) == b"onetwo"
    warden.run(Order(fence(3), ["cat"]))
    assert warden.output(fence(3)) == b""


@pytest.mark.parametrize(
    "order",
    [
        {"fence": "../../etc/passwd", "argv": ["true"]},
        {"fence": F, "argv": []},
        {"fence": F, "argv": ["true", "a\0b"]},
        {"fence": F, "argv": ["true"], "env": {"A=B": "c"}},
        {"fence": F, "argv": 7},
        {"argv": ["true"]},
    ],
)
def test_nonsense_is_refused_and_harms_nobody(warden: WardenProcess, order: dict[str, object]) -> None:
    warden.send(
        {"do": "start", **order}, {"do": "stop"}, {"do": "nonsense"}, {"do": "extend", "deadlines": 3}
    )
    assert warden.until(lambda e: e["is"] == "refused")["kind"] == "malformed"
    assert warden.run(shell("exit 8", fence(2)))["code"] == 8


def test_many_attempts_at_once(warden: WardenProcess) -> None:
    fences = [fence(number) for number in range(200)]
    warden.send(*(shell(f"echo {each}", each).message() for each in fences))
    assert all(warden.exit_of(each)["code"] == 0 for each in fences)
    assert all(warden.output(each) == f"{each}\n".encode() for each in fences)


HUNGRY = "import sys; b = bytearray(1)\nwhile True: b += bytes(1 << 20)"


def test_a_memory_limit_is_enforced(state: Path) -> None:
    with a_warden(state) as limited:
        if any(
            "memory" in sentence or "no control" in sentence for sentence in limited.snapshot()["reduced"]
        ):
            pytest.skip("no memory controller here")
        record = limited.run(Order(F, [sys.executable, "-I", "-c", HUNGRY], memory=64 << 20))
        assert (record["cause"], record["signal"]) == ("oom", signal.SIGKILL)
        assert limited.run(Order(fence(2), ["true"], memory=64 << 20, cpu_milli=500))["code"] == 0


FREEZER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from tenure_worker_agent.warden.cgroups import ControlGroups, mounted
groups = ControlGroups(sys.argv[2], own={k: v for k, v in mounted().items() if k == "freezer"})
if not groups.available:
    print("unavailable")
    sys.exit()
leaf = groups.take(0, 0)
groups.enter(leaf)
child = os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "setsid sleep 60 & setsid sleep 60 & wait")
groups.leave()
while len(groups.members(leaf)) < 3:
    time.sleep(0.01)
groups.kill(leaf)
os.waitpid(child, 0)
while not groups.give_back(leaf):
    time.sleep(0.01)
groups.close()
print("killed")
"""


def test_groups_of_version_1_kill_what_left_its_session() -> None:
    root = str(Path(spawning.__file__).parents[2])
    name = f"tenure-test-{os.getpid()}"
    done = subprocess.run(
        [sys.executable, "-c", FREEZER, root, name], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout.strip() in ("killed", "unavailable"), done.stderr
    if done.stdout.strip() == "unavailable":
        pytest.skip("no writable freezer hierarchy here")
