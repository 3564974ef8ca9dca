"""What is left of attempts when the warden dies, is replaced, or its agent dies?"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tenure_worker_agent.warden.clock import boottime
from tenure_worker_agent.warden.orders import Order
from tenure_worker_agent.warden.starter import BATCH
from tests.adapters.worker_agent.wardens import WardenProcess, a_warden, alive, fence, one_is_in_time
from tests.faults import boot_clock
from tests.support.waiting import wait_until

F = fence(1)
WAITING = 5 * BATCH


def shell(script: str, fence: str = F, **more: object) -> Order:
    return Order(fence, ["sh", "-c", script], {"TENURE_FENCE": fence}, **more)  # type: ignore[arg-type]


def lost(warden: WardenProcess) -> dict[str, object]:
    (exited,) = warden.snapshot()["exits"]
    record: dict[str, object] = exited["record"]
    return record


def test_a_killed_warden_leaves_no_process_and_reports_the_loss(warden: WardenProcess) -> None:
    instance = warden.snapshot()["instance"]
    warden.order(shell("echo here; setsid sleep 60 & echo $!; wait", note={"k": 1}))
    wait_until(lambda: warden.output(F).count(b"\n") == 2)
    pids = [warden.started(F)["pid"], int(warden.output(F).split()[1])]
    warden.kill()
    warden.start()
    record = lost(warden)
    assert (record["cause"], record["evidence"], record["note"]) == ("lost", "WARDEN_DIED", {"k": 1})
    assert "frames" not in record
    assert warden.snapshot()["instance"] != instance
    wait_until(lambda: not any(map(alive, pids)))
    assert warden.snapshot()["spools"][F][1] > 0


def test_another_boot_id_says_that_the_host_was_rebooted(state: Path, tmp_path: Path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    with a_warden(state, "--boot-id-file", str(boot)) as warden:
        assert warden.snapshot()["boot_id"] == "first"
        warden.order(shell("exec sleep 60"))
        warden.started(F)
        warden.kill()
        boot.write_text("second\n")
        warden.start()
        assert warden.snapshot()["boot_id"] == "second"
        record = lost(warden)
        assert (record["cause"], record["evidence"]) == ("lost", "HOST_REBOOTED")


def test_a_boot_whose_clock_starts_again_is_told_of_and_deadlines_count_on_its_clock(
    state: Path, tmp_path: Path
) -> None:
    """Whoever has the pid or the fence of an attempt of the earlier boot is not touched."""
    if why := boot_clock.why_not():
        pytest.skip(why)
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    with a_warden(state, "--boot-id-file", str(boot)) as warden:
        warden.order(shell("exec sleep 60", exclusive=(boottime() + 60, boottime() + 61)))
        warden.started(F)
        warden.kill()
        boot.write_text("second\n")
        boot_clock.write(tmp_path / "offset", 5.0)
        warden.prefix = boot_clock.argv(tmp_path / "offset", ())
        ahead = -int((tmp_path / "offset").read_text())
        with subprocess.Popen(["sleep", "60"], env={"TENURE_FENCE": F}) as bystander:
            warden.start()
            assert lost(warden)["evidence"] == "HOST_REBOOTED"
            assert bystander.poll() is None
            bystander.kill()
        warden.order(shell("true", fence(2), not_after=boottime() - ahead - 0.001))
        assert warden.until(lambda event: event["is"] == "refused")["kind"] == "late"
        began = boottime()
        warden.order(shell("exec sleep 60", fence(3), exclusive=(began - ahead + 1.0, began - ahead + 2.0)))
        assert warden.exit_of(fence(3))["cause"] == "deadline"
        assert boottime() - began >= 1.0


def test_a_killed_warden_leaves_nothing_of_a_limited_attempt(warden: WardenProcess) -> None:
    warden.order(shell("exec sleep 60", memory=64 << 20, cpu_milli=500))
    pid = warden.started(F)["pid"]
    warden.kill()
    warden.start()
    assert lost(warden)["cause"] == "lost"
    wait_until(lambda: not alive(pid))


@pytest.mark.parametrize(("point", "ran"), [("journaled", False), ("started", True)])
def test_a_crash_at_the_start_never_starts_twice(state: Path, tmp_path: Path, point: str, ran: bool) -> None:
    order = shell(f"echo once >> {tmp_path}/starts; exec sleep 60")
    with a_warden(state, "--failpoint", point) as warden:
        warden.order(order)
        warden.wait()
        # If it ran, it may have been killed before it wrote: what counts is that it never starts again.
        warden.flags = ()
        warden.start()
        assert lost(warden)["cause"] == "lost"
        warden.order(order)
        assert warden.until(lambda e: e["is"] == "refused")["kind"] == "duplicate"
        starts = (tmp_path / "starts").read_text() if (tmp_path / "starts").exists() else ""
        assert starts in (("", "once\n") if ran else ("",))


def test_exits_survive_until_forgotten(warden: WardenProcess) -> None:
    record = warden.run(shell("exit 3"))
    warden.send({"do": "accept", "fences": [F]})
    warden.snapshot()
    warden.kill()
    warden.start()
    assert lost(warden) == record
    warden.send({"do": "forget", "fences": [F]})
    assert not warden.snapshot()["exits"]


def test_two_wardens_never_share_a_directory(
    warden: WardenProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    warden.snapshot()
    second = WardenProcess(warden.state)
    assert second.wait() == 2
    assert "another warden" in capfd.readouterr().err


def test_an_upgrade_in_place_keeps_tasks_and_output(warden: WardenProcess) -> None:
    before = warden.snapshot()
    warden.order(shell("echo one; read line; echo two; exit 7", stdin_pipe=True, grace=1))
    wait_until(lambda: warden.output(F) == b"one\n")
    task = warden.started(F)["pid"]
    os.kill(warden.pid, signal.SIGHUP)
    after = warden.until(lambda e: e["is"] == "snapshot" and bool(e["attempts"]))
    assert (after["instance"], after["attempts"][0]["pid"]) == (before["instance"], task)
    assert alive(task)
    warden.send({"do": "stdin", "fence": F, "eof": True})
    record = warden.exit_of(F)
    assert record["code"] == 7
    assert warden.output(F) == b"one\ntwo\n"
    assert [frame.number for frame in warden.frames(F)] == [0, 1]
    assert record["frames"] == 2


def test_orders_that_keep_coming_do_not_put_an_upgrade_off(warden: WardenProcess) -> None:
    """Always more of them than it starts in one turn; those that wait are started by the next image, once."""
    sent: list[str] = []

    def order(count: int) -> None:
        orders = [Order(fence(number), ["true"]) for number in range(len(sent), len(sent) + count)]
        sent.extend(order.fence for order in orders)
        warden.send(*(order.message() for order in orders))

    def upgraded() -> bool:
        return any(event["is"] == "snapshot" for event in warden.events)

    order(WAITING)
    warden.started(sent[0])
    os.kill(warden.pid, signal.SIGHUP)
    while not upgraded():
        begun = sum(event["is"] == "started" for event in warden.events)
        order(WAITING - (len(sent) - begun))
        assert len(sent) < 20 * WAITING, "it is not upgraded"
        assert warden.receive()
    warden.until(lambda _: len(exits(warden)) >= len(sent))
    assert sorted(exits(warden)) == sent
    assert all(len(pids) == 1 for pids in exits(warden).values())
    assert not any(event["is"] == "refused" for event in warden.events)


def exits(warden: WardenProcess) -> dict[str, set[int]]:
    """The pids with which each fence ended, as it told and, before they were accepted, listed."""
    records = [event["record"] for event in warden.events if event["is"] == "exited"]
    records += [exited["record"] for event in warden.events for exited in event.get("exits", ())]
    found: dict[str, set[int]] = {}
    for record in records:
        found.setdefault(record["fence"], set()).add(record["pid"])
    return found


def test_exclusive_deadlines_hold_over_an_upgrade(warden: WardenProcess) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"

    def killed_in_time(number: int) -> bool:
        each, deadline = fence(number), boottime() + 6.0
        warden.order(shell(script, each, exclusive=(deadline - 0.5, deadline), grace=60))
        warden.started(each)
        os.kill(warden.pid, signal.SIGHUP)
        upgraded = warden.until(lambda e: e["is"] == "snapshot")
        assert [attempt["fence"] for attempt in upgraded["attempts"]] in ([each], [])
        assert warden.exit_of(each)["cause"] == "deadline"
        warden.events.clear()
        return bool(upgraded["attempts"]) and boottime() <= deadline

    one_is_in_time(killed_in_time)


AGENT = """
import json, os, select, signal, socket, struct, sys, time
fd = int(sys.argv[sys.argv.index("--warden-fd") + 1])
sock = socket.socket(fileno=fd)
ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
def send(*messages):
    body = json.dumps(messages).encode()
    sock.sendall(struct.pack("<I", len(body)) + body)
