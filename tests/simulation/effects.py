"""What did the tasks do to the world outside?

A resource that user code guards with its fence: it stores the highest (incarnation, attempt) that it has seen
of each task and refuses what is lower. A zombie that does not know yet that it was given away comes too late
here, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenure_core.fence import Fence

if TYPE_CHECKING:
    from tests.simulation.etcd_cluster import Cluster
    from tests.simulation.etcd_model import Store
    from tests.simulation.warden_model import Execution


@dataclass
class Effects:
    """The fenced resource, and everything that ever ran."""

    etcd: Cluster
    violations: list[str] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    highest: dict[str, tuple[int, int]] = field(default_factory=dict)
    accepted: dict[str, list[str]] = field(default_factory=dict)
    """Fences whose effect was taken, by task, in the order in which it was."""
    ended: set[str] = field(default_factory=set)
    """Fences whose process came to its end, whether its effect was taken or not."""
    refused: int = 0
    lost_leases: dict[int, float] = field(default_factory=dict)
    """Leases that ended before their time, or that a restore undid, and when they would have ended: whoever
    holds one goes on until then, as nothing tells it."""

    def began(self, execution: Execution, lease: int) -> None:
        """A process starts, by the authority of this lease."""
        self.executions.append(execution)
        self.opened(execution.fence)
        holds = lease in self.etcd.store.leases or execution.began < self.lost_leases.get(lease, 0.0)
        if not holds:
            self.violations.append(f"I4: {execution.fence} was executed after its worker's lease had ended")

    def restored(self, before: Store) -> None:
        """Another store has taken the place of this one."""
        now = self.etcd.store.leases
        for lease in before.leases.values():
            if lease.id not in now:
                self.lost_leases[lease.id] = lease.ends_at

    def opened(self, fence: str) -> bool:
        """An attempt says who it is before it does anything."""
        return self._admit(Fence.parse(fence))

    def done(self, fence: str) -> None:
        """An attempt carries out its effect."""
        self.ended.add(fence)
        parsed = Fence.parse(fence)
        if self._admit(parsed):
            self.accepted.setdefault(parsed.task, []).append(fence)

    def _admit(self, fence: Fence) -> bool:
        mine = (fence.n, fence.attempt)
        if mine < self.highest.get(fence.task, (0, 0)):
            self.refused += 1
            return False
        self.highest[fence.task] = mine
        return True
