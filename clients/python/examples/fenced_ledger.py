"""Can an attempt that was taken for lost still write into your database? Not if the database compares fences.

A task that appends one line to a ledger. The ledger keeps, per task, the highest fence that has written, and
refuses a lower one in the transaction of the write itself: between the comparison and the effect there is no
moment in which the fence could become stale.

    tenure run -- python fenced_ledger.py ledger.sqlite 'what is to be written'

Exit codes: 0 written, 3 refused because another attempt has written already. With `--when FILE` it waits
until FILE.<attempt> exists, so that one can watch a stale attempt being refused.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tenure

REFUSED = 3
SCHEMA = """
CREATE TABLE IF NOT EXISTS newest (task TEXT PRIMARY KEY, incarnation INTEGER, attempt INTEGER);
CREATE TABLE IF NOT EXISTS line (fence TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS refusal (fence TEXT, newest TEXT);
"""


class Stale(Exception):
    """A later attempt of the task has written already."""


class Ledger:
    """A resource that guards itself."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._db.executescript(SCHEMA)

    def append(self, fence: tenure.Fence, text: str) -> None:
        """Write a line unless a later attempt has written; raises Stale."""
        with self._transaction():
            seen = self._seen(fence.task_id)
            if fence.order >= seen:
                row = (fence.task_id, *fence.order)
                self._db.execute("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", row)
                self._db.execute("INSERT INTO line VALUES (?, ?)", (str(fence), text))
                return
            newest = tenure.Fence(seen[0], fence.task_id, seen[1])
            self._db.execute("INSERT INTO refusal VALUES (?, ?)", (str(fence), str(newest)))
        raise Stale(f"{fence} is stale: {newest} has written")

    def _seen(self, task_id: str) -> tuple[int, int]:
        query = "SELECT incarnation, attempt FROM newest WHERE task = ?"
        incarnation, attempt = self._db.execute(query, (task_id,)).fetchone() or (0, 0)
        return incarnation, attempt

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Nobody else writes from here to the end, in which everything becomes durable at once."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def main() -> int:
    """Append one line as this attempt."""
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger", type=Path)
    parser.add_argument("text")
    parser.add_argument("--when", type=Path)
    wanted = parser.parse_args()
    fence = tenure.current_fence()
    while wanted.when is not None and not Path(f"{wanted.when}.{fence.attempt}").exists():
        time.sleep(0.05)
    try:
        Ledger(wanted.ledger).append(fence, wanted.text)
    except Stale as error:
        print(error, file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
