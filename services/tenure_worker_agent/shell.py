"""Who carries out what the agent's domain decides?

One loop: whatever happens is an event; the events of a loop turn go through the domain's door together, and
each command that comes out is carried out here. Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tenure_core.timing import FOREVER, Now
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.watchdog import boottime
from tenure_worker_agent.adapters.beats import Beats
from tenure_worker_agent.adapters.dispatch_codec import Introduction, Reader, hello_bytes
from tenure_worker_agent.adapters.identity_file import IdentityFile
from tenure_worker_agent.adapters.logs import Logs
from tenure_worker_agent.adapters.outbox import Outbox
from tenure_worker_agent.adapters.session_stream import SessionStream
from tenure_worker_agent.adapters.traces import Traces
from tenure_worker_agent.adapters.warden_link import WardenLink
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.agent import Agent
from tenure_worker_agent.drivers.catalog import Catalog
from tenure_worker_agent.warden.identity import Process, kill_if_same
from tenure_worker_agent.warden.protocol import Message
from tenure_worker_agent.warden.tree import ROUNDS, descendants, started_with

LONGEST_SLEEP: Final = 1.0
"""The loop's clock stands still during a suspend, deadlines do not."""

_log = get_logger("agent")


class Shell:
    """The hands of one agent."""

    def __init__(
        self,
        agent: Agent,
        introduction: Introduction,
        catalog: Catalog,
        identity: IdentityFile,
        open_stream_channel: Callable[[str], Any],
        fail: Callable[[str, bool], None],
    ) -> None:
        self._agent = agent
        self._introduction = introduction
        self._catalog = catalog
        self._identity = identity
        self._open_channel = open_stream_channel
        self._fail = fail
        self.beats: Beats
        self.outbox: Outbox
        self.logs: Logs
        self.traces: Traces
        self.link: WardenLink
        self.finished = asyncio.Event()
        """Nothing is left to be said to the scheduler."""
        self._stream: SessionStream | None = None
        self._events: list[e.Event] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = FOREVER
        self._tasks: set[asyncio.Task[None]] = set()
        self._hands: dict[type[Any], Callable[[Any], None]] = {
            c.SaveIdentity: lambda command: self._begin(self._save_identity(command)),
            c.OpenStream: self._open_stream,
            c.CloseStream: self._close_stream,
            c.SendReport: self._send_report,
            c.AnnounceHold: self._announce_hold,
            c.SendBeat: lambda command: self._begin(self._beat(command)),
            c.KeepResults: lambda command: self.outbox.keep(command.results),
            c.DropResults: lambda command: self.outbox.drop(command.fences),
            c.OrderProcess: self._order_process,
            c.StopProcess: self._stop_process,
            c.KillProcess: lambda command: kill_attempt(command.pid, command.ticks, command.fence),
            c.ExtendDeadlines: lambda command: self.link.send(
                {"do": "extend", "deadlines": command.deadlines}
            ),
            c.AcceptExits: lambda command: self.link.send({"do": "accept", "fences": command.fences}),
            c.ForgetAttempts: self._forget_attempts,
            c.PlaceLogs: lambda command: self.logs.place(command),
            c.FinishLogs: lambda command: self.logs.finish(command),
            c.Say: lambda command: getattr(_log, command.level)(command.message, **command.facts),
            c.GiveUp: lambda command: self._fail(command.reason, command.lasting),
            c.Finished: lambda _: self.finished.set(),
        }

    def post(self, event: e.Event) -> None:
        """Something happened; the domain hears of it at the end of this loop turn."""
        if not self._events:
            asyncio.get_running_loop().call_soon(self._turn)
        self._events.append(event)

    def _turn(self) -> None:
        events, self._events = self._events, []
        now = Now(boottime(), time.time_ns())
        for command in self._agent.apply(events, now, random.random()):
            self._hands[type(command)](command)
        self._arm()

    def _arm(self) -> None:
        due = self._agent.due()
        if self._timer is not None:
            if due == self._armed_for:
                return
            self._timer.cancel()
            self._timer = None
        self._armed_for = due
        if due != FOREVER:
            delay = min(max(0.0, due - boottime()), LONGEST_SLEEP)
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.post(e.Ticked())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("failed", exc_info=error)
            self._fail(f"{type(error).__name__}: {error}", False)

    # --- the warden -------------------------------------------------------------------------------------

    def from_warden(self, messages: list[Message]) -> None:
        """Hand on what the warden tells."""
        for message in messages:
            match message["is"]:
                case "exited":
                    record = message["record"]
                    self.traces.exited(record)
                    self.post(e.ProcessExited(record))
                case "started":
                    self.post(
                        e.ProcessStarted(message["fence"], message["pid"], message["ticks"], message["at"])
                    )
                case "progress":
                    self.logs.progress(message["spools"])
                case "refused":
                    self.traces.end(message["fence"], message["kind"])
                    self.post(e.ProcessRefused(message["fence"], message["kind"], message["message"]))
                case "snapshot":
                    self.logs.progress(message["spools"])
                    self.post(
                        e.WardenListed(
                            message["instance"],
                            message["boot_id"],
                            message["reduced"],
                            message["queued"],
                            message["attempts"],
                            message["exits"],
                        )
                    )
                case "stopping":
                    self.post(e.WardenStopping())

    def warden_lost(self) -> None:
        """The socket to the warden is closed."""
        self.post(e.WardenDied())

    def acked(self, positions: dict[str, int]) -> None:
        """A relay has output on its disk."""
        self.link.send({"do": "acked", "positions": positions})

    def _order_process(self, command: c.OrderProcess) -> None:
        order: Message = {"do": "start", "fence": command.fence, **command.order}
        order["not_after"] = command.not_after
        order["note"] = command.note
        if command.exclusive is not None:
            order["exclusive"] = command.exclusive
        self.link.send(order)

    def _stop_process(self, command: c.StopProcess) -> None:
        order: Message = {"do": "stop", "fence": command.fence, "note": command.note}
        if command.grace is not None:
            order["grace"] = command.grace
        self.link.send(order)

    def _forget_attempts(self, command: c.ForgetAttempts) -> None:
        self.logs.forget(command.fences)
        self.link.send({"do": "forget", "fences": command.fences})

    # --- schedulers -------------------------------------------------------------------------------------

    async def _save_identity(self, command: c.SaveIdentity) -> None:
        await asyncio.to_thread(self._identity.save, command)
        self.post(e.IdentitySaved(command.connect))

    def _open_stream(self, command: c.OpenStream) -> None:
        reader = Reader(command.stream, self._catalog, self.traces)
        stream = SessionStream(command.stream, self._open_channel(command.address), reader, self.post)
        self._stream = stream
        self._begin(stream.run(hello_bytes(self._introduction, command.hello)))

    def _close_stream(self, command: c.CloseStream) -> None:
        if self._stream is not None and self._stream.number == command.stream:
            self._stream.close()

    def _send_report(self, command: c.SendReport) -> None:
        if self._stream is not None and self._stream.number == command.stream:
            self._stream.send(command)

    def _announce_hold(self, command: c.AnnounceHold) -> None:
        if self._stream is not None and self._stream.number == command.stream:
            self._stream.announce_hold(command.seconds)

    async def _beat(self, command: c.SendBeat) -> None:
        self.post(await self.beats.send(command))

    # --- the end ----------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Cancel what is under way."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def kill_attempt(pid: int, ticks: int, fence: str) -> None:
    """Kill a process, if the pid is still that of the same one, and all of its attempt, without the warden.

    Daemons hang below the warden: they are known by the fence that they were started with. Ends when nothing
    new turns up.
    """
    found = set(descendants(pid)) if pid else set()
    if pid and not kill_if_same(pid, ticks):
        found.clear()
    done: set[Process] = set()
    for _ in range(ROUNDS):
        found.update(started_with([fence]))
        for each in found:
            kill_if_same(*each)
        if found <= done:
            return
        done |= found
        found = {below for each in found for below in descendants(each.pid)}
