"""What of a history still counts after etcd was restored?

A restore takes back what was committed after its backup, acknowledged or not: nobody can promise otherwise.
Everything else has to hold across it. So what the backup did not have is left out, and what was told of it.
"""

from __future__ import annotations

from typing import Any

from tests.faults.history import Cancelled, Committed, History, Restored, Submitted, Told


def as_it_stands(history: History) -> History:
    """The history without what restores took back."""
    restores = history.all(Restored)
    if not restores:
        return history
    kept = [record for record in history.all(Committed) if not _taken_back(record, restores)]
    stands = History(kept).by_task(Committed)
    last = restores[-1].at
    return History(
        [
            entry
            for entry in history.entries
            if not isinstance(entry, Committed) and _counts(entry, stands, last)
        ]
        + kept
    )


def _taken_back(record: Committed, restores: list[Restored]) -> bool:
    return any(record.revision > restore.revision for restore in restores[record.era :])


def _counts(entry: Any, stands: dict[str, list[Committed]], last: float) -> bool:
    """Whether an entry is about something that the last backup had, or was told after it."""
    if not isinstance(entry, Submitted | Cancelled | Told) or entry.at > last:
        return True
    records = stands.get(entry.task, [])
    if isinstance(entry, Submitted):
        return bool(records)
    # An answer counts if what it says was in a backup, or at least committed in the era that followed.
    return any(record.state == entry.state and record.at <= last for record in records)
