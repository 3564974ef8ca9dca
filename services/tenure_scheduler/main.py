"""The program tenure-scheduler: configuration and wiring, nothing else."""

from __future__ import annotations

import asyncio
import gc
import socket
from importlib.metadata import version
from typing import Final

from tenure.dispatch.v1 import log_ingest_service_pb2, worker_session_service_pb2
from tenure.v1 import (
    claim_service_pb2,
    cluster_service_pb2,
    task_service_pb2,
    task_type_service_pb2,
    worker_admin_service_pb2,
    workflow_service_pb2,
)
from tenure_runtime import telemetry
from tenure_runtime.config import from_command_line
from tenure_runtime.etcd.configured import open_client
from tenure_runtime.etcd.fitness import check
from tenure_runtime.etcd.high_water import guard
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.rpc.server import Server
from tenure_runtime.rpc.transport import DISPATCH_MESSAGE_BYTES, split_address
from tenure_runtime.startup import CannotStart
from tenure_runtime.supervise import Process, run
from tenure_scheduler.adapters import cluster_services as cluster
from tenure_scheduler.adapters.measures import Measures
from tenure_scheduler.adapters.rules import validator
from tenure_scheduler.adapters.session_service import SessionService
from tenure_scheduler.adapters.task_service import TaskService
from tenure_scheduler.adapters.worker_admin import WorkerAdminService
from tenure_scheduler.config import PREFIX, PROGRAM, SchedulerConfig
from tenure_scheduler.replica import LOCAL_SERVICES, Replica

VERSION: Final = version("tenure")


async def serve(process: Process, config: SchedulerConfig) -> None:
    """Wire everything up; returns when the server serves."""
    client = open_client(config.etcd)
    process.at_shutdown("etcd client", client.close)
    etcd_version = await check(client, config.etcd)
    observed = telemetry.start(config.telemetry, service=PROGRAM, instance=config.replica or config.listen)
    process.at_shutdown("telemetry", observed.close)
    replica = Replica(config, client, Measures(observed), version=VERSION)
    replica.etcd_version = etcd_version
    server = Server(
        tls=config.tls if config.tls.serves else None,
        insecure=config.insecure,
        rules=validator(),
        router=replica.route,
        observer=observed.observer,
    )
    add_services(server, replica, config)
    (port,) = await server.start([config.listen])
    replica.settle(*_names(config, port))
    process.loop_watch.on_stall(replica.stalled)
    process.spawn("high-water mark", guard(client, Keys(config.cluster), f"scheduler {replica.name}"))
    life = process.spawn("replica", replica.run(), may_end=True)
    process.at_shutdown("replica", replica.close)
    process.at_shutdown("server", lambda: server.stop(config.shutdown_grace))
    process.at_shutdown("leadership", lambda: _hand_over(replica, server, life))
    await server.set_serving(True, only=LOCAL_SERVICES)
    process.spawn("health", _tell_health(replica, server), may_end=True)
    await process.ready("serving", address=replica.address, replica=replica.name, cluster=config.cluster)


async def _tell_health(replica: Replica, server: Server) -> None:
    """Healthy is a replica that leads or knows who does: whoever it is asked by gets an answer."""
    while not replica.stopping.is_set():
        replica.changed.clear()
        await server.set_serving(replica.can_serve(), but=LOCAL_SERVICES)
        await replica.changed.wait()


async def _hand_over(replica: Replica, server: Server, life: asyncio.Task[None]) -> None:
    """No new calls are sent here by balancers; the lead goes to another replica before connections close."""
    replica.stopping.set()
    replica.changed.set()
    await server.set_serving(False)
    await asyncio.gather(life, return_exceptions=True)


def add_services(server: Server, replica: Replica, config: SchedulerConfig) -> None:
    """Every service of the scheduler, and for what does not exist yet a sentence that says so."""
    server.add(task_service_pb2.DESCRIPTOR.services_by_name["TaskService"], TaskService(replica))
    server.add(
        worker_admin_service_pb2.DESCRIPTOR.services_by_name["WorkerAdminService"],
        WorkerAdminService(replica),
    )
    server.add(
        task_type_service_pb2.DESCRIPTOR.services_by_name["TaskTypeService"],
        cluster.TaskTypeService(),
        unimplemented={
            "RegisterTaskType": cluster.TYPES_SENTENCE,
            "DeprecateTaskType": cluster.TYPES_SENTENCE,
        },
    )
    server.add(
        cluster_service_pb2.DESCRIPTOR.services_by_name["ClusterService"],
        cluster.ClusterService(replica, version=VERSION, cluster=config.cluster),
    )
    server.add(
        workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"],
        None,
        unimplemented=cluster.WORKFLOW_SENTENCE,
    )
    server.add(
        claim_service_pb2.DESCRIPTOR.services_by_name["ClaimService"],
        None,
        unimplemented=cluster.CLAIM_SENTENCE,
    )
    server.add(
        worker_session_service_pb2.DESCRIPTOR.services_by_name["WorkerSessionService"],
        SessionService(replica),
        max_message_bytes=DISPATCH_MESSAGE_BYTES,
    )
    server.add(
        log_ingest_service_pb2.DESCRIPTOR.services_by_name["LogStateService"],
        cluster.LogStateService(replica),
    )


def _names(config: SchedulerConfig, port: int) -> tuple[str, str]:
    """Name and address of this replica, as the others see it."""
    address = config.advertise_address
    if not address and port:
        host, _ = split_address(config.listen)
        if host in {"0.0.0.0", "::"}:
            raise CannotStart("listening on every address: set advertise_address to the one that others use")
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return config.replica or f"{socket.gethostname()}-{port}", address or config.listen


def _collect_rarely() -> None:
    """Let the collector of cycles run less often: tasks are many, live long and form no cycles.

    With the defaults a leader with 100,000 tasks stands still for a tenth of a second again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def configure() -> SchedulerConfig:
    """The configuration from file, environment and flags."""
    return from_command_line(SchedulerConfig, program=PROGRAM, prefix=PREFIX)


def main() -> None:
    """Run until a signal."""
    _collect_rarely()
    run(PROGRAM, serve, configure=configure)
