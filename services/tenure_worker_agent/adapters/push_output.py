"""How far is one attempt's output on its way to its relay?"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from tenure_worker_agent.adapters.spool_reader import Place, SpoolReader

_NOT_LOOKED: Final = 1 << 62


class Output:
    """Positions of one attempt's output: in the spool, sent, acknowledged."""

    __slots__ = (
        "_flying",
        "_intact",
        "_known",
        "_mending",
        "_reader",
        "acked",
        "asked",
        "before",
        "end",
        "fence",
        "final",
        "final_sent",
        "key",
        "relay",
        "sent",
        "start",
        "tail",
    )

    def __init__(self, fence: str, directory: Path) -> None:
        self.fence = fence
        self.key = fence.encode()
        self.relay = ""
        """Address of the relay that it goes to; empty: none yet."""
        self.start = self.end = 0
        """The spool holds the bytes between these positions."""
        self.sent = self.acked = 0
        self.final: int | None = None
        """Number of frames, once the attempt ended."""
        self.tail = b""
        """Frames behind the spool's last."""
        self.before = b""
        """Gap frames that have to go out before the next ones."""
        self.final_sent = False
        self.asked = False
        self._known = True
        self._mending: Place | None = None
        """Where the relay refused frames on the stream before this one."""
        self._intact = _NOT_LOOKED
        """Only what lies before this position is known to be undamaged; looked at only after a refusal."""
        self._flying: deque[tuple[int, int]] = deque()
        self._reader = SpoolReader(directory, fence)

    @property
    def known(self) -> bool:
        """Whether it is known where the relay stands."""
        return self._known

    @property
    def flying(self) -> int:
        """Bytes on their way without an acknowledgement."""
        return self.sent - self.acked if self._known else 0

    def restart(self, *, known: bool = False) -> None:
        """The stream broke, or leads elsewhere: the relay has to be asked where it stands."""
        self._known = known
        self.asked = self.final_sent = False
        self.before = b""
        self._flying.clear()

    def has_work(self) -> bool:
        """Whether something can be sent now."""
        if not self._known:
            return not self.asked and (self.end > self.start or self.final is not None)
        if self.sent < min(self.end, self._intact) or self.before:
            return True
        return self.final is not None and self.sent >= self.end and not self.final_sent

    def take(self, size: int) -> tuple[tuple[bytes, ...], int | None]:
        """(frames to send next, the number of frames when these are the last)."""
        pieces: list[bytes] = []
        if self.before:
            pieces.append(self.before)
            self.before = b""
        end = min(self.end, self._intact)
        run = self._reader.read(self.sent, end, size) if self.sent < end else None
        if run is not None:
            pieces.append(run.data)
            self.sent = run.end
            self._flying.append((run.next_frame, run.end))
        elif self.sent < end:
            # Dropped at the limit between its announcement and now: what is gone is told by the next seek.
            self.restart()
            self.asked = True
            return (), None
        if self.final is None or self.sent < self.end:
            return tuple(pieces), None
        if self.tail:
            pieces.append(self.tail)
        self.final_sent = True
        return tuple(pieces), self.final

    def acknowledged(self, place: Place) -> bool:
        """The relay stands at `place`; True when more of the spool is acknowledged than before."""
        before = self.acked
        if not self._known:
            self._seek(place)
        while self._flying and self._flying[0][0] <= place.frame:
            self.acked = max(self.acked, self._flying.popleft()[1])
        if self._intact <= self.sent < self.end and not self._flying:
            self._mend(place)
        return self.acked > before

    def _seek(self, place: Place) -> None:
        """Go on where the relay stands."""
        self._known, self.asked = True, False
        self.sent, self.before = self._reader.seek(place, self.start, self.end)
        self.acked = self.sent
        self._intact = _NOT_LOOKED
        if self._mending is not None and self._mending.frame == place.frame and not self.before:
            self._intact = self._reader.intact(place, self.sent, self.end)
            if self._intact == self.sent:
                self._mend(place)
        self._mending = None

    def _mend(self, place: Place) -> None:
        """The relay has all that is intact here: go on behind the damage."""
        self.sent, self.before = self._reader.mend(place, self.sent, self.end)
        self.acked, self._intact = self.sent, _NOT_LOOKED

    def refused(self, place: Place) -> None:
        """The relay refused frames at `place`: if it does so again there, they are not to be had."""
        self._mending = place
