"""What does a warden do, as far as its agent and its tasks can tell?

The real one forks; this one keeps its promises on virtual time: journal before exec, a fence at most once,
nothing after `not_after`, exclusive attempts dead by their deadline, exit records until they are forgotten.
What really ran, and when, is written down for the checks (`Execution`), whatever anybody believes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tenure_worker_agent.warden.protocol import to_json
from tenure_worker_agent.warden.records import Ledger, exit_record, fold
from tests.simulation.world import Host, Process, World

if TYPE_CHECKING:
    from tests.simulation.effects import Effects

WARDEN_DIED: Final = "WARDEN_DIED"
HOST_REBOOTED: Final = "HOST_REBOOTED"


@dataclass(eq=False)
class Execution:
    """One process of a task, as it really was. Times are the world's."""

    fence: str
    host: str
    exclusive: bool
    began: float
    ended: float = float("inf")
    excused: str = ""
    """Why an overlap does not count: a documented exception of invariant I10."""


class Run:
    """One running process of a task."""

    def __init__(self, execution: Execution, order: dict[str, Any], pid: int, at: int) -> None:
        self.execution = execution
        self.order = order
        self.pid = pid
        self.at = at
        self.cause = ""
        self.stop_note: Any = None
        self.code: int | None = None
        self.kill_at = self.term_at = 0.0
        self.handle: Any = None
        self.dying = False


