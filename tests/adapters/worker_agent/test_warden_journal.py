"""Does the journal tell after any crash what was begun, and never more?"""

import random
from pathlib import Path

import pytest

from tenure_worker_agent.warden.journal import CHUNK, Journal
from tenure_worker_agent.warden.protocol import to_json
from tenure_worker_agent.warden.records import REMEMBERED, Ledger, exit_record, fold
from tests.adapters.worker_agent.wardens import fence


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def opened(path: Path, ledger: Ledger) -> Journal:
    journal = Journal(path)
    journal.rewrite(ledger.records())
    return journal


def written(path: Path, count: int) -> list[int]:
    """A journal with so many attempts; returns where each record ends."""
    ledger = Ledger("instance", "boot")
    journal = opened(path, ledger)
    ends = [journal.end]
    for number in range(count):
        journal.append(ledger.intend(fence(number), {"n": number}))
        journal.sync()
        ends.append(journal.end)
    journal.close()
    return ends


def test_what_was_synced_is_read_again(path: Path) -> None:
    ledger = Ledger("instance", "boot")
    journal = opened(path, ledger)
    journal.append(ledger.intend(fence(1), {"relay": "a"}))
    journal.note(ledger.started(fence(1), 7, 8, 9))
    journal.append(ledger.ended(fence(1), to_json(exit_record(fence(1), "self"))))
    journal.note(ledger.accept(fence(1)))
    journal.append(ledger.intend(fence(2), None))
    journal.note(ledger.forget(fence(2)))
    journal.flush()
    journal.close()
    again = fold(Journal(path).read())
    assert list(again.records()) == list(ledger.records())
    assert again.attempts[fence(1)].accepted
    assert again.knows(fence(2))


@pytest.mark.parametrize("seed", range(20))
def test_a_torn_tail_loses_only_itself(path: Path, seed: int) -> None:
    ends = written(path, 5)
    chance = random.Random(seed)
    cut = chance.randrange(ends[0], ends[-1])
    data = bytearray(path.read_bytes())
    data[cut : ends[-1]] = bytes(ends[-1] - cut) if seed % 2 else chance.randbytes(ends[-1] - cut)
    path.write_bytes(data)
    ledger = fold(Journal(path).read())
    assert len(ledger.attempts) == sum(end <= cut for end in ends[1:])


def test_old_records_behind_a_shorter_write_are_not_read(path: Path) -> None:
    """After a torn record whole ones may follow: what is written over the torn one must not revive them."""
    ends = written(path, 3)
    data = bytearray(path.read_bytes())
    data[ends[1] + 8] ^= 0xFF
    path.write_bytes(data)
    journal = Journal(path)
    ledger = fold(journal.read())
    assert list(ledger.attempts) == [fence(0)]
    journal.reopen()
    journal.append(ledger.intend(fence(7), {"n": 7}))
    journal.sync()
    journal.close()
    assert list(fold(Journal(path).read()).attempts) == [fence(0), fence(7)]


def test_room_for_exits_is_kept_ahead(path: Path) -> None:
    journal = opened(path, Ledger())
    assert path.stat().st_size >= CHUNK
    assert journal.has_room(10_000)
    assert path.stat().st_size >= 10_000 * 1024
    journal.close()


def test_only_the_newest_forgotten_fences_are_remembered() -> None:
    ledger = Ledger()
    for number in range(REMEMBERED + 5):
        ledger.forget(fence(number))
    assert not ledger.knows(fence(4))
    assert ledger.knows(fence(5))


def test_an_exit_record_names_fence_and_cause() -> None:
    assert exit_record(fence(1), "self", code=0) == {"fence": fence(1), "cause": "self", "code": 0}
