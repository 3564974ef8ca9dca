"""When may the output of an attempt be forgotten?

The log pusher knows it for attempts whose number of frames is known. Of those that were lost nobody knows
how much they wrote: theirs may go when everything that the spool has is at the relay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tenure_worker_agent.domain.commands import FinishLogs, PlaceLogs
from tenure_worker_agent.domain.events import LogsComplete

if TYPE_CHECKING:
    from tenure_worker_agent.adapters.log_pusher import LogPusher

Spans = dict[str, tuple[int, int]]


class Logs:
    """The log pusher, as the shell uses it."""

    def __init__(
        self, post: Callable[[LogsComplete], None], tell_warden: Callable[[dict[str, int]], None]
    ) -> None:
        self._post = post
        self._tell_warden = tell_warden
        self._ends: dict[str, int] = {}
        """Where the output in the spool ends, as far as was told."""
        self._open_ended: set[str] = set()
        """Ended attempts of which nobody knows how much they wrote."""
        self.pusher: LogPusher

    def progress(self, spools: Spans) -> None:
        """The warden's spools hold the bytes between these positions."""
        for fence, (_, end) in spools.items():
            self._ends[fence] = end
        self.pusher.progress(spools)

    def place(self, command: PlaceLogs) -> None:
        """Send an attempt's output there."""
        self.pusher.place(command.fence, command.relay, fresh=command.fresh)

    def finish(self, command: FinishLogs) -> None:
        """No more output comes."""
        fence = command.fence
        if command.frames >= 0:
            self.pusher.finished(fence, command.frames, bytes.fromhex(command.tail))
        elif not self._ends.get(fence):
            self.complete(fence)
        else:
            self._open_ended.add(fence)

    def acked(self, positions: dict[str, int]) -> None:
        """A relay has everything before these positions on its disk."""
        self._tell_warden(positions)
        for fence in self._open_ended & positions.keys():
            if positions[fence] >= self._ends[fence]:
                self.complete(fence)

    def complete(self, fence: str) -> None:
        """Everything of an ended attempt is at the relay."""
        self._ends.pop(fence, None)
        self._open_ended.discard(fence)
        self._post(LogsComplete(fence))

    def forget(self, fences: list[str]) -> None:
        """Their spools are going."""
        for fence in fences:
            self._ends.pop(fence, None)
            self._open_ended.discard(fence)
            self.pusher.forget(fence)
