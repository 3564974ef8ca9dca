"""What can operators do with the workers of a fleet? A part of `tenure.Client`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tenure import methods
from tenure.specs import duration
from tenure.streams import drain
from tenure.v1 import worker_admin_service_pb2 as fleet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tenure.calls import Caller


class Operating:
    """See and steer workers."""

    _call: Caller

    async def workers(self, where: fleet.WorkerFilter | None = None) -> Sequence[fleet.Worker]:
        """The workers that match `where`, by name; None: all."""
        response = await self._call(methods.LIST_WORKERS, fleet.ListWorkersRequest(filter=where))
        return list(response.workers)

    async def worker(self, name: str) -> fleet.GetWorkerResponse:
        """One worker, and the fences of the attempts that it holds."""
        return await self._call(methods.GET_WORKER, fleet.GetWorkerRequest(name=name))

    async def cordon(self, *names: str, reason: str = "") -> Sequence[fleet.Worker]:
        """Assign nothing new to these workers; what runs there runs on. The `reason` is for people.

        Raises:
            NotFound: one of the names; nothing was changed.
        """
        response = await self._call(methods.CORDON, fleet.CordonWorkersRequest(names=names, reason=reason))
        return list(response.workers)

    async def uncordon(self, *names: str) -> Sequence[fleet.Worker]:
        """Assign to these workers again; NotFound names one that does not exist."""
        response = await self._call(methods.UNCORDON, fleet.UncordonWorkersRequest(names=names))
        return list(response.workers)

    def drain(
        self, *names: str, deadline: float | timedelta | str | None = None, reason: str = ""
    ) -> AsyncIterator[fleet.DrainWorkersResponse]:
        """Empty workers: nothing new goes there, and what still runs at the deadline goes on elsewhere.

        The first message is the plan (`running`), the last one says `done`; each is committed. The drain goes
        on whether anybody reads or not. Survives the loss of schedulers without setting the deadline anew.

        Args:
            deadline: time until what still runs is stopped: seconds, a timedelta or text as "5m"; None: watch
                the drain that is under way.
            reason: one sentence for people.

        Raises:
            NotFound: one of the names; nothing was changed.
            FailedPrecondition: a worker is lost or retired, or the drain was cancelled while it was watched.
        """
        request = fleet.DrainWorkersRequest(names=names, reason=reason)
        if deadline is not None:
            request.deadline.CopyFrom(duration(deadline))
        return drain(self._call, request)

    async def cancel_drain(self, *names: str) -> Sequence[fleet.Worker]:
        """Let drained workers serve again; NotFound names one that does not exist."""
        response = await self._call(methods.CANCEL_DRAIN, fleet.CancelDrainRequest(names=names))
        return list(response.workers)

    async def declare_dead(self, *names: str, reason: str) -> Sequence[str]:
        """Vouch that workers are dead: their tasks are given away at once. The fences that are lost by it.

        A task with on_disconnect STOP starts elsewhere at once as well: if its worker lives after all, two
        executions overlap.

        Args:
            reason: how it is known; kept with the worker.

        Raises:
            NotFound: one of the names; nothing was changed.
        """
        request = fleet.DeclareWorkersDeadRequest(names=names, reason=reason)
        return list((await self._call(methods.DECLARE_DEAD, request)).lost)
