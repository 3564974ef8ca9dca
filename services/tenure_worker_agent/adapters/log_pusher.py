"""How does output leave the node while the task runs?

One stream per log relay carries the frames of all attempts that are placed there, many attempts to a message.
The relay acknowledges what is on its disk; from every break of the stream on, it is asked where it stands and
gets exactly what comes next. Nothing here remembers more than positions: the bytes lie in the warden's spool
until the relay has them, however long it is away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc

from tenure_runtime.logging_setup import get_logger
from tenure_worker_agent.adapters.push_line import Line
from tenure_worker_agent.adapters.push_output import Output

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_log = get_logger("log pusher")


class LogPusher:
    """The output of all attempts of one worker on its way to the relays.

    Args:
        worker: name of the worker.
        spool_directory: where the warden writes spools.
        channel_factory: opens a channel to a relay's address.
        on_acked: hears {fence: spool position} of what the relay has on its disk.
        on_complete: hears the fence of a finished attempt whose whole output the relay has.
    """

    def __init__(
        self,
        worker: str,
        spool_directory: Path,
        channel_factory: Callable[[str], grpc.aio.Channel],
        *,
        on_acked: Callable[[dict[str, int]], None],
        on_complete: Callable[[str], None],
    ) -> None:
        self._worker = worker
        self._directory = spool_directory
        self._open = channel_factory
        self._on_acked = on_acked
        self._on_complete = on_complete
        self._outputs: dict[str, Output] = {}
        self._lines: dict[str, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def place(self, fence: str, relay_address: str, *, fresh: bool = False) -> None:
        """Send this attempt's output to that relay; an empty address: keep it until it has a place.

        Args:
            fresh: the attempt starts now, so that no relay can have anything of it.
        """
        output = self._output(fence)
        if output.relay == relay_address:
            return
        if output.relay:
            self._lines[output.relay].remove(output)
        output.relay = relay_address
        output.restart(known=fresh)
        if relay_address:
            self._line(relay_address).add(output)

    def progress(self, spools: dict[str, tuple[int, int]]) -> None:
        """The warden's spools hold the bytes between these positions."""
        for fence, (start, end) in spools.items():
            output = self._output(fence)
            output.start, output.end = start, end
            self._wake(output)

    def finished(self, fence: str, frames: int, tail: bytes = b"") -> None:
        """The attempt ended after so many frames; `tail`: the last ones, which found no room in the spool."""
        output = self._output(fence)
        if frames == 0:
            self.forget(fence)
            self._on_complete(fence)
            return
        output.final, output.tail = frames, tail
        self._wake(output)

    def forget(self, fence: str) -> None:
        """Nothing more is to be sent of this attempt."""
        output = self._outputs.pop(fence, None)
        if output is not None and output.relay:
            self._lines[output.relay].remove(output)

    @property
    def unsent(self) -> int:
        """Spool bytes that no relay has acknowledged."""
        return sum(output.end - max(output.acked, output.start) for output in self._outputs.values())

    async def run(self) -> None:
        """Push until cancelled."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _output(self, fence: str) -> Output:
        output = self._outputs.get(fence)
        if output is None:
            output = self._outputs[fence] = Output(fence, self._directory)
        return output

    def _wake(self, output: Output) -> None:
        if output.relay:
            self._lines[output.relay].wake(output)

    def _line(self, address: str) -> Line:
        line = self._lines.get(address)
        if line is None:
            line = self._lines[address] = Line(self._worker, self._on_acked, self._completed)
            task = asyncio.create_task(self._keep(address, line), name=f"push to {address}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return line

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("pushing output failed", exc_info=task.exception())

    def _completed(self, fence: str) -> None:
        self.forget(fence)
        self._on_complete(fence)

    async def _keep(self, address: str, line: Line) -> None:
        """Hold a stream to the relay open whenever there is something to push, and open it again for ever."""
        pause = _FIRST_PAUSE
        channel: Any = self._open(address)
        quiet = False
        try:
            while True:
                await line.something_to_do()
                try:
                    pushed = await line.converse(channel)
                    reason = "the relay ended the stream"
                except grpc.aio.AioRpcError as error:
                    pushed, reason = line.acknowledged, error.details() or error.code().name
                if pushed:
                    pause, quiet = _FIRST_PAUSE, False
                if not quiet:
                    _log.warning(
                        "the log relay is away; output waits in the spool", relay=address, reason=reason
                    )
                    quiet = True
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            await channel.close()
