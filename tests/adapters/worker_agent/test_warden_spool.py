"""Does every byte of output reach the spool, or an explicit gap?"""

import hashlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tenure_core.frames import CHANNELS
from tenure_worker_agent.warden.orders import Order
from tests.adapters.worker_agent.wardens import WardenProcess, a_warden, fence
from tests.support.disks import small_disk
from tests.support.waiting import wait_until

F = fence(1)
MIB = 1 << 20


@pytest.fixture
def plain(state: Path) -> Iterator[WardenProcess]:
    """Run a warden as it comes."""
    with a_warden(state) as process:
        yield process


@pytest.fixture
def disk_of_four_mib(state: Path) -> Iterator[Path]:
    with small_disk(state) as folder:
        yield folder


def contiguous(warden: WardenProcess, fence: str) -> None:
    """Frames count from the first that is there; offsets of a channel follow each other, over gaps as
    well."""
    frames = warden.frames(fence)
    assert [frame.number for frame in frames] == list(range(frames[0].number, frames[0].number + len(frames)))
    ends: dict[int, int] = {}
    for frame in frames:
        assert frame.offset == ends.get(frame.channel, frame.offset)
        ends[frame.channel] = frame.end_offset


PRINTER = """
import hashlib, os, sys
digest, left = hashlib.sha256(), int(sys.argv[1])
while left:
    piece = os.urandom(min(left, 1 << 16))
    digest.update(piece)
    left -= len(piece)
    sys.stdout.buffer.write(piece)
sys.stdout.flush()
sys.stderr.write(digest.hexdigest())
"""


def printer(size: int, **more: object) -> Order:
    return Order(F, [sys.executable, "-I", "-c", PRINTER, str(size)], **more)  # type: ignore[arg-type]


def test_a_hundred_megabytes_arrive_byte_for_byte(plain: WardenProcess) -> None:
    record = plain.run(printer(100 * MIB))
    assert record["code"] == 0
    digest = hashlib.sha256()
    for frame in plain.frames(F):
        if frame.channel == 1:
            digest.update(frame.payload)
    assert digest.hexdigest() == plain.output(F, 2).decode()
    assert record["offsets"] == [100 * MIB, 64, 0]
    assert record["frames"] == len(plain.frames(F))
    contiguous(plain, F)


def test_no_file_without_output(plain: WardenProcess) -> None:
    record = plain.run(Order(F, ["true"]))
    assert record["frames"] == 0
    assert not list((plain.state / "spool").iterdir())


def has_frames(warden: WardenProcess, count: int) -> bool:
    return len(warden.frames(F)) == count


def test_channels_keep_their_order(plain: WardenProcess) -> None:
    """Each piece is written once the one before it is in the spool."""
    loop = "for i in 1 2 3; do echo out$i; read; echo err$i >&2; read; done"
    script = f"{loop}; echo '{{}}' >&$TENURE_RECORDS_FD"
    plain.order(Order(F, ["bash", "-c", script], records=True, stdin_pipe=True))
    expected = [(c, f"{w}{i}\n".encode()) for i in (1, 2, 3) for c, w in ((1, "out"), (2, "err"))]
    for count in range(1, len(expected) + 1):
        wait_until(partial(has_frames, plain, count))
        plain.send({"do": "stdin", "fence": F, "data": "Cg=="})
    assert plain.exit_of(F)["code"] == 0
    payloads = [(frame.channel, bytes(frame.payload)) for frame in plain.frames(F)]
    assert payloads == [*expected, (3, b"{}\n")]


def test_progress_is_told_while_the_task_runs(plain: WardenProcess) -> None:
    plain.order(Order(F, ["sh", "-c", "echo now; exec sleep 60"]))
    event = plain.until(lambda e: e["is"] == "progress" and F in e["spools"])
    assert event["spools"][F] == [0, len(b"now\n") + 48]


def test_the_oldest_output_is_dropped_at_the_limit(plain: WardenProcess) -> None:
    record = plain.run(printer(4 * MIB, log_cap=MIB))
    assert record["code"] == 0
    assert record["offsets"][0] == 4 * MIB
    frames = plain.frames(F)
    assert frames[0].number > 0
    assert sum(len(frame.payload) + 48 for frame in frames) <= MIB
    assert frames[-1].end_offset in record["offsets"]
    contiguous(plain, F)


def test_acknowledged_output_is_not_counted(plain: WardenProcess) -> None:
    plain.order(
        Order(
            F,
            ["sh", "-c", "head -c 700000 /dev/zero; read l; head -c 700000 /dev/zero"],
            log_cap=MIB,
            stdin_pipe=True,
        )
    )
    wait_until(lambda: len(plain.output(F)) == 700_000)
    end = plain.until(lambda e: e["is"] == "progress" and e["spools"][F][1] > 700_000)["spools"][F][1]
    plain.send({"do": "acked", "positions": {F: end}}, {"do": "stdin", "fence": F, "eof": True})
    assert plain.exit_of(F)["code"] == 0
    assert len(plain.output(F)) == 1_400_000


def test_the_task_blocks_at_the_limit(plain: WardenProcess) -> None:
    plain.order(printer(6 * MIB, log_cap=MIB, overflow="block"))
    wait_until(lambda: len(plain.output(F)) >= MIB - 300_000)
    told = 0
    while not [event for event in plain.events if event["is"] == "exited"]:
        assert plain.receive()
        for event in plain.events[told:]:
            if event["is"] == "progress":
                plain.send({"do": "acked", "positions": {F: event["spools"][F][1]}})
        told = len(plain.events)
    assert plain.exit_of(F)["offsets"][0] == 6 * MIB == len(plain.output(F))
    contiguous(plain, F)


def test_the_attempt_fails_at_the_limit(plain: WardenProcess) -> None:
    record = plain.run(printer(6 * MIB, log_cap=MIB, overflow="fail"))
    assert record["cause"] == "output"


def test_a_full_disk_leaves_a_gap_and_the_exit(disk_of_four_mib: Path) -> None:
    with a_warden(disk_of_four_mib, "--no-control-groups") as warden:
        record = warden.run(printer(8 * MIB))
        assert record["code"] == 0
        assert record["offsets"][0] == 8 * MIB
        kept = warden.output(F)
        assert 0 < len(kept) < 4 * MIB
        assert record.get("tail") or any(frame.is_gap for frame in warden.frames(F))
        warden.kill()
        warden.start("--no-control-groups")
        (exited,) = warden.snapshot()["exits"]
        assert exited["record"] == record


def test_too_little_room_for_exit_records_refuses_starts(disk_of_four_mib: Path) -> None:
    with a_warden(disk_of_four_mib, "--no-control-groups") as warden:
        warden.snapshot()
        with (disk_of_four_mib / "filler").open("wb", buffering=0) as filler:
            while True:
                try:
                    filler.write(b"x" * 65_536)
                except OSError:
                    break
        for number in range(2000):
            warden.order(Order(fence(number), ["true"], note="x" * 900))
        refused = warden.until(lambda e: e["is"] == "refused")["kind"]
        assert refused == "disk"
        started = {e["fence"] for e in warden.events if e["is"] == "started"}
        for each in started:
            warden.exit_of(each)


def test_every_channel_has_a_number() -> None:
    assert CHANNELS == (1, 2, 3)
