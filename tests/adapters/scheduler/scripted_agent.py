"""What does the scheduler do when an agent says exactly this?

An agent without tasks, warden or disk: it speaks the session protocol over real gRPC and says what the test
wants. In its automatic mode it reports every start as succeeded at once, batch by batch.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import grpc.aio

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure.v1.task_pb2 import AttemptOutcome
from tenure.v1.worker_admin_service_pb2 import Capacity
from tenure_core.levels import HeldPhase, level_digest
from tenure_runtime.rpc.transport import create_channel
from tests.support.waiting import eventually

SESSION = "/tenure.dispatch.v1.WorkerSessionService/Session"
BEAT = "/tenure.dispatch.v1.WorkerSessionService/Beat"
SUCCEEDED = AttemptOutcome.ATTEMPT_OUTCOME_SUCCEEDED
_EOF = vars(grpc.aio)["EOF"]  # The type stubs lack it.
FAILED = AttemptOutcome.ATTEMPT_OUTCOME_FAILED


class Refused(Exception):
    """The scheduler refused the session."""

    def __init__(self, refusal: pb.Refusal) -> None:
        super().__init__(f"{refusal.reason}: {refusal.message}")
        self.refusal = refusal


class Redirected(Exception):
    """Another replica leads."""


class ScriptedAgent:
    """One worker. `starts`, `stops`, `accepted` and `fenced` collect what the scheduler said."""

    def __init__(self, name: str, address: str, *, automatic: bool = False, cpu_milli: int = 64_000) -> None:
        self.name = name
        self.address = address
        self.automatic = automatic
        self.instance = str(uuid.uuid4())
        self.boot_id = "boot-1"
        self.connect_counter = 0
        self.capacity = Capacity(cpu_milli=cpu_milli, memory_bytes=1 << 36)
        self.welcome = pb.Welcome()
        self.starts: list[pb.Start] = []
        self.stops: list[pb.Stop] = []
        self.accepted: list[str] = []
        self.fenced: list[pb.Fenced] = []
        self.lists_wanted = 0
        self.results = 0
        self.ended: grpc.aio.AioRpcError | None = None
        self.over = asyncio.Event()
        self._channel: Any = None
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._beats: asyncio.Task[None] | None = None
        self._last_command = 0

    async def connect(self, held: Iterable[pb.HeldAttempt] = (), *, counter: int | None = None) -> pb.Welcome:
        """Say Hello and wait for Welcome; raises Refused or Redirected."""
        self.connect_counter = self.connect_counter + 1 if counter is None else counter
        self.over.clear()
        self.ended, self._last_command = None, 0
        if self._channel is None:
            self._channel = create_channel(self.address, own_connection=True, max_message_bytes=32 << 20)
        call = self._call = self._channel.stream_stream(SESSION)()
        await call.write(pb.SessionRequest(hello=self._hello(held)).SerializeToString())
        response = pb.SessionResponse.FromString(await _read(call))
        kind = response.WhichOneof("kind")
        if kind == "refusal":
            raise Refused(response.refusal)
        if kind == "redirect":
            raise Redirected(response.redirect.leader_address)
        assert kind == "welcome", response
        self.welcome = response.welcome
        self._reader = asyncio.create_task(self._read(call), name=f"agent {self.name}")
        return self.welcome

    async def status(self) -> grpc.StatusCode:
        """How the present stream ended, once it has."""
        code: grpc.StatusCode = await self._call.code()
        return code

    def _hello(self, held: Iterable[pb.HeldAttempt]) -> pb.Hello:
        return pb.Hello(
            worker=self.name,
            instance=self.instance,
            boot_id=self.boot_id,
            connect=self.connect_counter,
            incarnation=self.welcome.incarnation,
            epoch=self.welcome.epoch,
            version="test",
            capacity=self.capacity,
            task_types=["noop", "process", "echo"],
            held=held,
        )

    async def _read(self, call: Any) -> None:
        try:
            while (data := await call.read()) is not _EOF:
                commands = pb.SessionResponse.FromString(data).commands
                self._last_command = commands.number
                self.stops.extend(commands.stops)
                self.fenced.extend(commands.fenced)
                self.lists_wanted += commands.list_held
                if self.automatic:
                    self.results += len(commands.accepted)
                    if commands.starts:
                        await self.report_results(start.fence for start in commands.starts)
                else:
                    self.starts.extend(commands.starts)
                    self.accepted.extend(commands.accepted)
        except grpc.aio.AioRpcError as error:
            self.ended = error
        finally:
            self.over.set()

    # --- saying something ---------------------------------------------------------------------------------

    async def report(self, *reports: pb.AttemptReport) -> None:
        """Send one Report."""
        assert self._call is not None
        report = pb.Report(last_command=self._last_command, attempts=reports)
        await self._call.write(pb.SessionRequest(report=report).SerializeToString())

    async def report_started(self, *fences: str) -> None:
        """Say that attempts run."""
        await self.report(*(pb.AttemptReport(fence=f, started=pb.AttemptStarted(pid=1)) for f in fences))

    async def report_results(
        self, fences: Iterable[str], outcome: AttemptOutcome = SUCCEEDED, **facts: object
    ) -> None:
        """Say how attempts ended."""
        result = pb.AttemptResult(outcome=outcome, **facts)  # type: ignore[arg-type]
        await self.report(*(pb.AttemptReport(fence=fence, result=result) for fence in fences))

    async def report_digest(self, held: dict[str, HeldPhase]) -> None:
        """Say in short what it holds."""
        size, digest = level_digest(held.items())
        await self._report_level(pb.Level(last_command=self._last_command, count=size, digest=digest))

    async def report_list(self, *held: pb.HeldAttempt) -> None:
        """Say all that it holds."""
        await self._report_level(pb.Level(last_command=self._last_command, whole=True, held=held))

    async def _report_level(self, level: pb.Level) -> None:
        assert self._call is not None
        report = pb.Report(last_command=self._last_command, level=level)
        await self._call.write(pb.SessionRequest(report=report).SerializeToString())

    def held(self) -> list[pb.HeldAttempt]:
        """Everything that it was told to start, as running."""
        return [pb.HeldAttempt(fence=start.fence, started=True, pid=7) for start in self.starts]

    async def beat(self) -> pb.BeatResponse:
        """Renew the lease once."""
        assert self._channel is not None
        request = pb.BeatRequest(
            worker=self.name,
            session=self.welcome.session,
            lease_id=self.welcome.lease_id,
            live_revision=self.welcome.live_revision,
        )
        answer = await self._channel.unary_unary(BEAT)(request.SerializeToString(), timeout=2.0)
        return pb.BeatResponse.FromString(answer)

    def keep_beating(self) -> None:
        """Renew the lease again and again."""
        self._beats = asyncio.create_task(self._beat_on(), name=f"beats of {self.name}")

    async def _beat_on(self) -> None:
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self.beat()
            await asyncio.sleep(self.welcome.ttl_ms / 4000)

    # --- waiting ------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], within: float = 20.0) -> None:
        """Wait until something is so."""
        await eventually(condition, within=within, what=f"agent {self.name}")

    async def started(self, count: int) -> list[str]:
        """Wait for so many Starts; their fences."""
        await self.until(lambda: len(self.starts) >= count)
        return [start.fence for start in self.starts]

    # --- ending -------------------------------------------------------------------------------------------

    async def end_stream(self) -> None:
        """End the stream in order."""
        assert self._call is not None
        await self._call.done_writing()
        await asyncio.wait_for(self.over.wait(), 5)

    async def break_stream(self) -> None:
        """Lose the session stream without ending it, while beats go on."""
        assert self._call is not None
        self._call.cancel()
        await self._stop(self._reader)

    async def drop(self) -> None:
        """Break the connection, as a dying process does; beats end too."""
        await self._stop(self._beats)
        self._beats = None
        if self._call is not None:
            self._call.cancel()
        await self._stop(self._reader)
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    async def _stop(self, task: "asyncio.Task[None] | None") -> None:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Give back everything."""
        await self.drop()


async def _read(call: Any) -> bytes:
    data: bytes = await asyncio.wait_for(call.read(), 10)
    if data is _EOF:
        raise AssertionError(f"the stream ended: {await call.code()} {await call.details()}")
    return data


@contextlib.asynccontextmanager
async def agent(
    name: str, address: str, *, automatic: bool = False, beating: bool = True
) -> AsyncIterator[ScriptedAgent]:
    """Run a connected agent."""
    scripted = ScriptedAgent(name, address, automatic=automatic)
    try:
        await scripted.connect()
        if beating:
            scripted.keep_beating()
        yield scripted
    finally:
        await scripted.close()


async def run_automatic(name: str, address: str) -> None:
    """Be an automatic agent until cancelled; the other side of a benchmark."""
    scripted = ScriptedAgent(name, address, automatic=True)
    await scripted.connect()
    scripted.keep_beating()
    print(f"ready {time.time():.3f}", flush=True)
    await scripted.over.wait()


if __name__ == "__main__":
    import sys

    asyncio.run(run_automatic(*sys.argv[1:3]))
