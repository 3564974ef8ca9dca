"""In which order does a warden do everything?

One loop. A turn takes in what happened (commands, output, exits, timers), writes the intents and exits of the
turn to the journal with one fdatasync, and only then starts processes and tells the agent.
"""

from __future__ import annotations

import base64
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from tenure_worker_agent.warden.clock import boottime
from tenure_worker_agent.warden.link import Link
from tenure_worker_agent.warden.notify import notify
from tenure_worker_agent.warden.orders import Order
from tenure_worker_agent.warden.protocol import Message, ProtocolError, to_json
from tenure_worker_agent.warden.spawn import SpawnError
from tenure_worker_agent.warden.supervisor import CONFIGURATION, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenure_worker_agent.warden.host import Host
    from tenure_worker_agent.warden.runner import Runner
    from tenure_worker_agent.warden.signals import Signals
    from tenure_worker_agent.warden.starter import Starter

POLL: Final = 0.25
"""Longest sleep while exclusive attempts run: epoll's clock stands still during a suspend."""
UPGRADE_TAKES: Final = 1.0
"""Seconds for which a re-exec may keep this process from enforcing deadlines, generously."""
TELL_EVERY: Final = 0.02
TELL_AT_ONCE: Final = 4 << 20
"""Bytes of new output of which the agent is told without waiting, so that much of it flows evenly."""
AGENT_PATIENCE: Final = 10.0
OK: Final = 0
FAILED: Final = 1


