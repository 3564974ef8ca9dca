"""On which time does a simulated cluster run, and which process runs next?

One thread, one queue of what is to happen on a virtual clock. Each simulated process has an event loop of
its own that asyncio takes for a real one; nothing in it ever waits for the outside. A process may be paused
(what is due piles up, as under SIGSTOP) or killed (nothing of it ever runs again). The same seed gives the
same run.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import random
import time
from asyncio import events
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from tenure_runtime import watchdog

START_UTC: Final = 1_800_000_000
"""Wall clock at the beginning of every run, in Unix seconds."""
MOST_STEPS: Final = 50_000
"""Turns of loops within a tenth of a virtual second before a run is given up as going round in circles."""
_TICK: Final = 1e-9
_WATCH_TICK: Final = 0.4
"""How often processes look whether their loops turn: a quarter as often as real ones, it is most of what
idle ones do."""


class Circling(AssertionError):
    """The run made no progress in virtual time."""


class Handle(list[Any]):
    """Something to be run: what to call, and its arguments; as asyncio.Handle, without its context.

    Several are made in every turn of every loop: a list is made without a frame of the interpreter's own.
    """

    __slots__ = ()

    def cancel(self) -> None:
        self[0] = None

    def cancelled(self) -> bool:
        return self[0] is None


class Host:
    """A machine: its clocks, and a disk that survives its processes."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.world = world
        self.boot_offset = world.random.uniform(10, 1_000_000)
        """Hosts were started at different times: instants of one mean nothing on another."""
        self.wall_offset = world.random.uniform(-0.2, 0.2)
        self.boot_id = f"boot-{name}-1"
        self.boots = 1
        self.disk: dict[str, Any] = {}
        self.disk_delay = (0.0002, 0.004)
        """Seconds that blocking work takes."""

    def boottime(self) -> float:
        return self.world.now + self.boot_offset

    def utc_ns(self) -> int:
        return int((START_UTC + self.world.now + self.wall_offset) * 1e9)

    def reboot(self) -> None:
        """A new boot id, and a clock that begins again."""
        self.boots += 1
        self.boot_id = f"boot-{self.name}-{self.boots}"
        self.boot_offset = self.world.random.uniform(5, 100) - self.world.now


class World:
    """Virtual time and the processes on it. Use as a context: it replaces the clocks of the interpreter."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self.random = random.Random(f"world {seed}")
        self.now = 0.0
        self.current: Process | None = None
        self.running: Loop | None = None
        """What asyncio takes for the running loop."""
        self.trace: Callable[[str], None] | None = None
        self.processes: list[Process] = []
        self._queue: list[tuple[float, int, Process | None, Handle]] = []
        self._sequence = 0
        self._ready: deque[Process] = deque()
        self._steps = 0
        self._counted_from = 0.0
        self.failures: list[str] = []
        """What no process may do: unhandled exceptions."""

    # --- the queue -----------------------------------------------------------------------------------------

    def at(self, when: float, process: Process | None, handle: Handle) -> None:
        """Run a handle at a time, in the context of a process."""
        self._sequence += 1
        heapq.heappush(self._queue, (max(when, self.now), self._sequence, process, handle))

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> Handle:
        """Do something that no process does: a fault, a message in flight."""
        handle = Handle((callback, args))
        self._sequence += 1
        when = self.now + delay if delay > 0 else self.now
        heapq.heappush(self._queue, (when, self._sequence, None, handle))
        return handle

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Let time pass until a condition holds; False when `limit` (seconds from now) came first."""
        end = self.now + limit
        queue, ready = self._queue, self._ready
        over = until()
        while not over:
            if ready:
                self._turn(ready)
                if until():
                    return True
            while queue and queue[0][3][0] is None and queue[0][0] <= end:
                heapq.heappop(queue)
            if not queue or queue[0][0] > end:
                self.now = end
                return until()
            when, _, process, handle = heapq.heappop(queue)
            if when > self.now:
                self.now = when
            if when > self._counted_from + 0.1:
                self._counted_from, self._steps = when, 0
            if process is None:
                callback, args = handle
                callback(*args)
                over = until()
            else:
                process.due(handle)
        return True

    def _turn(self, ready: deque[Process]) -> None:
        """Run whatever can run before time goes on."""
        while ready:
            ready.popleft().run_ready()
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise Circling(f"seed {self.seed}: {MOST_STEPS} steps at {self.now:.6f}")

    def runs(self, loop: Loop | None) -> None:
        """Tell asyncio which loop is the running one; each time that costs a system call."""
        if self.running is not loop:
            self.running = loop
            asyncio._set_running_loop(loop)

    # --- clocks --------------------------------------------------------------------------------------------

    def __enter__(self) -> World:
        self._restore = _patched(self)
        self._restore.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.runs(None)
        self._restore.__exit__(None, None, None)


