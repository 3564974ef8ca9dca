"""How does a program, or a test, run a whole Tenure on this machine?

    async with Fleet(agents=3) as fleet:
        async with tenure.Client(fleet.address) as client: …

Every process is a real one, with real gRPC between them and etcd with fsync below. A supervisor process keeps
them running; when the program that wanted the fleet ends, however it ends, all of them end.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tenure.errors import BadConfiguration, TenureError
from tenure.local.etcd_binary import EtcdNotFound, find_etcd
from tenure.local.layout import Size, plan
from tenure.local.plan import AGENT, ETCD, RELAY, SCHEDULER, Plan
from tenure.local.process_tree import descendants, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
COMMAND_SECONDS: Final = 15.0


class FleetError(TenureError):
    """The local fleet cannot be run."""

    reason = "LOCAL_FLEET"


class CannotStart(FleetError, BadConfiguration):
    """Something has to be changed before a local fleet can start here."""

    reason = "LOCAL_FLEET"


class Fleet:
    """A local fleet; `async with` starts it, waits until it is ready, and stops it.

    Args:
        schedulers, agents, relays: how many of each.
        members: how many of etcd.
        data_dir: where everything is kept; None: a temporary folder that is removed at the stop.
        default_ports: take 7420 and 7430 where they are free.
        scheduler_options, agent_options, relay_options: settings by their names in the configuration files.
        report: hears one sentence before something that takes long, such as a download.
    """

    def __init__(
        self,
        *,
        schedulers: int = 1,
        agents: int = 1,
        relays: int = 1,
        members: int = 1,
        data_dir: Path | None = None,
        default_ports: bool = False,
        scheduler_options: dict[str, Any] | None = None,
        agent_options: dict[str, Any] | None = None,
        relay_options: dict[str, Any] | None = None,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._size = Size(
            schedulers=schedulers,
            agents=agents,
            relays=relays,
            members=members,
            default_ports=default_ports,
            scheduler_options=scheduler_options or {},
            agent_options=agent_options or {},
            relay_options=relay_options or {},
        )
        self.is_temporary = data_dir is None
        """Whether the data folder is removed at the stop."""
        self._wanted_dir = data_dir
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._commands = asyncio.Lock()
        self._command_id = 0
        self.plan = Plan("", ())
        """What the fleet consists of, once it is started."""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            await self.wait_ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def data_dir(self) -> Path:
        """Where everything is kept."""
        return Path(self.plan.data_dir)

    @property
    def address(self) -> str:
        """What `tenure.Client` and TENURE_ADDRESS take: every scheduler."""
        return ",".join(part.address for part in self.plan.of_kind(SCHEDULER))

    @property
    def relay_addresses(self) -> list[str]:
        """Where the log relays listen."""
        return [part.address for part in self.plan.of_kind(RELAY)]

    @property
    def etcd_address(self) -> str:
        """Where etcd serves clients: its only member, or the first."""
        return self.plan.of_kind(ETCD)[0].address

    @property
    def agents(self) -> list[str]:
        """Names of the agents, which are those of their workers."""
        return [part.name for part in self.plan.of_kind(AGENT)]

    @property
    def names(self) -> list[str]:
        """Names of all processes of the fleet."""
        return [part.name for part in self.plan.parts]

    def log(self, name: str) -> Path:
        """The file with what a process wrote about itself."""
        return self.plan.logs / f"{name}.log"

    async def start(self, *, detach: bool = False) -> None:
        """Start every process; `wait_ready` says when they serve.

        Args:
            detach: the fleet outlives this program, until `stop_detached`.

        Raises:
            CannotStart: no etcd, a folder that cannot be used, or a fleet that runs there already.
        """
        try:
            etcd = await asyncio.to_thread(find_etcd, report=self._report)
        except EtcdNotFound as error:
            raise CannotStart(str(error)) from None
        self.plan = self._plan(self._make_data_dir(), etcd.path)
        plan_file = self.data_dir / "plan.json"
        plan_file.write_text(self.plan.to_json())
        command = [
            sys.executable,
            "-m",
            "tenure.local.reaper",
            sys.executable,
            "-m",
            "tenure.local.supervisor",
        ]
        with (self.data_dir / "supervisor.log").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                str(plan_file),
                *(["--detached"] if detach else []),
                stdin=asyncio.subprocess.DEVNULL if detach else asyncio.subprocess.PIPE,
                stdout=errors if detach else asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    async def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Return when a leader is known, every relay is registered and every worker takes tasks.

        Raises:
            FleetError: not within `timeout` seconds, or a process ends again and again; says which and why.
        """
        from tenure.local.readiness import missing_until_ready

        end = time.monotonic() + timeout
        async for missing in missing_until_ready(self.plan):
            self._check_supervisor()
            if time.monotonic() > end:
                raise FleetError(
                    f"the fleet is not ready after {timeout:.0f} s: {missing}. {self._complaint()}"
                )

    async def stop(self) -> None:
        """End every process of the fleet and everything that they started. Idempotent.

        Whoever cancels it waits until that is done: half a stop would leave processes and the folder behind.
        """
        ending = asyncio.ensure_future(self._end())
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        ending.result()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None and process.stdout is not None:
                process.stdin.close()
                # The end of the supervisor's output, and not the end of the reaper: that may have been
                # killed.
                while await process.stdout.read(65536):
                    pass
            elif process.returncode is None:
                process.terminate()
            await process.wait()
        if self.is_temporary and self.plan.data_dir:
            await asyncio.to_thread(shutil.rmtree, self.data_dir, ignore_errors=True)

    async def kill(self, name: str) -> None:
        """SIGKILL one process; the supervisor starts it again."""
        await self._do("kill", name)

    async def kill_node(self, name: str, *, restart: bool = False) -> list[int]:
        """SIGKILL an agent, its warden and every process of its tasks at once; returns the pids.

        Args:
            restart: start the node again; else it stays down until `restart_node`.
        """
        answer = await self._command({"do": "kill_node", "name": name, "restart": restart})
        return list(answer["killed"])

    async def restart_node(self, name: str) -> None:
        """Start a node again that `kill_node` ended."""
        await self._do("start", name)

    async def pause(self, name: str) -> None:
        """SIGSTOP a process, of an agent the whole node: it falls silent and its connections stay open."""
        await self._do("pause", name)

    async def resume(self, name: str) -> None:
        """SIGCONT what `pause` stopped."""
        await self._do("resume", name)

    async def pids(self) -> dict[str, int]:
        """The pid of each process by name, of an agent its warden's; 0 for what is not running now."""
        return dict((await self._command({"do": "pids"}))["pids"])

    async def agent_pid(self, name: str) -> int:
        """The pid of the agent of a node, which its warden starts; 0 when none runs now."""
        warden = (await self.pids())[name]
        return next((pid for pid in descendants(warden) if _is_agent(pid)), 0) if warden else 0

    async def exits(self) -> dict[str, list[int]]:
        """The exit codes of each process that ended, oldest first; negative: a signal."""
        return dict((await self._command({"do": "pids"}))["exits"])

    async def _do(self, what: str, name: str) -> None:
        await self._command({"do": what, "name": name})

    async def _command(self, command: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise FleetError("the fleet is not running under this program")
        async with self._commands:
            while True:
                self._command_id += 1
                request = {**command, "id": self._command_id}
                try:
                    return await asyncio.wait_for(self._ask(process, request), COMMAND_SECONDS)
                except TimeoutError:
                    # A supervisor that was killed has taken the command along; its successor has not seen it.
                    continue

    async def _ask(self, process: asyncio.subprocess.Process, request: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        while line := await process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == request["id"]:
                return answer
        raise FleetError(f"the supervisor of the fleet has ended. {self._complaint()}")

    def _plan(self, data_dir: Path, etcd: Path) -> Plan:
        """What this fleet consists of; the fault runs put proxies between the parts."""
        return plan(data_dir, etcd, self._size)

    def _make_data_dir(self) -> Path:
        if self._wanted_dir is None:
            return Path(tempfile.mkdtemp(prefix="tenure-"))
        folder = self._wanted_dir.absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "logs").mkdir(exist_ok=True)
        except OSError as error:
            raise CannotStart(f"cannot use {folder}: {error.strerror}") from None
        if not os.access(folder, os.W_OK):
            raise CannotStart(f"cannot use {folder}: it is not writable")
        if running := running_supervisor(folder):
            stop = f"tenure down --data-dir {shlex.quote(str(folder))}"
            raise CannotStart(f"a fleet runs in {folder} already (pid {running}): stop it with `{stop}`")
        return folder

    def _check_supervisor(self) -> None:
        if self._process is not None and self._process.returncode is not None:
            raise FleetError(f"the supervisor of the fleet has ended. {self._complaint()}")

    def _complaint(self) -> str:
        """The last line of each log that tells of trouble."""
        for name in self.names:
            if self.log(name).exists() and (lines := self.log(name).read_text(errors="replace").splitlines()):
                return f"{name} says: {lines[-1]}"
        return f"The logs are in {self.plan.logs}."


def _is_agent(pid: int) -> bool:
    try:
        return b"--warden-fd" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def running_supervisor(data_dir: Path) -> int:
    """Pid of the supervisor that runs a fleet in this folder; 0: none does."""
    try:
        known = json.loads((data_dir / "supervisor.json").read_text())
        return int(known["pid"]) if is_alive(known["pid"], known["ticks"]) else 0
    except (OSError, ValueError, KeyError):
        return 0


async def stop_detached(data_dir: Path, timeout: float = STOP_SECONDS) -> bool:
    """Stop the fleet that runs in this folder; False when none does."""
    pid = running_supervisor(data_dir)
    if not pid:
        return False
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + timeout
    while running_supervisor(data_dir):
        if time.monotonic() > end:
            raise FleetError(f"the supervisor (pid {pid}) did not end within {timeout:.0f} s")
        await asyncio.sleep(0.02)
    return True
