"""How do the core's commands reach agents, etcd and watchers?

The shell decides when; this carries them out. What needs an answer from etcd runs as a task of its own and
comes back as an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure_core.errors import AlreadyExists, Unavailable
from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.leadership import boottime
from tenure_runtime.etcd.leases import WorkerLeases
from tenure_runtime.logging_setup import get_logger
from tenure_scheduler.adapters.dispatch_codec import commands_bytes
from tenure_scheduler.adapters.measures import Measures
from tenure_scheduler.adapters.streams import Streams
from tenure_scheduler.adapters.watchers import Watchers
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.config import CoreConfig
from tenure_scheduler.domain.model import Task

_READ_PAUSE: Final = 0.2
_ORPHANS_TOLD: Final = 100
_LEISURE_SECONDS: Final = 0.01
"""How long the news that results are committed may wait for other commands to the same worker."""


_log = get_logger("outlets")


class LeaderOutlets:
    """The outlets of one leadership."""

    def __init__(
        self,
        *,
        n: int,
        epoch: int,
        config: CoreConfig,
        keys: Keys,
        leases: WorkerLeases,
        streams: Streams,
        watchers: Watchers,
        relay_address: Callable[[str], str],
        schedulers: Callable[[], list[str]],
        measures: Measures,
    ) -> None:
        self.post: Callable[[e.Event], None] = lambda event: None
        """Set by whoever makes the shell."""
        self._n = n
        self._epoch = epoch
        self._config = config
        self._keys = keys
        self._leases = leases
        self._streams = streams
        self._watchers = watchers
        self._relay_address = relay_address
        self._schedulers = schedulers
        self._measures = measures
        self._errands: set[asyncio.Task[None]] = set()
        self._accepts: dict[int, c.SendCommands] = {}
        """By stream: what only says that results are committed."""

    def send_commands(self, command: c.SendCommands) -> None:
        """Write a Commands message to its stream.

        Nobody waits for an accept, but sending it takes processor time just when the client is answered: it
        goes with the next other command, or a moment later.
        """
        self._measures.refused(len(command.fenced))
        earlier = self._accepts.pop(command.stream, None)
        if earlier is not None:
            command.accepted[:0] = earlier.accepted
        if not command.only_accepts:
            self._write(command)
            return
        self._accepts[command.stream] = command
        if earlier is None:
            asyncio.get_running_loop().call_later(_LEISURE_SECONDS, self._accept, command.stream)

    def _accept(self, stream: int) -> None:
        command = self._accepts.pop(stream, None)
        if command is not None:
            self._write(command)

    def _write(self, command: c.SendCommands) -> None:
        stream = self._streams.get(command.stream)
        if stream is not None:
            stream.write(commands_bytes(command, self._n, self._relay_address))

    def welcome(self, command: c.WelcomeWorker) -> None:
        """Tell an agent that its session stands."""
        stream = self._streams.get(command.stream)
        if stream is None:
            return
        welcome = pb.Welcome(
            session=command.session,
            connect=command.connect,
            lease_id=command.lease_id,
            live_revision=command.live_revision,
            ttl_ms=int(self._config.worker_ttl * 1000),
            margin_ms=int(self._config.margin * 1000),
            incarnation=self._n,
            epoch=self._epoch,
            adopted=[str(fence) for fence in command.adopted],
            schedulers=self._schedulers(),
        )
        stream.write(pb.SessionResponse(welcome=welcome).SerializeToString())

    def refuse(self, command: c.RefuseHello) -> None:
        """Tell an agent that it cannot have a session, and end its stream; people find it in the log."""
        _log.warning(
            "a worker was refused", worker=command.worker, reason=command.reason, said=command.message
        )
        stream = self._streams.get(command.stream)
        if stream is None:
            return
        refusal = pb.Refusal(
            reason=command.reason, message=command.message, retry_after_ms=command.retry_after_ms
        )
        stream.write(pb.SessionResponse(refusal=refusal).SerializeToString())
        stream.close(AlreadyExists(command.message) if command.reason == "DUPLICATE_WORKER" else None)

    def close_stream(self, command: c.CloseStream) -> None:
        """End a session stream."""
        stream = self._streams.get(command.stream)
        if stream is not None:
            stream.close(Unavailable(command.cause, retry_after=0.1))

    def grant_lease(self, command: c.GrantLease) -> None:
        """Begin to grant a lease; the answer is an event."""
        self._run(self._grant(command))

    async def _grant(self, command: c.GrantLease) -> None:
        try:
            lease = await self._leases.grant(self._config.worker_ttl)
        except EtcdError as error:
            self.post(e.JoinFailed(command.worker, command.ticket, f"no lease could be had: {error}"))
        else:
            self.post(e.LeaseGranted(command.worker, command.ticket, lease.id))

    def prove_live(self, command: c.ProveLive) -> None:
        """Begin to read `live` keys; the answers are events."""
        self._run(self._prove(command.workers))

    async def _prove(self, workers: list[tuple[str, int]]) -> None:
        began = boottime()
        while True:
            proved_at = boottime()
            reads = [self._leases.look(self._keys.worker_live(worker)) for worker, _ in workers]
            found = await asyncio.gather(*reads, return_exceptions=True)
            if not any(isinstance(look, EtcdError) for look in found):
                break
            if proved_at - began > self._config.worker_ttl / 3:
                self.post(e.StallNoticed(proved_at - began, "etcd could not be read"))
                began = proved_at
            await asyncio.sleep(_READ_PAUSE)
        for (worker, believed), look in zip(workers, found, strict=True):
            if isinstance(look, BaseException):
                raise look
            if look.created and (look.created == believed or not believed):
                self.post(e.LiveSeen(worker, look.created))
            else:
                self.post(e.LiveGone(worker, believed, proved_at, look.revision))

    def orphans(self, command: c.TellOrphans) -> None:
        """Log which attempts a restore has left without a record, and count them."""
        self._measures.orphaned(len(command.fences))
        _log.warning(
            "orphans: a worker holds attempts of an earlier incarnation, they are fenced and stopped",
            worker=command.worker,
            attempts=len(command.fences),
            of_unknown_tasks=command.unknown,
            fences=[str(fence) for fence in command.fences[:_ORPHANS_TOLD]],
        )

    def sealed(self, index: int, tasks: list[Task]) -> None:
        """These records go into commit number `index`: watchers' views of them are made now."""
        self._watchers.sealed(index, tasks)

    def committing(self, tasks: list[Task], seconds: float) -> None:
        """Count what was committed."""
        self._measures.committed(tasks, seconds)

    def committed(self, index: int, revision: int) -> None:
        """Watchers may see what was sealed as commit number `index`."""
        self._watchers.committed(index, revision)

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand, name="errand to etcd")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._errands):
            task.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