@contextmanager
def _patched(world: World) -> Iterator[None]:
    """Clocks and randomness of the interpreter come from the world while it runs."""
    names = ("clock_gettime", "time_ns", "time", "monotonic", "perf_counter")
    loops = ((asyncio, "get_running_loop"), (events, "get_running_loop"), (events, "_get_running_loop"))
    saved = [(module, name, getattr(module, name)) for module, name in (*((time, n) for n in names), *loops)]
    urandom = os.urandom

    def boot(_: int = 0) -> float:
        process = world.current
        return world.now if process is None else world.now + process.host.boot_offset

    def wall_ns() -> int:
        process = world.current
        return int((START_UTC + world.now) * 1e9) if process is None else process.host.utc_ns()

    tick = watchdog.TICK
    random.seed(f"processes {world.seed}")
    bytes_source = random.Random(f"urandom {world.seed}")
    try:
        time.clock_gettime = boot
        time.time_ns = wall_ns
        time.time = lambda: wall_ns() / 1e9
        time.monotonic = boot
        time.perf_counter = boot
        os.urandom = bytes_source.randbytes
        vars(watchdog)["TICK"] = _WATCH_TICK
        for module, name in loops:
            # asyncio's own ones ask the kernel each time whether this is still the process that it was.
            setattr(module, name, partial(getattr, world, "running"))
        yield
    finally:
        for module, name, function in saved:
            setattr(module, name, function)
        os.urandom = urandom
        vars(watchdog)["TICK"] = tick


class Process:
    """One simulated operating system process: a loop that runs until it is paused or killed."""

    def __init__(self, world: World, name: str, host: Host) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.alive = True
        self.paused = False
        self.resets = True
        """Whether a death resets its connections; not so when its machine loses power."""
        self.links: dict[Any, None] = {}
        """Open connections, in the order in which they were made."""
        self.loop = Loop(self)
        self.on_death: list[Callable[[], object]] = []
        """Connections to reset and the like: what the kernel does for a process that died."""
        self._backlog: list[Handle] = []
        self._scheduled = False
        world.processes.append(self)

    def __repr__(self) -> str:
        return self.name

    def start(self, coroutine: Any) -> asyncio.Task[Any]:
        """Begin to run a coroutine in this process."""
        with self.entered():
            task: asyncio.Task[Any] = self.loop.create_task(coroutine)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.world.failures.append(f"{self.name}: {task.exception()!r}")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run code as this process does: its loop is the running one, its host's clocks count."""
        world = self.world
        previous, running = world.current, world.running
        world.current = self
        world.runs(self.loop)
        try:
            yield
        finally:
            world.current = previous
            world.runs(running)

    def soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Have the process do something now, or when it is continued."""
        self.due(Handle((callback, args)))

    def due(self, handle: Handle) -> None:
        """The time of a handle has come."""
        if not self.alive:
            return
        if self.paused:
            self._backlog.append(handle)
            return
        self.loop.ready.append(handle)
        if not self._scheduled:
            self._scheduled = True
            self.world._ready.append(self)

    def wake(self) -> None:
        """There is something to run now."""
        if not self._scheduled:
            self._scheduled = True
            self.world._ready.append(self)

    def run_ready(self) -> None:
        """Run one turn of the loop."""
        self._scheduled = False
        ready = self.loop.ready
        world = self.world
        world.current = self
        # It stays the running one until the next turn: outside of processes nobody asks for one.
        if world.running is not self.loop:
            world.runs(self.loop)
        try:
            for _ in range(len(ready)):
                # What ran before may have stopped it.
                if not self.alive or self.paused:
                    return
                callback, args = ready.popleft()
                if callback is None:
                    continue
                try:
                    callback(*args)
                except Exception as error:  # noqa: BLE001  (as an event loop does)
                    world.failures.append(f"{self.name}: {callback}: {error!r}")
        finally:
            world.current = None
        if ready and not self.paused:
            self.wake()

    def pause(self) -> None:
        """Stop where it is, as by SIGSTOP."""
        self.paused = True

    def resume(self) -> None:
        """Go on; everything that came due meanwhile comes at once."""
        if not self.paused:
            return
        self.paused = False
        self.loop.ready.extend(self._backlog)
        self._backlog.clear()
        if self.loop.ready:
            self.wake()

    def kill(self) -> None:
        """It is gone, without a last word."""
        if not self.alive:
            return
        self.alive = False
        self.loop.ready.clear()
        self._backlog.clear()
        for link in list(self.links):
            link.died(self)
        self.links.clear()
        for callback in self.on_death:
            callback()
        self.on_death.clear()


_AbstractLoop: Any = asyncio.AbstractEventLoop
"""Untyped: of its eighty methods a simulated process needs a dozen."""


class Loop(_AbstractLoop):  # type: ignore[misc]
    """What asyncio needs of an event loop, on virtual time."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ready: deque[Handle] = deque()
        self.connect: Callable[[Process, str], Any] | None = None
        """How a TCP connection is made; set by the network."""

    get_debug = staticmethod(bool)
    """False, without a frame of its own: every future asks."""

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        return self.process.world.now + self.process.host.boot_offset

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Handle:
        handle = Handle((callback, args))
        self.ready.append(handle)
        process = self.process
        if not process._scheduled:
            process._scheduled = True
            process.world._ready.append(process)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Handle:
        process = self.process
        world = process.world
        handle = Handle((callback, args))
        when = world.now + (delay if delay > _TICK else _TICK)
        world._sequence += 1
        heapq.heappush(world._queue, (when, world._sequence, process, handle))
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Handle:
        handle = Handle((callback, args))
        self.process.world.at(when - self.process.host.boot_offset, self.process, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_task_factory(self) -> None:
        return None

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        """Blocking work: done and answered after the time that a disk takes; not if it is killed before."""
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as raised:  # noqa: BLE001  (handed on to whoever waits)
                if not future.done():
                    future.set_exception(raised)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(self.process.world.random.uniform(*self.process.host.disk_delay), work)
        return future

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        assert self.connect is not None, "this process has no network"
        return await self.connect(self.process, f"{host}:{port}")(protocol_factory)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.process.alive and error is not None:
            self.process.world.failures.append(f"{self.process.name}: {context.get('message')}: {error!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)