class Warden:
    """The loop and what it is made of."""

    def __init__(self, host: Host, runner: Runner, starter: Starter, signals: Signals) -> None:
        self._host = host
        self._runner = runner
        self._starter = starter
        self._signals = signals
        self._epoll = select.epoll()
        self._epoll.register(signals.fd, select.EPOLLIN)
        self._epoll.register(runner.output.epoll.fileno(), select.EPOLLIN)
        self._resting = False
        self._link: Link | None = None
        self._list_wanted = False
        self._listed_once = False
        self._told_at = 0.0
        self._agent = Supervisor(host.settings.agent) if host.settings.agent else None
        self._stopping = 0
        self._agent_told_to_end = 0.0
        self._exit_code: int | None = None
        self.upgrade_wanted = False
        self._verbs: dict[str, Callable[[Message], None]] = {
            "list": self._list,
            "start": self._start,
            "stop": self._stop,
            "extend": self._extend,
            "acked": self._acked,
            "accept": self._accept,
            "forget": self._forget,
            "stdin": self._stdin,
            "upgrade": self._upgrade,
        }

    def connect(self, sock: socket.socket) -> None:
        """Talk to an agent on this socket."""
        self._link = Link(sock, self._epoll)

    def run(self) -> int | None:
        """Turn until told to end; returns the exit code, None when a re-exec is due."""
        while self._exit_code is None and not self._may_upgrade:
            self._care_for_agent()
            self._take_in(self._epoll.poll(self._timeout()))
            self._work()
        return self._exit_code

    @property
    def _upgrade_due(self) -> bool:
        """Whether an upgrade is wanted and no exclusive deadline comes meanwhile."""
        if not self.upgrade_wanted or self._stopping:
            return False
        return self._runner.next_deadline() > boottime() + UPGRADE_TAKES

    @property
    def _may_upgrade(self) -> bool:
        """Whether the moment is right: no order between its arrival and its exec either."""
        return self._upgrade_due and not self._starter.pending

    def _timeout(self) -> float:
        hears = self._link is not None and not self._link.congested
        if self._starter.pending or (hears and (self._host.events or self._list_wanted)):
            return 0.0
        due = self._runner.next_timer()
        if self._resting:
            due = min(due, self._runner.output.resting_until)
        if self._runner.output.changed and hears:
            due = min(due, self._told_at + TELL_EVERY)
        if self._agent is not None:
            due = min(due, self._agent.start_at)
        if self._agent_told_to_end:
            due = min(due, self._agent_told_to_end + AGENT_PATIENCE)
        now = boottime()
        if due == float("inf"):
            return POLL if self._runner.exclusive else -1.0
        wait = max(0.0, due - now)
        return min(wait, POLL) if self._runner.exclusive else wait

    def _take_in(self, ready: list[tuple[int, int]]) -> None:
        output = self._runner.output
        for fd, mask in ready:
            if fd == self._signals.fd:
                self._on_signals(self._signals.take())
            elif self._link is not None and fd == self._link.fd:
                self._on_link(mask)
        if self._resting and boottime() >= output.resting_until:
            self._resting = False
            self._epoll.modify(output.epoll.fileno(), select.EPOLLIN)
        elif not self._resting and any(fd == output.epoll.fileno() for fd, _ in ready):
            output.serve()
            if output.resting_until > boottime():
                self._resting = True
                self._epoll.modify(output.epoll.fileno(), 0)

    def _work(self) -> None:
        """The rest of a turn: everything that depends on what was taken in."""
        host, runner, starter = self._host, self._runner, self._starter
        runner.expire()
        runner.settle()
        starter.admit(len(runner.attempts))
        host.journal.sync()
        self._tell()
        for attempt in starter.start_admitted():
            runner.add(attempt)
        runner.tidy()
        if host.journal.mostly_history:
            self._compact()
        if self._stopping:
            self._wind_down()

    def _tell(self) -> None:
        link, host, output = self._link, self._host, self._runner.output
        if link is None:
            host.events.clear()
            return
        if link.congested:
            return
        if self._list_wanted:
            host.events = [self._snapshot()]
            self._list_wanted = False
            if not self._listed_once:
                self._listed_once = True
                notify("READY=1")
        now = boottime()
        due = now - self._told_at >= TELL_EVERY or output.untold >= TELL_AT_ONCE
        if output.changed and due:
            spans = {fence: host.spools[fence].span for fence in output.changed if fence in host.spools}
            host.events.insert(0, to_json({"is": "progress", "spools": spans}))
            output.changed.clear()
            output.untold = 0
            self._told_at = now
        if host.events:
            link.send(host.events)
            host.events = []

    def _snapshot(self) -> str:
        host = self._host
        exits = [
            f'{{"accepted":{to_json(known.accepted)},"record":{known.exit}}}'
            for known in host.ledger.attempts.values()
            if known.exit
        ]
        rest = to_json(
            {
                "is": "snapshot",
                "instance": host.instance,
                "boot_id": host.boot_id,
                "reduced": host.groups.reduced,
                "queued": self._starter.waiting,
                "attempts": [
                    {
                        "fence": a.fence,
                        "pid": a.pid,
                        "ticks": a.ticks,
                        "at": a.started_ns,
                        "note": a.order.note,
                    }
                    for a in self._runner.attempts.values()
                ],
                "spools": {fence: spool.span for fence, spool in host.spools.items()},
            }
        )
        return f'{rest[:-1]},"exits":[{",".join(exits)}]}}'

    def _on_link(self, mask: int) -> None:
        assert self._link is not None
        if mask & select.EPOLLOUT:
            self._link.flush()
        if not mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            return
        if self._upgrade_due:
            # The next image reads it. Orders that come as fast as they are started would put it off for ever.
            return
        try:
            messages = self._link.receive()
        except ProtocolError:
            messages = None
        if messages is None:
            self._link.close()
            self._link = None
            if self._agent is None:
                self._begin_end()
            return
        for message in messages:
            verb = self._verbs.get(message.get("do", ""))
            if verb is None:
                continue
            try:
                verb(message)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # An agent of another version: what it meant is unknown, the tasks must not suffer.
                print(f"warden: cannot read {str(message)[:200]}: {error!r}", file=sys.stderr, flush=True)

    def _list(self, _: Message) -> None:
        self._list_wanted = True

    def _start(self, message: Message) -> None:
        try:
            order = Order.parse(message)
        except (KeyError, TypeError, ValueError) as error:
            refusal = {"fence": message.get("fence", ""), "kind": "malformed", "message": str(error)}
            self._host.tell({"is": "refused", **refusal})
            return
        self._starter.put(order)

    def _stop(self, message: Message) -> None:
        fence = message["fence"]
        attempt = self._runner.attempts.get(fence)
        if attempt is not None:
            self._runner.stop(attempt, "stop", message.get("grace", attempt.order.grace), message.get("note"))
        else:
            self._starter.withdraw(fence)

    def _extend(self, message: Message) -> None:
        for fence, (term_at, kill_at) in message["deadlines"].items():
            self._runner.extend(fence, term_at, kill_at)

    def _acked(self, message: Message) -> None:
        host = self._host
        for fence, position in message["positions"].items():
            spool = host.spools.get(fence)
            if spool is None:
                continue
            spool.acked(position)
            attempt = self._runner.attempts.get(fence)
            if attempt is not None and attempt.blocked:
                self._runner.output.unblock(attempt)
        if host.usage.disk > host.settings.node_cap:
            self._make_room()

    def _make_room(self) -> None:
        """Acknowledged bytes go first, silently; they are only kept to refill a relay."""
        host = self._host
        for spool in list(host.spools.values()):
            while host.usage.disk > host.settings.node_cap and spool.drop_acked():
                self._runner.output.changed[spool.fence] = None

    def _accept(self, message: Message) -> None:
        host = self._host
        for fence in message["fences"]:
            host.journal.note(host.ledger.accept(fence))

    def _forget(self, message: Message) -> None:
        host = self._host
        for fence in message["fences"]:
            if fence in self._runner.attempts:
                continue
            if spool := host.spools.pop(fence, None):
                spool.delete()
            host.journal.note(host.ledger.forget(fence))

    def _stdin(self, message: Message) -> None:
        attempt = self._runner.attempts.get(message["fence"])
        if attempt is not None:
            data = base64.b64decode(message.get("data", ""))
            self._runner.output.feed(attempt, data, bool(message.get("eof")))

    def _upgrade(self, _: Message) -> None:
        self.upgrade_wanted = True

    def _on_signals(self, numbers: set[int]) -> None:
        if signal.SIGHUP in numbers:
            self.upgrade_wanted = True
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self._begin_end()
        if signal.SIGCHLD in numbers:
            for pid, status in self._runner.reap():
                if self._agent is not None and pid == self._agent.pid:
                    self._agent_died(status)

    def _agent_died(self, status: int) -> None:
        assert self._agent is not None
        self._agent.ended()
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._stopping:
            return
        if status >> 8 == CONFIGURATION and not status & 0x7F and not self._listed_once:
            self._exit_code = CONFIGURATION

    def _care_for_agent(self) -> None:
        agent = self._agent
        if agent is None or agent.runs or self._stopping or boottime() < agent.start_at:
            return
        try:
            self.connect(agent.start())
        except SpawnError:
            agent.ended()

    def _begin_end(self) -> None:
        """End every attempt, then the agent, then this process; asked twice, without any grace."""
        self._stopping += 1
        self._starter.closed = True
        for fence in self._starter.waiting:
            self._starter.withdraw(fence)
        for attempt in list(self._runner.attempts.values()):
            grace = attempt.order.grace if self._stopping == 1 else 0.0
            self._runner.stop(attempt, "shutdown", grace)
        if self._stopping == 1:
            self._host.tell({"is": "stopping"})
            notify("STOPPING=1")

    def _wind_down(self) -> None:
        if not self._runner.idle or self._starter.pending:
            return
        if self._host.events and self._stopping == 1 and self._link is not None and not self._link.congested:
            return
        if self._agent is None or not self._agent.runs:
            self._exit_code = OK
        elif not self._agent_told_to_end:
            self._agent.signal(signal.SIGTERM)
            self._agent_told_to_end = boottime()
        elif boottime() > self._agent_told_to_end + AGENT_PATIENCE or self._stopping > 1:
            self._agent.signal(signal.SIGKILL)

    def _compact(self) -> None:
        try:
            self._host.journal.rewrite(self._host.ledger.records())
        except OSError:
            # No room for a second file: the old one goes on growing into what is left.
            return

    def resume(self, carried: dict[str, Any]) -> None:
        """Go on after a re-exec: the agent gets a fresh list, whatever happened in between is looked up."""
        self._listed_once = carried["listed"]
        if carried["link"] is not None:
            self.connect(socket.socket(fileno=carried["link"]["fd"]))
            assert self._link is not None
            self._link.resume(carried["link"])
        agent_pid = carried["agent"]
        if self._agent is not None and agent_pid:
            self._agent.adopt(agent_pid)
        self._on_signals({signal.SIGCHLD})
        self._list_wanted = True

    def carried(self) -> dict[str, Any]:
        """What a re-executed warden needs of the loop."""
        return {
            "link": self._link.carried() if self._link is not None else None,
            "agent": self._agent.pid if self._agent is not None else 0,
            "listed": self._listed_once,
        }