def receive():
    while not select.select([sock], [], [], 0.1)[0]:
        if ending:
            sys.exit()
    size = struct.unpack("<I", sock.recv(4, socket.MSG_WAITALL))[0]
    return json.loads(sock.recv(size, socket.MSG_WAITALL))
folder = sys.argv[1]
with open(f"{folder}/lives", "a") as file:
    file.write(f"{os.getpid()}\\n")
if os.path.exists(f"{folder}/misconfigured"):
    sys.exit(2)
send({"do": "list"})
first = True
while True:
    for event in receive():
        with open(f"{folder}/events", "a") as file:
            file.write(json.dumps(event) + "\\n")
        if event["is"] == "snapshot" and first and not event["attempts"] and not event["exits"]:
            first = False
            deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + float(sys.argv[2])
            send({"do": "start", "fence": "1.00000000000000000001.1", "argv": ["sleep", "60"],
                  **({"exclusive": [deadline - 0.5, deadline]} if sys.argv[3] == "exclusive" else {})})
"""


def supervised(state: Path, folder: Path, deadline: float, kind: str) -> WardenProcess:
    (folder / "agent.py").write_text(AGENT)
    command = ["--agent", sys.executable, str(folder / "agent.py"), str(folder), str(deadline), kind]
    return WardenProcess(state, *command)


def lives(folder: Path) -> list[int]:
    file = folder / "lives"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def events(folder: Path, kind: str) -> list[str]:
    file = folder / "events"
    return (
        [line for line in file.read_text().splitlines() if f'"is": "{kind}"' in line] if file.exists() else []
    )


def test_a_killed_agent_is_restarted_and_its_tasks_run_on(state: Path, tmp_path: Path) -> None:
    warden = supervised(state, tmp_path, 0, "plain")
    try:
        wait_until(lambda: events(tmp_path, "started"))
        os.kill(lives(tmp_path)[0], signal.SIGKILL)
        wait_until(lambda: len(events(tmp_path, "snapshot")) == 2)
        assert len(lives(tmp_path)) == 2
        assert "00000000000000000001.1" in events(tmp_path, "snapshot")[1]
        assert not events(tmp_path, "exited")
    finally:
        os.kill(warden.pid, signal.SIGTERM)
        assert warden.wait() == 0
    assert '"cause": "shutdown"' in events(tmp_path, "exited")[0]


def test_exclusive_deadlines_hold_while_the_agent_is_stopped(state: Path, tmp_path: Path) -> None:
    def killed_in_time(number: int) -> bool:
        folder = tmp_path / str(number)
        folder.mkdir()
        warden = supervised(state / str(number), folder, 1.5, "exclusive")
        try:
            wait_until(lambda: events(folder, "started"))
            agent = lives(folder)[0]
            pid = int(events(folder, "started")[0].split('"pid": ')[1].split(",")[0])
            began = boottime()
            os.kill(agent, signal.SIGSTOP)
            wait_until(lambda: not alive(pid))
            took = boottime() - began
            os.kill(agent, signal.SIGCONT)
            wait_until(lambda: events(folder, "exited"))
            assert '"cause": "deadline"' in events(folder, "exited")[0]
        finally:
            os.kill(warden.pid, signal.SIGTERM)
            assert warden.wait() == 0
        return took < 1.6

    one_is_in_time(killed_in_time)


def test_an_agent_that_cannot_be_configured_ends_the_warden(state: Path, tmp_path: Path) -> None:
    (tmp_path / "misconfigured").touch()
    assert supervised(state, tmp_path, 0, "plain").wait() == 2
    assert len(lives(tmp_path)) == 1
