"""Who keeps the processes of a local fleet running, and ends them all?

`python -m tenure.local.supervisor PLAN` starts etcd, then the services, restarts whatever ends (after 50 ms,
longer when it happens again soon), writes each process's output to a file, and stops everything in a written
order on SIGTERM or when its standard input ends. Standard library only: a process that uses gRPC must not
fork.

Lines of JSON on standard input are commands, answered by one line with the same "id" on standard output:
{"do": "kill" | "kill_node" | "pause" | "resume" | "start" | "pids" | "stop", "name": "scheduler-1"}.
Every child dies with this process (PR_SET_PDEATHSIG); orphans of theirs become ours and are ended at the
stop.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Final

from tenure.local.plan import AGENT, ETCD, STOP_ORDER, Part, Plan
from tenure.local.prctl import adopt_orphans, die_with_parent
from tenure.local.process_tree import connected_with, descendants, end_all, is_alive, reap, send, start_ticks

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
SETTLED_SECONDS: Final = 5.0
EXIT_CANNOT_START: Final = 2
_SETTINGS: Final = ("ETCD_", "TENURE_SCHEDULER_", "TENURE_WORKER_AGENT_", "TENURE_LOG_RELAY_")
"""Variables that would come over the plan: settings of other servers on this machine."""


class Child:
    """One part of the plan, as a process that is started again when it ends."""

    def __init__(self, part: Part, log: Path) -> None:
        self.part = part
        self.log = log
        self.wanted = True
        self.process: subprocess.Popen[bytes] | None = None
        self.exits: list[int] = []
        self._started_at = 0.0
        self._pause = FIRST_PAUSE

    @property
    def pid(self) -> int:
        """Pid of the running process; 0 when none runs."""
        return self.process.pid if self.process is not None else 0

    def start(self) -> None:
        """Start the process and look after it."""
        if self.process is not None or not self.wanted:
            return
        me = os.getpid()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.part.argv,
                env={**environ, **self.part.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # Safe here: this process has one thread. The signal follows that thread, which lives to the
                # end.
                preexec_fn=lambda: die_with_parent(me),
            )
        self._started_at = time.monotonic()
        fd = os.pidfd_open(self.process.pid)
        asyncio.get_running_loop().add_reader(fd, self._ended, fd)

    def _ended(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(fd)
        os.close(fd)
        if self.process is None:
            return
        self.exits.append(self.process.wait())
        self.process = None
        if time.monotonic() - self._started_at > SETTLED_SECONDS:
            self._pause = FIRST_PAUSE
        loop.call_later(self._pause, self.start)
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    def node(self) -> list[int]:
        """Every process of an agent's node, the warden first; of another part only itself."""
        tree = [self.pid, *descendants(self.pid)] if self.pid and is_alive(self.pid) else []
        if self.part.kind == AGENT and self.part.state_dir:
            tree.extend(connected_with(Path(self.part.state_dir)))
        return list(dict.fromkeys(tree))


class Supervisor:
    """All children of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        plan.logs.mkdir(parents=True, exist_ok=True)
        self.children = {part.name: Child(part, plan.logs / f"{part.name}.log") for part in plan.parts}

    async def start(self) -> None:
        """Start etcd, wait until it serves, then everything else at once."""
        for child in self._of_kind(ETCD):
            child.start()
        for part in self._plan.of_kind(ETCD):
            await _until_etcd_serves(part.address)
        for child in self.children.values():
            child.start()

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command from the controlling program."""
        match command["do"]:
            case "pids":
                now = {name: child.pid for name, child in self.children.items()}
                return {"pids": now, "exits": {name: child.exits for name, child in self.children.items()}}
            case "kill":
                child = self.children[command["name"]]
                send([child.pid] if child.pid else [], signal.SIGKILL)
                return {"killed": [child.pid]}
            case "kill_node":
                child = self.children[command["name"]]
                child.wanted = bool(command.get("restart"))
                # Stopped first: else an agent that sees its warden end may tell of it before its own turn
                # comes.
                send(child.node(), signal.SIGSTOP)
                return {"killed": end_all(child.node)}
            case "pause" | "resume" as what:
                pids = self.children[command["name"]].node()
                send(pids, signal.SIGSTOP if what == "pause" else signal.SIGCONT)
                return {"pids": pids}
            case "start":
                child = self.children[command["name"]]
                child.wanted = True
                child.start()
                return {"pid": child.pid}
        return {"error": f"unknown command {command['do']!r}"}

    async def stop(self) -> None:
        """End everything: each kind gets SIGTERM and some time, then SIGKILL with its whole tree."""
        for child in self.children.values():
            child.wanted = False
        for kind in STOP_ORDER:
            children = self._of_kind(kind)
            trees = {pid for child in children for pid in child.node()}
            send([child.pid for child in children if child.pid], signal.SIGTERM)
            end = time.monotonic() + self._plan.stop_seconds
            while any(child.pid for child in children) and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            trees.update(pid for child in children for pid in child.node())
            send(trees, signal.SIGKILL)
        end_all(lambda: descendants(os.getpid()))

    def _of_kind(self, kind: str) -> list[Child]:
        return [child for child in self.children.values() if child.part.kind == kind]


async def _until_etcd_serves(address: str) -> None:
    """Return when etcd has a leader; the controlling program has the deadline."""
    host, _, port = address.rpartition(":")
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /health HTTP/1.0\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(4096), 2)
            writer.close()
            if b'"health":"true"' in answer:
                return
        except (OSError, TimeoutError):
            pass
        await asyncio.sleep(0.02)


async def run(plan: Plan, *, controlled: bool) -> None:
    """Run the fleet until it is told to stop."""
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(plan)
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGCHLD, lambda: reap(_pids(supervisor)))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listening = asyncio.create_task(_listen(supervisor, stopping)) if controlled else None
    starting = asyncio.create_task(supervisor.start())
    await stopping.wait()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await supervisor.stop()
    if listening is not None:
        listening.cancel()


def _pids(supervisor: Supervisor) -> list[int]:
    return [child.pid for child in supervisor.children.values()]


async def _listen(supervisor: Supervisor, stopping: asyncio.Event) -> None:
    """Obey commands; the end of the input means that the controlling program is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command = json.loads(line)
        if command["do"] == "stop":
            break
        print(json.dumps({**supervisor.obey(command), "id": command.get("id")}), flush=True)
    stopping.set()


def _lock(data_dir: Path) -> IO[str]:
    """Hold the data folder for this process alone."""
    data_dir.mkdir(parents=True, exist_ok=True)
    file = (data_dir / "lock").open("w")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def main(arguments: list[str]) -> int:
    """Exit code 2 when the data folder cannot be used."""
    plan_file = Path(arguments[0])
    plan = Plan.from_json(plan_file.read_text())
    adopt_orphans()
    try:
        held = _lock(Path(plan.data_dir))
    except OSError as error:
        busy = isinstance(error, BlockingIOError)
        print(json.dumps({"error": "busy" if busy else str(error)}), flush=True)
        return EXIT_CANNOT_START
    me = {"pid": os.getpid(), "ticks": start_ticks(os.getpid()), "parts": [p.name for p in plan.parts]}
    (Path(plan.data_dir) / "supervisor.json").write_text(json.dumps(me))
    asyncio.run(run(plan, controlled="--detached" not in arguments))
    held.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
