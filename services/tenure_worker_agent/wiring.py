"""What is an agent process made of?"""

from __future__ import annotations

import uuid
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from tenure_runtime import telemetry
from tenure_runtime.allocator import keep_buffers
from tenure_runtime.rpc.transport import DISPATCH_MESSAGE_BYTES, create_channel
from tenure_runtime.startup import CannotStart
from tenure_worker_agent.adapters.beats import Beats
from tenure_worker_agent.adapters.capacity import capacity, labels
from tenure_worker_agent.adapters.dispatch_codec import Introduction
from tenure_worker_agent.adapters.identity_file import IdentityFile
from tenure_worker_agent.adapters.log_pusher import LogPusher
from tenure_worker_agent.adapters.logs import Logs
from tenure_worker_agent.adapters.outbox import Outbox
from tenure_worker_agent.adapters.traces import Traces
from tenure_worker_agent.adapters.warden_link import WardenLink
from tenure_worker_agent.config import PROGRAM, WorkerAgentConfig, worker_name
from tenure_worker_agent.domain.agent import Agent
from tenure_worker_agent.domain.events import OutboxRead, StopRequested
from tenure_worker_agent.drivers.catalog import TASK_TYPES, Catalog
from tenure_worker_agent.drivers.process import Node
from tenure_worker_agent.shell import Shell

if TYPE_CHECKING:
    from tenure_runtime.supervise import Process

GOODBYE_SECONDS: Final = 5.0


async def wire(process: Process, config: WorkerAgentConfig, warden_fd: int) -> None:
    """Put everything together and begin; the warden is at the other end of the socket `warden_fd`."""
    keep_buffers()
    worker, folder, tls = worker_name(config), config.data_dir.absolute(), config.tls
    observed = telemetry.start(config.telemetry, service=PROGRAM, instance=worker)
    process.at_shutdown("send traces and metrics", observed.close)
    identity = IdentityFile(folder / "identity")
    shell = Shell(
        Agent(config.schedulers, identity.read(spare=str(uuid.uuid4())), config.hold),
        introduce(config, worker),
        Catalog(Node(worker=worker, grace=config.kill_grace, overflow=config.spool.when_full)),
        identity,
        lambda address: create_channel(
            address, tls, own_connection=True, max_message_bytes=DISPATCH_MESSAGE_BYTES
        ),
        lambda reason, _: process.fail(CannotStart(reason)),
    )
    process.at_shutdown("end what is under way", shell.close)
    shell.traces = Traces(observed, worker)
    shell.beats = Beats(worker, lambda address: create_channel(address, tls), process.loop_watch)
    process.at_shutdown("close the channels for beats", shell.beats.close)
    shell.outbox = Outbox(folder / "outbox")
    shell.logs = Logs(shell.post, shell.acked)
    shell.logs.pusher = LogPusher(
        worker,
        folder / "spool",
        lambda address: create_channel(address, tls, max_message_bytes=DISPATCH_MESSAGE_BYTES),
        on_acked=shell.logs.acked,
        on_complete=shell.logs.complete,
    )
    results = shell.outbox.open()
    process.at_shutdown("close the outbox", shell.outbox.close)
    shell.link = await WardenLink.open(warden_fd, shell.from_warden, shell.warden_lost)
    shell.link.send({"do": "list"})
    process.spawn("log pusher", shell.logs.pusher.run())
    process.at_shutdown("end the session", lambda: _goodbye(shell), timeout=GOODBYE_SECONDS)
    shell.post(OutboxRead(results))
    await process.ready("running", worker=worker)


def introduce(config: WorkerAgentConfig, worker: str) -> Introduction:
    """What every Hello of this worker says."""
    return Introduction(
        worker=worker,
        version=version("tenure"),
        capacity=capacity(config.capacity),
        labels=labels(config.labels),
        task_types=TASK_TYPES,
    )


async def _goodbye(shell: Shell) -> Any:
    shell.post(StopRequested())
    await shell.finished.wait()
