"""How does a service process live and end?

    def main() -> None:
        run("tenure-scheduler", serve, configure=lambda: from_command_line(…))

    async def serve(process: Process, config: SchedulerConfig) -> None:
        etcd = await connect(config)
        process.at_shutdown("close the connection to etcd", etcd.close)
        process.spawn("session", keep_session(etcd))
        server = …
        process.at_shutdown("stop serving", server.stop)
        await process.ready("serving on 127.0.0.1:7420")

Shutdown runs the steps in the reverse order of their registration, each with a time limit, then cancels
what was spawned. SIGTERM and SIGINT begin it; a second one ends the process at once. A spawned task that
fails, or that ends although it should run for ever, brings the service down loudly: a service that is half
alive is worse than a dead one.

Exit codes: 0 after a signal, 1 after a failure, 2 when configuration or surroundings do not allow a start,
with one sentence on standard error and no traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn, TypeVar

from tenure_runtime.logging_setup import configure_logging, get_logger
from tenure_runtime.startup import EXIT_CANNOT_START, CannotStart
from tenure_runtime.watchdog import LoopWatch

EXIT_FAILED: Final = 1
STEP_TIMEOUT: Final = 10.0

C = TypeVar("C")
Step = Callable[[], Awaitable[Any]]
_log = get_logger("process")


class Process:
    """What a service's `serve` may ask of its process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = asyncio.Event()
        """Set when shutdown begins."""
        self.loop_watch = LoopWatch()
        """Says when the loop ticked last and tells of stalls."""
        self._steps: list[tuple[str, Step, float]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    def at_shutdown(self, what: str, step: Step, *, timeout: float = STEP_TIMEOUT) -> None:
        """Run `step` at shutdown, before the steps that were registered earlier."""
        self._steps.append((what, step, timeout))

    def spawn(self, name: str, work: Coroutine[Any, Any, Any], *, may_end: bool = False) -> asyncio.Task[Any]:
        """Run `work` beside the service; its failure, or its end unless `may_end`, ends the service."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, may_end))
        return task

    def _ended(self, task: asyncio.Task[Any], may_end: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self.stopping.is_set():
            return
        error = task.exception()
        if error is None and not may_end:
            error = RuntimeError(f"{task.get_name()} ended although the service runs")
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the service because of `error`: exit code 1, or 2 for a CannotStart."""
        self._failure = self._failure or error
        self.stopping.set()

    def stop(self, why: str) -> None:
        """Begin an orderly shutdown."""
        if not self.stopping.is_set():
            _log.info("stopping", why=why)
            self.stopping.set()

    async def ready(self, message: str, **facts: Any) -> None:
        """Say that the service serves (log, and systemd where it asks for it)."""
        _log.info(message, **facts)
        _notify("READY=1")

    async def run(self, serve: Callable[[Process], Awaitable[None]]) -> None:
        """Serve until a signal or a failure, then shut down; raises the failure."""
        self._take_signals()
        self.loop_watch.start()
        self.spawn("serve", self._serving(serve), may_end=True)
        await self.stopping.wait()
        _notify("STOPPING=1")
        await self._shut_down()
        if self._failure is not None:
            raise self._failure

    async def _serving(self, serve: Callable[[Process], Awaitable[None]]) -> None:
        await serve(self)

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        if self.stopping.is_set():
            os._exit(128 + number)
        self.stop(f"got {number.name}")

    async def _shut_down(self) -> None:
        while self._steps:
            what, step, timeout = self._steps.pop()
            _log.info("shutdown", step=what)
            try:
                await asyncio.wait_for(step(), timeout)
            except TimeoutError:
                _log.warning("shutdown step took too long", step=what, seconds=timeout)
            except Exception as error:  # noqa: BLE001  (the other steps must run all the same)
                _log.error("shutdown step failed", step=what, exc_info=error)
        await self._cancel_tasks()
        self.loop_watch.stop()

    async def _cancel_tasks(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=STEP_TIMEOUT)
            for task in pending:
                _log.warning("a task does not end", task=task.get_name())


def run(
    name: str,
    serve: Callable[[Process, C], Awaitable[None]],
    *,
    configure: Callable[[], C],
) -> NoReturn:
    """Configure, serve, shut down, exit. `configure` may raise CannotStart or SystemExit (`--help`)."""
    try:
        config = configure()
        log: Any = getattr(config, "log", None)
        if log is not None:
            configure_logging(level=log.level, fmt=log.format, service=name)
        asyncio.run(_lived(name, serve, config))
    except CannotStart as error:
        raise SystemExit(told(name, error)) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:  # noqa: BLE001  (the last one who can say it)
        _log.error("failed", exc_info=error)
        raise SystemExit(EXIT_FAILED) from None
    finally:
        _let_go_of_output()
    raise SystemExit(0)


def _let_go_of_output() -> None:
    """Drop what nobody reads any more: else the interpreter tries again at its end, and exits with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                os.dup2(null, stream.fileno())
                os.close(null)


async def _lived(name: str, serve: Callable[[Process, C], Awaitable[None]], config: C) -> None:
    await Process(name).run(lambda process: serve(process, config))


def told(name: str, error: CannotStart) -> int:
    """Print each fault on a line of its own; returns the exit code 2."""
    for line in str(error).splitlines():
        print(f"{name}: {line}", file=sys.stderr)
    return EXIT_CANNOT_START


def _notify(state: str) -> None:
    """Tell systemd, if it started us as a service of type notify."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        try:
            notify.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            _log.warning("systemd cannot be told", state=state, error=str(error))