class Warden:
    """One warden process on a host, and what it started."""

    def __init__(self, process: Process, effects: Effects, on_agent_needed: Callable[[], None]) -> None:
        self.process = process
        self.host: Host = process.host
        self.world: World = process.world
        self.instance = f"instance-{self.world.random.getrandbits(64):016x}"
        self.runs: dict[str, Run] = {}
        self.link: Any = None
        """The agent's shell while it is connected."""
        self._effects = effects
        self._agent_needed = on_agent_needed
        self._queued: dict[str, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._flushing = False
        self._pid = 1000
        self.ledger = self._recover(self.host.disk.get("journal", Ledger()))
        process.on_death.append(self._died)

    # --- life ----------------------------------------------------------------------------------------------

    def _recover(self, journal: Ledger) -> Ledger:
        """What the disk holds is what the journal's records say, and no more."""
        ledger = fold(json.loads(record) for record in journal.records())
        same_boot = ledger.boot_id == self.host.boot_id
        for run in list(self.host.disk.get("orphans", ())):
            self._end_execution(run)
        self.host.disk["orphans"] = []
        for fence, known in ledger.attempts.items():
            if not known.exit:
                evidence = WARDEN_DIED if same_boot else HOST_REBOOTED
                record = exit_record(
                    fence,
                    "lost",
                    evidence=evidence,
                    pid=known.pid,
                    started=known.at,
                    ended=self.host.utc_ns(),
                    note=known.note,
                )
                ledger.ended(fence, to_json(record))
        ledger.instance, ledger.boot_id = self.instance, self.host.boot_id
        self.host.disk["journal"] = ledger
        return ledger

    def _died(self) -> None:
        """Its tasks are orphans now: the agent kills them, or the next warden."""
        self.host.disk["orphans"] = list(self.runs.values())
        if self.link is not None:
            shell, process = self.link
            process.soon(shell.warden_lost)
            self.link = None

    def power_off(self) -> None:
        """The machine is gone, and everything on it."""
        for run in list(self.runs.values()):
            self._end_execution(run)
        self.runs.clear()
        for run in self.host.disk.get("orphans", ()):
            self._end_execution(run)
        self.host.disk["orphans"] = []

    # --- the agent -----------------------------------------------------------------------------------------

    def connect(self, shell: Any, process: Process) -> None:
        self.link = (shell, process)

        def gone() -> None:
            if self.link is not None and self.link[1] is process:
                self.link = None
                delay = self.world.random.uniform(0.01, 0.3)
                self.world.later(delay, self.process.soon, self._agent_needed)

        process.on_death.append(gone)

    def tell(self, message: dict[str, Any]) -> None:
        self._events.append(message)
        if not self._flushing:
            self._flushing = True
            self.process.loop.call_later(self.world.random.uniform(0.0001, 0.001), self._flush)

    def _flush(self) -> None:
        self._flushing = False
        events, self._events = self._events, []
        if self.link is not None:
            shell, process = self.link
            process.soon(shell.from_warden, events)

    def hear(self, messages: list[dict[str, Any]]) -> None:
        """Commands of the agent."""
        for message in messages:
            match message["do"]:
                case "list":
                    self._list()
                case "start":
                    self._start(message)
                case "stop":
                    self._stop(message)
                case "extend":
                    for fence, (term_at, kill_at) in message["deadlines"].items():
                        self._extend(fence, term_at, kill_at)
                case "accept":
                    for fence in message["fences"]:
                        self.ledger.accept(fence)
                case "forget":
                    for fence in message["fences"]:
                        if fence not in self.runs:
                            self.ledger.forget(fence)
                            self.forgotten(fence)
                case "acked":
                    self.acked(message["positions"])

    def acked(self, positions: dict[str, int]) -> None:
        """A relay has output; see `Spooling`."""

    def forgotten(self, fence: str) -> None:
        """Nothing of an attempt is needed any more; see `Spooling`."""

    def spools(self) -> dict[str, tuple[int, int]]:
        """What output there is."""
        return {}

    def _list(self) -> None:
        self._events.clear()
        attempts = self.ledger.attempts
        self.tell(
            {
                "is": "snapshot",
                "instance": self.instance,
                "boot_id": self.host.boot_id,
                "reduced": [],
                "queued": list(self._queued),
                "attempts": [
                    {
                        "fence": fence,
                        "pid": run.pid,
                        "ticks": run.pid,
                        "at": run.at,
                        "note": run.order.get("note"),
                    }
                    for fence, run in self.runs.items()
                ],
                "exits": [
                    {"accepted": known.accepted, "record": json.loads(known.exit)}
                    for known in attempts.values()
                    if known.exit
                ],
                "spools": self.spools(),
            }
        )

    # --- processes -----------------------------------------------------------------------------------------

    def _refuse(self, fence: str, kind: str) -> None:
        self.tell({"is": "refused", "fence": fence, "kind": kind, "message": kind})

    def _start(self, order: dict[str, Any]) -> None:
        fence = order["fence"]
        if self.ledger.knows(fence) or fence in self._queued:
            self._refuse(fence, "duplicate")
            return
        self._queued[fence] = order
        self.process.loop.call_later(self.world.random.uniform(0.0005, 0.004), self._exec, fence)

    def _exec(self, fence: str) -> None:
        order = self._queued.pop(fence, None)
        if order is None:
            return
        if self.host.boottime() > order["not_after"]:
            self._refuse(fence, "late")
            return
        self.ledger.intend(fence, order.get("note"))
        self._pid += 1
        exclusive = order.get("exclusive")
        execution = Execution(fence, self.host.name, exclusive is not None, self.world.now)
        self._effects.began(execution, order["lease"])
        run = self.runs[fence] = Run(execution, order, self._pid, self.host.utc_ns())
        self.ledger.started(fence, run.pid, run.pid, run.at)
        self.tell({"is": "started", "fence": fence, "pid": run.pid, "ticks": run.pid, "at": run.at})
        seconds, code = float(order["argv"][1]), int(order["argv"][2])
        self.wrote(run)
        run.handle = self.world.later(seconds, self._finished, run, code)
        if exclusive is not None:
            run.term_at, run.kill_at = exclusive
            self._watch_deadline(fence)

    def wrote(self, run: Run) -> None:
        """A process writes output; see `Spooling`."""

    def _finished(self, run: Run, code: int | None, signal: int | None = None) -> None:
        """A process ended by itself: the host knows, the warden when it runs."""
        if run.execution.ended != float("inf"):
            return
        if code == 0:
            self._effects.done(run.execution.fence)
        self._end_execution(run)
        if self.process.alive:
            self.process.soon(self._reap, run, code, signal)

    def _end_execution(self, run: Run) -> None:
        if run.execution.ended == float("inf"):
            run.execution.ended = self.world.now
        if run.handle is not None:
            run.handle.cancel()

    def _reap(self, run: Run, code: int | None, signal: int | None) -> None:
        fence = run.execution.fence
        if self.runs.pop(fence, None) is None:
            return
        record = exit_record(
            fence,
            run.cause or "self",
            pid=run.pid,
            started=run.at,
            ended=self.host.utc_ns(),
            note=run.order.get("note"),
            **self.finals(run),
        )
        if code is not None:
            record["code"] = code
        if signal is not None:
            record["signal"] = signal
        if run.stop_note is not None:
            record["stop"] = run.stop_note
        self.ledger.ended(fence, to_json(record))
        self.tell({"is": "exited", "record": record})

    def finals(self, run: Run) -> dict[str, Any]:
        """Where its output ends; see `Spooling`."""
        return {"frames": 0, "offsets": [0, 0, 0]}

    def _stop(self, message: dict[str, Any]) -> None:
        fence = message["fence"]
        if self._queued.pop(fence, None) is not None:
            self._refuse(fence, "stopped")
            return
        run = self.runs.get(fence)
        if run is not None:
            self._terminate(
                run, "stop", message.get("grace", run.order.get("grace", 1.0)), message.get("note")
            )

    def _terminate(self, run: Run, cause: str, grace: float, note: Any = None) -> None:
        if not run.cause:
            run.cause, run.stop_note = cause, note
        random = self.world.random
        takes = random.uniform(0.001, 0.3) if random.random() < 0.8 else grace + 0.01
        self.process.loop.call_later(min(takes, grace + 0.01), self._finished, run, None, 15)

    def kill(self, fence: str) -> None:
        """SIGKILL from the agent, which finds processes by their fence where it has no pid."""
        for run in [*self.runs.values(), *self.host.disk.get("orphans", ())]:
            if run.execution.fence == fence:
                self._finished(run, None, 9)

    def _extend(self, fence: str, term_at: float, kill_at: float) -> None:
        run = self.runs.get(fence)
        if run is not None and run.kill_at:
            run.term_at, run.kill_at = max(run.term_at, term_at), max(run.kill_at, kill_at)

    def _watch_deadline(self, fence: str) -> None:
        """Polled, as the real one does: an exclusive attempt that was not extended ends."""
        run = self.runs.get(fence)
        if run is None:
            return
        now = self.host.boottime()
        if now >= run.kill_at:
            run.cause = run.cause or "deadline"
            self._finished(run, None, 9)
            return
        if now >= run.term_at and not run.dying:
            run.dying = True
            self._terminate(run, "deadline", max(run.kill_at - now, 0.0))
        wait = min(0.25, max(run.kill_at - now, 0.001))
        self.process.loop.call_later(wait, self._watch_deadline, fence)


class WardenEnd:
    """The agent's end of the socket to its warden; as `WardenLink`."""

    def __init__(self, warden: Warden, process: Process) -> None:
        self._warden = warden
        self._process = process
        self._unsent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        """Send at the end of this loop turn, with everything else of it."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(message)

    def _flush(self) -> None:
        messages, self._unsent = self._unsent, []
        warden = self._warden
        if warden.link is not None and warden.link[1] is self._process:
            warden.process.soon(warden.hear, messages)

    def close(self) -> None:
        """Hang up."""
