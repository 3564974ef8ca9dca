"""What do tasks write, where is it kept, and what may a reader see of it?

Lines that describe themselves go through the warden's real spools, the agent's real pusher and a relay.
`Truth` remembers what a spool took; a reader that sees a hole without a gap, or a line twice, is wrong.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from tenure.v1.task_pb2 import LOG_STATE_COMPLETE
from tenure_core.fence import Fence
from tenure_core.frames import STDOUT
from tenure_worker_agent.warden.segments import listed
from tenure_worker_agent.warden.spool import Spool, Usage, left_behind
from tests.simulation.warden_model import Run, Warden

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.effects import Effects
    from tests.simulation.world import Process

CAP: Final = 1 << 20
_TELL_EVERY: Final = 0.02


@dataclass
class Truth:
    """What was written, by fence: how many lines the spool took."""

    lines: dict[str, int] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    """Attempts whose warden died while they wrote: what came after is nowhere."""


def line_of(fence: str, number: int) -> str:
    """A line that says whose it is, and which."""
    return f"{fence} {number} {crc32(f'{fence} {number}'.encode()):08x}"


class SpoolingWarden(Warden):
    """A warden that keeps the output of what it runs."""

    def __init__(
        self,
        process: Process,
        effects: Effects,
        on_agent_needed: Callable[[], None],
        folder: Path,
        truth: Truth,
    ) -> None:
        self._folder = folder
        self._truth = truth
        self._usage = Usage()
        self._spools: dict[str, Spool] = {}
        self._changed: dict[str, None] = {}
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(process, effects, on_agent_needed)
        for fence, chain in listed(str(folder)).items():
            spool = left_behind(str(folder), chain, self._usage)
            if fence in self.ledger.attempts:
                self._spools[fence] = spool
            else:
                spool.delete()

    def wrote(self, run: Run) -> None:
        """Spread the lines of a process over its run."""
        argv = run.order["argv"]
        seconds, count = float(argv[1]), int(argv[3]) if len(argv) > 3 else 0
        fence = run.execution.fence
        self._spools[fence] = Spool(str(self._folder), fence, CAP, self._usage)
        self._truth.lines[fence] = 0
        for number in range(count):
            self.world.later(seconds * (number + 0.5) / count, self._print, run, number)

    def _print(self, run: Run, number: int) -> None:
        """The process writes a line into its pipe; whether anybody reads it depends."""
        if run.execution.ended != float("inf"):
            return
        if self.process.alive:
            self.process.soon(self._read, run, number)
        else:
            self._truth.cut.add(run.execution.fence)

    def _read(self, run: Run, number: int) -> None:
        fence = run.execution.fence
        spool = self._spools.get(fence)
        if spool is None or fence not in self.runs:
            return
        spool.append(STDOUT, memoryview(line_of(fence, number).encode() + b"\n"))
        self._truth.lines[fence] = number + 1
        if not self._changed:
            self.process.loop.call_later(_TELL_EVERY, self._tell_progress)
        self._changed[fence] = None

    def _tell_progress(self) -> None:
        spans = {fence: self._spools[fence].span for fence in self._changed if fence in self._spools}
        self._changed = {}
        self.tell({"is": "progress", "spools": spans})

    def finals(self, run: Run) -> dict[str, Any]:
        spool = self._spools[run.execution.fence]
        spool.finish()
        self._tell_progress_of(run.execution.fence)
        frames, offsets = spool.finals
        return {"frames": frames, "offsets": list(offsets)}

    def _tell_progress_of(self, fence: str) -> None:
        self._changed.pop(fence, None)
        self.tell({"is": "progress", "spools": {fence: self._spools[fence].span}})

    def acked(self, positions: dict[str, int]) -> None:
        for fence, position in positions.items():
            if fence in self._spools:
                self._spools[fence].acked(position)

    def forgotten(self, fence: str) -> None:
        spool = self._spools.pop(fence, None)
        if spool is not None:
            spool.delete()

    def spools(self) -> dict[str, tuple[int, int]]:
        return {fence: spool.span for fence, spool in self._spools.items()}

    def _died(self) -> None:
        super()._died()
        for fence, spool in self._spools.items():
            spool.close()
            if fence in self.runs:
                self._truth.cut.add(fence)


class Reading:
    """What one reader has seen of one task: every line once, in order, or a gap."""

    def __init__(self, task_id: str, violations: list[str]) -> None:
        self.task_id = task_id
        self.cursor = ""
        self.ended: Any = None
        self.seen: dict[int, int] = {}
        """Next line by attempt."""
        self.gaps: set[int] = set()
        self._attempt = 0
        self._violations = violations

    def take(self, message: Any) -> None:
        """One message of a tail."""
        self.cursor = message.cursor or self.cursor
        kind = message.WhichOneof("item")
        if kind == "attempt_begin":
            if message.attempt_begin.attempt < self._attempt:
                self._violations.append(
                    f"I5: {self.task_id}: attempt {message.attempt_begin.attempt} came late"
                )
            self._attempt = message.attempt_begin.attempt
        elif kind == "lines":
            for entry in message.lines.entries:
                self._line(entry.text.decode())
        elif kind == "gap":
            self.gaps.add(self._attempt)
        elif kind == "end":
            self.ended = message.end

    def _line(self, text: str) -> None:
        fence, number, _ = text.split(" ")
        parsed, count = Fence.parse(fence), int(number)
        expected = self.seen.get(parsed.attempt, 0)
        whole = text == line_of(fence, count) and parsed.task == self.task_id
        missing = count > expected and parsed.attempt not in self.gaps
        if not whole or count < expected or missing:
            self._violations.append(f"I5: {self.task_id}: line {text!r} where {expected} was due")
        self.seen[parsed.attempt] = count + 1

    def check(self, truth: Truth, newest: Fence, *, whole: bool) -> None:
        """Nothing was read that was never written; and told to be complete, all of it was.

        `whole`: nothing happened that could cost output, so it has to be complete.
        """
        for attempt, count in self.seen.items():
            fence = str(newest._replace(attempt=attempt))
            if count > truth.lines.get(fence, 0):
                self._violations.append(
                    f"I5: {fence}: {count} lines were read, {truth.lines.get(fence)} written"
                )
        if self.ended is None:
            return
        if self.ended.log_state != LOG_STATE_COMPLETE:
            if whole:
                self._violations.append(f"I5: the output of {newest} is told to be incomplete, for no reason")
            return
        written, seen = truth.lines.get(str(newest), 0), self.seen.get(newest.attempt, 0)
        if written != seen:
            self._violations.append(f"I5: {newest} is told to be complete: {seen} of {written} lines")


def remove(folder: Path) -> None:
    """Take away the files of a run."""
    shutil.rmtree(folder, ignore_errors=True)
