"""Does what an agent process leaves on its disk reach the next one, whatever happened in between?"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_runtime.startup import CannotStart
from tenure_worker_agent.adapters import outbox as outbox_module
from tenure_worker_agent.adapters.identity_file import SLOT, IdentityFile
from tenure_worker_agent.adapters.outbox import Outbox
from tenure_worker_agent.domain.commands import SaveIdentity
from tenure_worker_agent.domain.results import LogFinals, Result
from tests.support.disks import filled, small_disk
from tests.support.waiting import eventually

DONE = Result(AttemptOutcome.SUCCEEDED, started_ns=1, ended_ns=2, log=LogFinals(0, 0, 0, 0))
LOST = Result(AttemptOutcome.LOST, reason='it "broke"\n', evidence=LossEvidence.WARDEN_DIED, pid=7, ticks=8)


class Box:
    """An outbox, and what it found in its file."""

    def __init__(self, path: Path) -> None:
        self.outbox = Outbox(path)
        self.found = dict(self.outbox.open())

    def reopened(self) -> "Box":
        """What the next process finds now, without any goodbye of this one."""
        return Box(self.outbox._path)


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    made = Box(tmp_path / "outbox")
    yield made
    await made.outbox.close()


async def test_results_survive_until_they_are_dropped(box: Box) -> None:
    box.outbox.keep([("1.a.1", DONE), ("1.b.1", DONE), ("1.c.1", LOST)])
    await box.outbox.settled()
    after = box.reopened()
    assert after.found == {"1.a.1": DONE, "1.b.1": DONE, "1.c.1": LOST}
    await after.outbox.close()
    box.outbox.drop(["1.a.1"])
    box.outbox.keep([("1.d.1", DONE)])
    await box.outbox.settled()
    after = box.reopened()
    assert set(after.found) == {"1.b.1", "1.c.1", "1.d.1"}
    await after.outbox.close()


async def test_what_is_acknowledged_soon_costs_no_write(box: Box) -> None:
    box.outbox.keep([("1.a.1", DONE), ("1.b.1", LOST)])
    box.outbox.drop(["1.a.1"])
    await box.outbox.settled()
    after = box.reopened()
    assert after.found == {"1.b.1": LOST}
    await after.outbox.close()
    box.outbox.drop(["1.b.1"])


async def test_results_are_written_by_themselves(box: Box) -> None:
    box.outbox.keep([("1.a.1", DONE)])
    await eventually(lambda: b"1.a.1" in box.outbox._path.read_bytes())


async def test_results_are_written_in_groups(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    for number in range(100):
        box.outbox.keep([(f"1.{number}.1", DONE)])
    await box.outbox.settled()
    assert len(synced) <= 2


async def test_a_torn_end_is_cut_off(box: Box, tmp_path: Path) -> None:
    box.outbox.keep([("1.a.1", DONE)])
    await box.outbox.settled()
    path = tmp_path / "outbox"
    whole = path.read_bytes()
    for length in (1, 9, len(whole) - 1):
        path.write_bytes(whole + whole[:length])
        after = box.reopened()
        assert after.found == {"1.a.1": DONE}
        assert path.read_bytes() == whole
        after.outbox.keep([("1.b.1", LOST)])
        await after.outbox.settled()
        await after.outbox.close()
        again = box.reopened()
        assert again.found == {"1.a.1": DONE, "1.b.1": LOST}
        await again.outbox.close()


async def test_the_file_stays_short(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box.outbox._limit = 10_000
    monkeypatch.setattr(outbox_module, "HISTORY", 10_000)
    box.outbox.keep([("1.kept.1", LOST)])
    for number in range(400):
        box.outbox.keep([(f"1.{number:020d}.1", DONE)])
        await box.outbox.settled()
        box.outbox.drop([f"1.{number:020d}.1"])
    assert (tmp_path / "outbox").stat().st_size < 12_000
    after = box.reopened()
    assert after.found["1.kept.1"] == LOST
    assert len(after.found) <= 2
    await after.outbox.close()


async def test_results_wait_in_memory_while_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        box = Box(disk / "outbox")
        box.outbox.keep([("1.a.1", DONE)])
        await box.outbox.settled()
        with filled(disk):
            box.outbox.keep([(f"1.{number}.1", LOST) for number in range(500)])
            await eventually(lambda: box.outbox.refusal == "No space left on device")
            box.outbox.keep([("1.b.1", DONE)])
            box.outbox.drop(["1.a.1", "1.7.1"])
        await box.outbox.settled()
        after = box.reopened()
        assert set(after.found) == {f"1.{number}.1" for number in range(500) if number != 7} | {"1.b.1"}
        await after.outbox.close()
        await box.outbox.close()


async def test_an_outbox_on_a_full_disk_can_be_closed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        box = Box(disk / "outbox")
        with filled(disk):
            box.outbox.keep([("1.a.1", DONE)])
            await box.outbox.close()


def test_the_counter_of_the_last_save_is_found(tmp_path: Path) -> None:
    file = IdentityFile(tmp_path / "identity")
    assert file.read("spare").connect == 0
    for connect in (1, 2, 3):
        file.save(SaveIdentity(connect, "warden", "alias", 5, 6, 4))
    found = IdentityFile(tmp_path / "identity").read("spare")
    assert (found.connect, found.warden, found.alias) == (3, "warden", "alias")
    assert (found.incarnation, found.epoch, found.welcomed) == (5, 6, 4)


def test_a_torn_save_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    file = IdentityFile(path)
    file.read("spare")
    for connect in (1, 2):
        file.save(SaveIdentity(connect, "warden", "", 0, 0, 0))
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    assert file.read("spare").connect == 1
    content[SLOT + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CannotStart, match="damaged"):
        file.read("spare")
