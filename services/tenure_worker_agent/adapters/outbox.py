"""Where do results wait that no warden's journal has?

Noops, and attempts that were never started: an append-only file of lines, each a checksum and a JSON array.
["R", result, fences…] keeps, ["A", fences…] drops. A result is written `HOLD` after it came, unless it was
acknowledged by then: mostly it is, and costs the disk nothing. One write and one fdatasync serve everything
that gathered. A file that has grown, or that a full disk left behind what is to be
kept, is replaced by one with what is still of interest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.startup import CannotStart
from tenure_worker_agent.domain.results import LogFinals, Result

HOLD: Final = 0.025
"""Seconds for which a result may wait for its acknowledgement before it is written."""
HISTORY: Final = 4 << 20
"""Bytes from which on the file is replaced by a shorter one."""
FAILED_PAUSE: Final = 1.0
GROWTH: Final = 8
"""A file is not replaced again before it has grown by this factor."""

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_log = get_logger("outbox")


class Outbox:
    """The file and what it holds. Blocking work is done by one thread, batch by batch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.refusal = ""
        """Why the disk does not take results at present: they wait in memory; empty while it does."""
        self._live: dict[str, Result] = {}
        self._unwritten: dict[str, Result] = {}
        self._dropped: list[str] = []
        self._size = 0
        self._limit = HISTORY
        self._fd = -1
        self._thread = ThreadPoolExecutor(1, "outbox")
        self._held: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closing = False

    def open(self) -> list[tuple[str, Result]]:
        """Read what is there and cut off a torn end; CannotStart when the file cannot be used."""
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            content = self._path.read_bytes()
            self._size = self._replay(content)
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            raise CannotStart(f"cannot use {self._path}: {error.strerror}") from None
        return list(self._live.items())

    def _replay(self, content: bytes) -> int:
        good = 0
        for end, record in _records(content):
            good = end
            if record[0] == "R":
                result = _from_json(record[1])
                self._live.update((fence, result) for fence in record[2:])
            elif record[0] == "A":
                for fence in record[1:]:
                    self._live.pop(fence, None)
        return good

    def keep(self, results: Iterable[tuple[str, Result]]) -> None:
        """Make results durable soon, unless they are acknowledged before."""
        new = list(results)
        self._live.update(new)
        self._unwritten.update(new)
        self._hold()

    def _hold(self) -> None:
        if self._held is None and self._writing is None:
            self._held = asyncio.get_running_loop().call_later(HOLD, self._begin)

    def _begin(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None
        if self._unwritten and self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="outbox")

    async def settled(self) -> None:
        """Write what was to be kept until now, and return when it is durable."""
        self._begin()
        while self._writing is not None:
            await asyncio.shield(self._writing)
            self._begin()

    def drop(self, fences: Iterable[str]) -> None:
        """These are acknowledged. Written with the next results: repeating an answered one does no harm."""
        for fence in fences:
            if self._live.pop(fence, None) is not None and self._unwritten.pop(fence, None) is None:
                self._dropped.append(fence)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                write, data = self._next_write()
                try:
                    await loop.run_in_executor(self._thread, write, data)
                except OSError as error:
                    self._refused(error.strerror or str(error))
                    if self._closing:
                        return
                    await asyncio.sleep(FAILED_PAUSE)
                else:
                    self._refused("")
                    return
        finally:
            self._writing = None
            if self._unwritten and not self._closing:
                self._hold()

    def _next_write(self) -> tuple[Callable[[bytes], None], bytes]:
        if self._size > self._limit or self.refusal:
            write, lines = self._replace, _grouped(self._live.items())
        else:
            write, lines = self._append, _grouped(self._unwritten.items())
            if self._dropped:
                lines.insert(0, _line(["A", *self._dropped]))
        self._unwritten, self._dropped = {}, []
        return write, b"".join(lines)

    def _refused(self, reason: str) -> None:
        if reason and not self.refusal:
            _log.warning("the outbox cannot be written, results wait in memory", reason=reason)
        elif self.refusal and not reason:
            _log.info("the outbox can be written again")
        self.refusal = reason

    def _append(self, data: bytes) -> None:
        """Runs in the thread."""
        try:
            _write_all(self._fd, data, self._size)
            os.fdatasync(self._fd)
        except OSError:
            # What was written in part would hide everything after it from a reader.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)

    def _replace(self, data: bytes) -> None:
        """Runs in the thread: a new file with just this takes the place of the old one."""
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, data, 0)
            os.fsync(fd)
            fresh.replace(self._path)
        except OSError:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd, self._size, self._limit = fd, len(data), max(HISTORY, GROWTH * len(data))

    async def close(self) -> None:
        """Write what is left, unless the disk refuses."""
        self._closing = True
        self._begin()
        while self._writing is not None:
            if self.refusal:
                self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            if not self.refusal:
                self._begin()
        if self._dropped and self._fd >= 0 and not self.refusal:
            line = _line(["A", *self._dropped])
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._append, line)
            except OSError:
                # They are told once more after the next start, and answered once more.
                self._dropped = []
        self._thread.shutdown()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _grouped(results: Iterable[tuple[str, Result]]) -> list[bytes]:
    """Lines that keep these results; attempts that share one (a batch of noops) share a line."""
    groups: dict[int, tuple[Result, list[str]]] = {}
    for fence, result in results:
        group = groups.get(id(result))
        if group is None:
            group = groups[id(result)] = (result, [])
        group[1].append(fence)
    return [_line(["R", list(result), *fences]) for result, fences in groups.values()]


def _write_all(fd: int, data: bytes, position: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], position + done)


def _line(record: list[Any]) -> bytes:
    body = _encode(record).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _records(content: bytes) -> Iterator[tuple[int, list[Any]]]:
    """Each intact record with the position behind it, up to the first that is not."""
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        checksum, _, body = content[start:end].partition(b" ")
        if checksum != b"%08x" % zlib.crc32(body):
            return
        start = end + 1
        yield start, json.loads(body)


def _from_json(fields: list[Any]) -> Result:
    outcome, code, signal, reason, evidence, started, ended, pid, log, *newer = fields
    return Result(
        AttemptOutcome(outcome),
        code,
        signal,
        reason,
        None if evidence is None else LossEvidence(evidence),
        started,
        ended,
        pid,
        None if log is None else LogFinals(*log),
        *newer[:1],
    )
