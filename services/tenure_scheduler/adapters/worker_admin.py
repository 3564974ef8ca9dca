"""How do operators see and steer workers?

Cordons, drains and a person's word that a worker is dead are events to the core, answered when they are
committed. The stream of a drain is only a view of what is committed: it may be left and joined again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from tenure.v1 import worker_admin_service_pb2 as pb
from tenure_core.errors import FailedPrecondition, NotFound
from tenure_core.states import LossEvidence, WorkerVerdict
from tenure_runtime.rpc.call import Call
from tenure_scheduler.adapters.filters import worker_test
from tenure_scheduler.adapters.ports import Lead, Leader
from tenure_scheduler.adapters.public import timestamp, worker_message
from tenure_scheduler.adapters.specs import seconds
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.model import Worker

SHOWN_ATTEMPTS: Final = 1_000
_LOOK_SECONDS: Final = 0.2
_GONE: Final = frozenset({WorkerVerdict.LOST, WorkerVerdict.RETIRED})


class WorkerAdminService:
    """tenure.v1.WorkerAdminService."""

    def __init__(self, leader: Leader) -> None:
        self._leading = leader.leading

    async def ListWorkers(self, request: pb.ListWorkersRequest, call: Call) -> pb.ListWorkersResponse:  # noqa: N802
        """Workers that match, by name."""
        reign = self._leading()
        wanted = worker_test(request.filter)
        workers = reign.core.workers()
        response = pb.ListWorkersResponse(
            workers=[worker_message(workers[name]) for name in sorted(workers) if wanted(workers[name])]
        )
        await reign.shell.settled(call.remaining())
        return response

    async def GetWorker(self, request: pb.GetWorkerRequest, call: Call) -> pb.GetWorkerResponse:  # noqa: N802
        """One worker and what it holds."""
        reign = self._leading()
        worker = reign.core.workers().get(request.name)
        if worker is None:
            raise NotFound(kind="worker", name=request.name)
        response = pb.GetWorkerResponse(
            worker=worker_message(worker),
            fences=[reign.writer.fence(task, task.attempts[-1]) for task in worker.attempts.values()],
        )
        await reign.shell.settled(call.remaining())
        return response

    # --- cordon -------------------------------------------------------------------------------------------

    async def CordonWorkers(self, request: pb.CordonWorkersRequest, call: Call) -> pb.CordonWorkersResponse:  # noqa: N802
        """Stop assigning to workers."""
        workers = await self._cordon(request.names, True, request.reason, call)
        return pb.CordonWorkersResponse(workers=workers)

    async def UncordonWorkers(  # noqa: N802
        self, request: pb.UncordonWorkersRequest, call: Call
    ) -> pb.UncordonWorkersResponse:
        """Assign to them again."""
        return pb.UncordonWorkersResponse(workers=await self._cordon(request.names, False, "", call))

    async def _cordon(self, names: Sequence[str], cordoned: bool, reason: str, call: Call) -> list[pb.Worker]:
        return await self._steer(
            names, lambda ticket: e.CordonRequested(ticket, list(names), cordoned, reason), call
        )

    # --- drain --------------------------------------------------------------------------------------------

    async def DrainWorkers(  # noqa: N802
        self, request: pb.DrainWorkersRequest, call: Call
    ) -> AsyncIterator[pb.DrainWorkersResponse]:
        """Begin a drain, or join one, and show how it gets on."""
        reign = self._leading()
        names = sorted(request.names)
        workers = _known(reign, names)
        if request.HasField("deadline"):
            gone = [worker for worker in workers if worker.verdict in _GONE]
            _refuse(gone, "is {verdict}: cordon it, so that it takes nothing when it returns")
            within, reason = seconds(request.deadline), request.reason
            await self._steer(names, lambda ticket: e.DrainRequested(ticket, names, within, reason), call)
        else:
            serving = [worker for worker in workers if not worker.drain_deadline_ns]
            _refuse(serving, "is not drained: give a deadline to begin a drain")
        async for view in _views(reign, names):
            yield view

    async def CancelDrain(self, request: pb.CancelDrainRequest, call: Call) -> pb.CancelDrainResponse:  # noqa: N802
        """End a drain."""
        names = list(request.names)
        workers = await self._steer(names, lambda ticket: e.DrainCancelled(ticket, names), call)
        return pb.CancelDrainResponse(workers=workers)

    # --- dead ---------------------------------------------------------------------------------------------

    async def DeclareWorkersDead(  # noqa: N802
        self, request: pb.DeclareWorkersDeadRequest, call: Call
    ) -> pb.DeclareWorkersDeadResponse:
        """Take a person's word: give the tasks of these workers away at once."""
        reign = self._leading()
        names = list(request.names)
        held = [(task, task.attempt) for worker in _known(reign, names) for task in worker.attempts.values()]
        await self._steer(names, lambda ticket: e.DeadDeclared(ticket, names, request.reason), call)
        lost = sorted(
            reign.writer.fence(task, attempt)
            for task, number in held
            for attempt in task.attempts
            if attempt.number == number and attempt.evidence is LossEvidence.DECLARED_DEAD
        )
        return pb.DeclareWorkersDeadResponse(lost=lost)

    async def _steer(
        self, names: Sequence[str], event_of: Callable[[int], e.Event], call: Call
    ) -> list[pb.Worker]:
        """Hand an operator's request in; the workers as they are once it is committed."""
        reign = self._leading()
        _known(reign, names)
        answer = await reign.shell.ask(event_of, call.remaining())
        return [worker_message(worker) for worker in sorted(answer.workers, key=lambda worker: worker.name)]


