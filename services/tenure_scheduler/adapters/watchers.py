"""Who watches which tasks, and what is new to each of them?

Levels, not edges: a watcher holds at most one view per task, the newest committed one. Views are made when
a batch is sealed, because the objects change afterwards, and are handed out when it is committed; a view
that several watchers want is made once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tenure_core.errors import TenureError
from tenure_scheduler.adapters.public import TaskWriter
from tenure_scheduler.domain.model import Task

MESSAGE_TASKS: Final = 500
MESSAGE_BYTES: Final = 1 << 20

Predicate = Callable[[Task], bool]
Entry = tuple[str, bytes]
"""Id of a task, and the task as it is sent."""


class Watcher:
    """One reader: what it wants, and what it has not been sent yet."""

    __slots__ = ("_wake", "error", "full", "ids", "pending", "shown", "test")

    def __init__(
        self, ids: frozenset[str] | None, test: Predicate | None, *, dynamic: bool, full: bool
    ) -> None:
        self.ids = ids
        self.test = test
        self.full = full
        self.shown: set[str] | None = set() if dynamic else None
        """Tasks that matched once, where a task can cease to match: the reader is told of that change too."""
        self.pending: dict[str, bytes] = {}
        self.error: TenureError | None = None
        self._wake: asyncio.Future[None] | None = None

    def wants(self, task: Task) -> bool:
        """Whether a change of this task is news to the reader."""
        if self.ids is not None and task.id not in self.ids:
            return False
        matches = self.test is None or self.test(task)
        if self.shown is None:
            return matches
        if matches:
            self.shown.add(task.id)
        elif task.id in self.shown:
            self.shown.discard(task.id)
            return True
        return matches

    def offer(self, task_id: str, view: bytes) -> None:
        """A newer committed view of a task."""
        self.pending[task_id] = view
        self.wake()

    def end(self, error: TenureError) -> None:
        """Nothing more comes; the reader is told this."""
        self.error = error
        self.wake()

    def wake(self) -> None:
        """Let `news` return."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def news(self) -> None:
        """Return when something is pending; raises the error that the watch ended with."""
        while not self.pending and self.error is None:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self.error is not None:
            raise self.error

    def take(self) -> list[Entry]:
        """Everything that is pending."""
        pending, self.pending = self.pending, {}
        return list(pending.items())


class Watchers:
    """All watchers of one leadership."""

    def __init__(self, writer: TaskWriter, revision: int) -> None:
        self.revision = revision
        """Everything that was changed up to this revision was offered."""
        self._writer = writer
        self._by_id: dict[str, set[Watcher]] = {}
        self._others: set[Watcher] = set()
        self._sealed: dict[int, list[tuple[Watcher, str, bytes]]] = {}
        self._in_flight: dict[int, list[Task]] = {}

    def add(self, watcher: Watcher) -> list[Task]:
        """Begin to offer changes; returns the tasks of batches sealed earlier that are not committed yet.

        Their changes are not offered, so that the caller has to send those tasks itself.
        """
        if watcher.ids is None:
            self._others.add(watcher)
        else:
            for task_id in watcher.ids:
                self._by_id.setdefault(task_id, set()).add(watcher)
        return [task for tasks in self._in_flight.values() for task in tasks]

    def remove(self, watcher: Watcher) -> None:
        """The reader is gone."""
        self._others.discard(watcher)
        for task_id in watcher.ids or ():
            readers = self._by_id.get(task_id)
            if readers is not None:
                readers.discard(watcher)
                if not readers:
                    del self._by_id[task_id]

    def sealed(self, index: int, tasks: list[Task]) -> None:
        """Make the views that somebody wants of these tasks, as they are now."""
        self._in_flight[index] = tasks
        if not self._others and not self._by_id:
            return
        offers: list[tuple[Watcher, str, bytes]] = []
        for task in tasks:
            readers = self._by_id.get(task.id)
            if readers is None and not self._others:
                continue
            views: dict[bool, bytes] = {}
            for watcher in (*self._others, *(readers or ())):
                if watcher.wants(task):
                    view = views.get(watcher.full)
                    if view is None:
                        view = views[watcher.full] = self.view(task, full=watcher.full)
                    offers.append((watcher, task.id, view))
        self._sealed[index] = offers

    def committed(self, index: int, revision: int) -> None:
        """Hand out the views that were made for this batch."""
        self._in_flight.pop(index, None)
        for watcher, task_id, view in self._sealed.pop(index, ()):
            watcher.offer(task_id, view)
        self.revision = revision

    def view(self, task: Task, *, full: bool) -> bytes:
        """The task as a reader gets it."""
        return self._writer.task(task, full=full).SerializeToString()

    def end_all(self, error: TenureError) -> None:
        """End every watch with this error."""
        everybody = set(self._others)
        for readers in self._by_id.values():
            everybody |= readers
        for watcher in everybody:
            watcher.end(error)


def portions(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """The entries in portions that make messages of bounded size."""
    portion: list[Entry] = []
    size = 0
    for entry in entries:
        portion.append(entry)
        size += len(entry[1])
        if len(portion) >= MESSAGE_TASKS or size >= MESSAGE_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def message_bytes(entries: Iterable[Entry], token: str, *, synced: bool) -> bytes:
    """A WatchTasksResponse, put together from tasks that are serialized already."""
    parts: list[bytes] = []
    for _, view in entries:
        parts += (b"\x0a", _varint(len(view)), view)
    text = token.encode()
    parts += (b"\x12", _varint(len(text)), text)
    if synced:
        parts.append(b"\x18\x01")
    return b"".join(parts)


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    digits = bytearray()
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
