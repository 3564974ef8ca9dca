"""How do the doors for the cluster, task types and log states lead to the core?"""

from __future__ import annotations

from typing import Any, Final, Protocol

from google.protobuf.duration_pb2 import Duration

from tenure.dispatch.v1 import log_ingest_service_pb2 as ingest_pb
from tenure.v1 import cluster_service_pb2 as cluster_pb
from tenure.v1 import task_type_service_pb2 as types_pb
from tenure_core.errors import NotFound
from tenure_core.states import LogState
from tenure_runtime.rpc.call import Call
from tenure_runtime.rpc.transport import PUBLIC_MESSAGE_BYTES
from tenure_scheduler.adapters.directory import Directory
from tenure_scheduler.adapters.dispatch_codec import fence_of
from tenure_scheduler.adapters.filters import refuse_damaged
from tenure_scheduler.adapters.ports import Leader
from tenure_scheduler.adapters.rules import SUBMIT_TASKS
from tenure_scheduler.adapters.spec_rules import BUILT_IN_TYPES, SPEC_BYTES
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.config import CoreConfig

TYPES_SENTENCE: Final = "task types cannot be registered yet: noop and echo are built in"
WORKFLOW_SENTENCE: Final = "workflows do not exist yet: submit the tasks one after the other"
CLAIM_SENTENCE: Final = "claims do not exist yet: run a worker agent"
_DESCRIPTIONS: Final = {
    "noop": "Does nothing and succeeds; takes the whole way of a task except for a process.",
    "echo": "Runs a script of ECHO, SLEEP, LOG, RETURN and RAISE lines as a process.",
}


class TaskTypeService:
    """tenure.v1.TaskTypeService: the built-in types."""

    async def ListTaskTypes(self, _request: Any, _call: Call) -> types_pb.ListTaskTypesResponse:  # noqa: N802
        """The known types."""
        return types_pb.ListTaskTypesResponse(types=[_type(name) for name in sorted(BUILT_IN_TYPES)])

    async def GetTaskType(  # noqa: N802
        self, request: types_pb.GetTaskTypeRequest, _call: Call
    ) -> types_pb.GetTaskTypeResponse:
        """One type with its versions."""
        if request.name not in BUILT_IN_TYPES:
            raise NotFound(kind="task type", name=request.name)
        return types_pb.GetTaskTypeResponse(versions=[_type(request.name)])


def _type(name: str) -> types_pb.TaskType:
    return types_pb.TaskType(
        name=name, version=BUILT_IN_TYPES[name], description=_DESCRIPTIONS[name], built_in=True
    )


class LogStateService:
    """tenure.dispatch.v1.LogStateService."""

    def __init__(self, leader: Leader) -> None:
        self._leading = leader.leading

    async def ReportLogState(  # noqa: N802
        self, request: ingest_pb.ReportLogStateRequest, call: Call
    ) -> ingest_pb.ReportLogStateResponse:
        """Attempts whose output is at its end."""
        reign = self._leading()
        unknown = []
        for attempt in request.attempts:
            fence = fence_of(attempt.fence)
            if fence.n != reign.n or fence.task not in reign.core.world.tasks:
                unknown.append(attempt.fence)
                continue
            state = LogState(attempt.log_state)
            reign.shell.post(e.LogStateReported(fence, state, attempt.missing_bytes, request.relay))
        await reign.shell.applied()
        await reign.shell.settled(call.remaining())
        return ingest_pb.ReportLogStateResponse(unknown=unknown)


class ServerFacts(Leader, Protocol):
    """The replica: what it knows of itself and the others, and its leadership."""

    name: str
    address: str
    directory: Directory
    core_config: CoreConfig
    etcd_version: str

    def info(self) -> tuple[bool, int, int]:
        """Whether it leads, the incarnation and the epoch, as far as they are known."""


class ClusterService:
    """tenure.v1.ClusterService; every replica answers for itself what is not about tasks."""

    def __init__(self, facts: ServerFacts, *, version: str, cluster: str) -> None:
        self._facts = facts
        self._version = version
        self._cluster = cluster

    async def GetServerInfo(self, _request: Any, _call: Call) -> cluster_pb.GetServerInfoResponse:  # noqa: N802
        """Versions, limits, the leader and the log relays."""
        facts, directory = self._facts, self._facts.directory
        leading, incarnation, epoch = facts.info()
        leader = directory.leader
        return cluster_pb.GetServerInfoResponse(
            version=self._version,
            replica=facts.name,
            leading=leading,
            leader=facts.name if leading else leader.replica if leader else "",
            leader_address=facts.address if leading else leader.address if leader else "",
            incarnation=incarnation,
            epoch=epoch,
            cluster=self._cluster,
            etcd_version=facts.etcd_version,
            schedulers=[
                cluster_pb.Endpoint(id=p.id, address=p.address, version=p.version)
                for p in _sorted(directory.replicas)
            ],
            log_relays=[
                cluster_pb.Endpoint(id=p.id, address=p.address, version=p.version)
                for p in _sorted(directory.relays)
            ],
            limits=_limits(facts.core_config),
        )

    async def VerifyFence(  # noqa: N802
        self, request: cluster_pb.VerifyFenceRequest, call: Call
    ) -> cluster_pb.VerifyFenceResponse:
        """Whether a fence still holds its task."""
        reign, fence = self._facts.leading(), fence_of(request.fence)
        refuse_damaged(reign.core, fence.task)
        verdict = reign.core.verify(fence)
        await reign.shell.proved(call.remaining())
        return cluster_pb.VerifyFenceResponse(
            valid=verdict.valid,
            current_fence="" if verdict.current is None else str(verdict.current),
            reason=verdict.reason,
        )


def _sorted(places: dict[str, Any]) -> list[Any]:
    return [places[name] for name in sorted(places)]


def _limits(config: CoreConfig) -> cluster_pb.Limits:
    return cluster_pb.Limits(
        submit_tasks=SUBMIT_TASKS,
        request_bytes=PUBLIC_MESSAGE_BYTES,
        spec_bytes=SPEC_BYTES,
        finished_retention=Duration(seconds=int(config.retention)),
        finished_tasks=config.retained_tasks,
        worker_ttl=Duration(seconds=int(config.worker_ttl), nanos=int(config.worker_ttl % 1 * 1e9)),
    )