def _known(reign: Lead, names: Sequence[str]) -> list[Worker]:
    """The workers with these names; NotFound names all that are unknown."""
    workers = reign.core.workers()
    unknown = [name for name in names if name not in workers]
    if unknown:
        raise NotFound(f"no worker {', '.join(map(repr, unknown))}", kind="worker", name=unknown[0])
    return [workers[name] for name in names]


def _refuse(workers: Sequence[Worker], why: str) -> None:
    """Refuse the whole request because of these workers, if there are any, naming each."""
    found = [f"worker {each.name} {why.format(verdict=each.verdict.name.lower())}" for each in workers]
    if found:
        raise FailedPrecondition("; ".join(found))


async def _views(reign: Lead, names: list[str]) -> AsyncIterator[pb.DrainWorkersResponse]:
    """The drain as it is committed, whenever it looks different; ends with the one that says done."""
    shown = b""
    while True:
        view = _view(reign, names)
        await reign.shell.settled()
        now = view.SerializeToString(deterministic=True)
        if now != shown:
            shown = now
            yield view
        if view.done:
            return
        cancelled = [each.name for each in view.workers if not each.HasField("drain_deadline")]
        if cancelled:
            raise FailedPrecondition(f"the drain of {', '.join(cancelled)} was cancelled")
        await asyncio.sleep(_LOOK_SECONDS)


def _view(reign: Lead, names: list[str]) -> pb.DrainWorkersResponse:
    workers = [worker for name in names if (worker := reign.core.workers().get(name)) is not None]
    view = pb.DrainWorkersResponse(workers=[worker_message(worker) for worker in workers])
    view.remaining = sum(len(worker.attempts) for worker in workers)
    view.done = not view.remaining and all(worker.drain_deadline_ns for worker in workers)
    held = ((worker, task) for worker in workers for _, task in sorted(worker.attempts.items()))
    for (worker, task), _ in zip(held, range(SHOWN_ATTEMPTS), strict=False):
        attempt = task.attempts[-1]
        entry = view.running.add(
            fence=reign.writer.fence(task, task.attempts[-1]),
            worker=worker.name,
            task_id=task.id,
            task_name=task.name,
            stopping=attempt.stopping is not None,
        )
        if attempt.started_ns:
            entry.started_at.CopyFrom(timestamp(attempt.started_ns))
    return view
