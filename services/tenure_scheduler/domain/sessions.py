"""What happens when an agent says Hello?

The table is that of the design. `live` present: the same instance on the same boot goes on with its
session; a new boot gets a new one; another instance waits until the present one is gone. `live` absent: a
new session, and attempts are adopted only if it is the same instance on the same boot. Whatever needs etcd
is a command, and the Hello waits in `worker.joining` for its answer.
"""

from __future__ import annotations

from tenure_core.fence import Fence
from tenure_core.resources import Pool
from tenure_core.states import LossEvidence, OnDisconnect, WorkerVerdict
from tenure_core.timing import NEVER
from tenure_scheduler.domain import storm as storms
from tenure_scheduler.domain.commands import (
    CloseStream,
    GrantLease,
    ProveLive,
    RefuseHello,
    RegisterWorker,
    TellOrphans,
    WelcomeWorker,
)
from tenure_scheduler.domain.events import (
    AttemptReport,
    Hello,
    HelloReceived,
    JoinFailed,
    LeaseGranted,
    LiveDeleted,
    LiveGone,
    LiveSeen,
    WorkerLeaseGone,
    WorkerRegistered,
)
from tenure_scheduler.domain.evidence import live_deleted, live_missed, not_in_hello
from tenure_scheduler.domain.logs import tell_relays
from tenure_scheduler.domain.losses import (
    WORDS,
    await_loss,
    delete_live,
    live_is_gone,
    lose_when_safe,
    spare,
)
from tenure_scheduler.domain.model import NO_STREAM, JoinStep, Task, Worker
from tenure_scheduler.domain.reports import miss, rolled_back, settle_held
from tenure_scheduler.domain.requests import arm_drain
from tenure_scheduler.domain.results import not_started
from tenure_scheduler.domain.world import World

ROLLED_BACK_PAUSE = 5.0
"""Seconds after which a worker that knows more than the store may ask again."""
JOIN_AGAIN = 0.1
"""Seconds after which a worker whose registration failed may ask again."""
DELETE, GRANT, REGISTER, WAIT = "delete", "grant", "register", "wait"


def on_hello(world: World, event: HelloReceived) -> None:
    """An agent wants a session."""
    hello = event.hello
    if hello.incarnation > world.n:
        refuse(world, event, "INCARNATION", f"it knows incarnation {hello.incarnation}, this is {world.n}")
        return
    worker = world.workers.get(hello.worker)
    if hello.incarnation == world.n:
        _compare_knowledge(world, worker, hello)
    if world.alarm:
        refuse(world, event, "ROLLED_BACK", world.alarm, retry_after=ROLLED_BACK_PAUSE)
        return
    if worker is None:
        worker = world.workers[hello.worker] = Worker(hello.worker)
    if worker.joining is not None:
        _hello_again(world, worker, event)
    elif hello.instance == worker.instance and hello.connect <= worker.connect:
        refuse(world, event, "STALE_CONNECT", f"its connect counter {hello.connect} was used before")
    else:
        _admit(world, worker, event)


def _compare_knowledge(world: World, worker: Worker | None, hello: Hello) -> None:
    """An agent that was told what the store does not know: the store went back."""
    if hello.epoch > world.epoch:
        rolled_back(world, hello.worker, "epoch")
    elif worker is not None and worker.instance == hello.instance and hello.welcomed > worker.connect:
        # Of a worker that is not known nothing follows: it may have been forgotten after a long absence.
        rolled_back(world, hello.worker, "session")
    else:
        known = world.tasks
        for report in hello.held:
            task = known.get(report.fence.task)
            if task is not None and report.fence.n == world.n and report.fence.attempt > task.attempt:
                rolled_back(world, hello.worker, "attempt")


def _admit(world: World, worker: Worker, event: HelloReceived) -> None:
    """The table: `live`, instance and boot decide."""
    hello = event.hello
    same_instance = hello.instance == worker.instance
    same_process = same_instance and hello.boot_id == worker.boot_id
    if same_instance and worker.stream not in (NO_STREAM, event.stream):
        world.close_stream(worker, "the worker opened a newer connection")
    if worker.live_revision == 0:
        _join(world, worker, event, GRANT)
    elif worker.deleting:
        _join(world, worker, event, DELETE)
    elif same_process:
        _resume(world, worker, event)
    elif same_instance:
        _join(world, worker, event, DELETE)
    elif worker.stream != NO_STREAM:
        refuse(world, event, "DUPLICATE_WORKER", f"worker {worker.name} is connected as another instance")
    else:
        _await_other(world, worker, event)


def _hello_again(world: World, worker: Worker, event: HelloReceived) -> None:
    """A Hello while another one waits for etcd: the same instance goes on with the newer one."""
    joining = worker.joining
    assert joining is not None
    hello, waiting = event.hello, joining.hello
    if hello.instance == waiting.instance:
        if hello.connect <= waiting.connect:
            refuse(world, event, "STALE_CONNECT", f"its connect counter {hello.connect} was used before")
            return
        if joining.stream != NO_STREAM:
            cause = "the worker opened a newer connection"
            world.commands.append(CloseStream(worker.name, joining.stream, cause))
        same_boot = joining.same_boot and hello.boot_id == waiting.boot_id
        worker.joining = joining._replace(
            stream=event.stream, direct=event.direct, hello=hello, same_boot=same_boot
        )
    elif joining.step == WAIT and hello.instance == worker.instance:
        worker.joining = None
        _refuse_waiting(world, worker, joining)
        on_hello(world, event)
    else:
        message = f"another instance of worker {worker.name} is just being registered"
        refuse(world, event, "DUPLICATE_WORKER", message, retry_after=world.config.reattach_grace)


def _refuse_waiting(world: World, worker: Worker, joining: JoinStep) -> None:
    if joining.stream != NO_STREAM:
        waiting = HelloReceived(joining.stream, joining.direct, joining.hello)
        refuse(world, waiting, "DUPLICATE_WORKER", f"worker {worker.name} is connected as another instance")


def refuse(
    world: World, event: HelloReceived, reason: str, message: str, *, retry_after: float = 0.0
) -> None:
    """Answer a Hello with a refusal."""
    milliseconds = int(retry_after * 1000)
    world.commands.append(RefuseHello(event.hello.worker, event.stream, reason, message, milliseconds))


def _await_other(world: World, worker: Worker, event: HelloReceived) -> None:
    """Another instance holds the name but is not connected: it may take `reattach_grace`, or the time that it
    announced, to come back."""
    since = max(worker.disconnected_at, world.storm.start_until - world.config.grace)
    due = max(since + world.config.reattach_grace, storms.hold_of(world, worker))
    if due <= world.now.boot:
        _join(world, worker, event, DELETE)
        return
    step = worker.joining = _step(world, worker, event, WAIT)
    world.timers.at(due, _replace_due, world, worker, step.ticket)


def _replace_due(world: World, worker: Worker, ticket: int) -> None:
    joining = worker.joining
    if joining is None or joining.ticket != ticket or joining.step != WAIT:
        return
    worker.joining = None
    if joining.stream != NO_STREAM:
        _admit(world, worker, HelloReceived(joining.stream, joining.direct, joining.hello))


def _step(world: World, worker: Worker, event: HelloReceived, step: str) -> JoinStep:
    hello = event.hello
    same_instance, same_boot = hello.instance == worker.instance, hello.boot_id == worker.boot_id
    ticket = world.next_ticket()
    return JoinStep(step, event.stream, event.direct, hello, ticket, same_instance, same_boot)


def _join(world: World, worker: Worker, event: HelloReceived, step: str) -> None:
    """Start a new session: the old `live` goes, a lease is granted, the registration is committed."""
    worker.joining = _step(world, worker, event, step)
    world.storm.gone.pop(worker.name, None)
    if step == GRANT:
        world.commands.append(GrantLease(worker.name, worker.joining.ticket))
    elif not worker.deleting:
        delete_live(world, worker, "a new session of the worker begins")


def on_live_gone(world: World, event: LiveGone) -> None:
    """A linearizable read proved that `live` is gone."""
    _gone(world, event, LossEvidence.LEASE_EXPIRED)


def on_live_deleted(world: World, event: LiveDeleted) -> None:
    """`live` is gone by our own commit."""
    _gone(world, event, LossEvidence.AGENT_UNREACHABLE)


def on_worker_lease_gone(world: World, event: WorkerLeaseGone) -> None:
    """A commit found `live` gone. Starts that waited for it never left, so their attempts never ran."""
    worker = world.workers.get(event.worker)
    if worker is None or worker.live_revision != event.live_revision:
        return
    for task in list(worker.attempts.values()):
        attempt = task.attempts[-1]
        if not worker.may_have_started(attempt):
            not_started(world, task, attempt, "its worker's lease ended before it was told")
    _gone(world, event, LossEvidence.LEASE_EXPIRED)


def _gone(world: World, event: LiveGone | LiveDeleted | WorkerLeaseGone, evidence: LossEvidence) -> None:
    """The session has ended: go on with the Hello that waited for that, or see whether it is a loss."""
    worker = world.workers.get(event.worker)
    if worker is None or worker.live_revision != event.live_revision:
        return
    if evidence is LossEvidence.AGENT_UNREACHABLE:
        saw = live_deleted(world, worker, event.revision)
    else:
        saw = live_missed(worker, event.revision)
    live_is_gone(world, worker, event.proved_at, evidence, saw)
    joining = worker.joining
    if joining is None:
        await_loss(world, worker)
    elif joining.stream == NO_STREAM:
        worker.joining = None
        await_loss(world, worker)
    elif joining.step in (DELETE, WAIT):
        worker.joining = joining._replace(step=GRANT)
        world.commands.append(GrantLease(worker.name, joining.ticket))


def on_live_seen(world: World, event: LiveSeen) -> None:
    """`live` exists after all, perhaps another than we thought: decide again with that."""
    worker = world.workers.get(event.worker)
    if worker is None:
        return
    worker.deleting = False
    if worker.joining is not None and worker.joining.step in (GRANT, REGISTER):
        return
    worker.live_revision = event.live_revision
    world.storm.gone.pop(worker.name, None)
    world.storm.judge = True
    storms.note_live(world)
    joining, worker.joining = worker.joining, None
    if joining is not None and joining.stream != NO_STREAM:
        _admit(world, worker, HelloReceived(joining.stream, joining.direct, joining.hello))


def on_lease_granted(world: World, event: LeaseGranted) -> None:
    """The lease for a new session is there: register under it."""
    worker = world.workers.get(event.worker)
    if worker is None or worker.joining is None or worker.joining.ticket != event.ticket:
        return
    joining = worker.joining
    if joining.stream == NO_STREAM:
        worker.joining = None
        await_loss(world, worker)
        return
    worker.session += 1
    worker.lease_id = event.lease_id
    describe(worker, joining.hello)
    worker.hold_until_ns = 0
    serve_again(world, worker)
    worker.joining = joining._replace(step=REGISTER)
    world.commands.append(RegisterWorker(worker, event.ticket, event.lease_id))


def serve_again(world: World, worker: Worker) -> None:
    """Whoever says Hello is neither lost nor retired; a drain goes on."""
    if worker.verdict in (WorkerVerdict.LOST, WorkerVerdict.RETIRED):
        worker.reason = ""
        worker.verdict = WorkerVerdict.ACTIVE
        if worker.drain_deadline_ns:
            worker.verdict = WorkerVerdict.DRAINING
            arm_drain(world, worker)
    worker.updated_ns = world.now.utc_ns


def describe(worker: Worker, hello: Hello) -> None:
    """Take over what a Hello says of the worker."""
    worker.connect = hello.connect
    worker.instance = hello.instance
    worker.boot_id = hello.boot_id
    worker.capacity = hello.capacity
    worker.labels = hello.labels
    worker.task_types = hello.task_types
    worker.version = hello.version
    worker.reduced_guarantees = hello.reduced_guarantees


def on_registered(world: World, event: WorkerRegistered) -> None:
    """The new session is committed."""
    worker = world.workers.get(event.worker)
    joining = worker.joining if worker is not None else None
    if worker is None or joining is None or joining.ticket != event.ticket:
        return
    worker.live_revision = event.live_revision
    if worker.connect != joining.hello.connect:
        # A newer Hello of the same instance came meanwhile; its counter is still to be committed.
        describe(worker, joining.hello)
        world.touch_worker(worker)
    worker.joining = None
    storms.note_live(world)
    _attach(world, worker, joining)
    worker.gone_at = NEVER
    world.storm.judge = True


def on_join_failed(world: World, event: JoinFailed) -> None:
    """A step of the registration failed: find out what `live` is, and let the agent say Hello again."""
    worker = world.workers.get(event.worker)
    joining = worker.joining if worker is not None else None
    if worker is None or joining is None or joining.ticket != event.ticket:
        return
    worker.joining = None
    if joining.stream != NO_STREAM:
        spare(world, worker)
        worker.refused = joining.stream
        waiting = HelloReceived(joining.stream, joining.direct, joining.hello)
        refuse(world, waiting, "NOT_REGISTERED", event.reason, retry_after=JOIN_AGAIN)
    world.commands.append(ProveLive([(worker.name, worker.live_revision)]))


def _resume(world: World, worker: Worker, event: HelloReceived) -> None:
    """The same process under its old lease: same session, new connection."""
    describe(worker, event.hello)
    worker.hold_until_ns = 0
    serve_again(world, worker)
    worker.resumed_at = world.now.boot
    world.touch_worker(worker)
    _attach(world, worker, JoinStep("", event.stream, event.direct, event.hello, 0, True, True))


def _attach(world: World, worker: Worker, joining: JoinStep) -> None:
    """Put the stream to use: reset the command numbers, judge what is held, welcome the worker."""
    worker.stream = joining.stream
    worker.direct = joining.direct
    worker.greeted = True
    worker.phase = 0
    for task in worker.attempts.values():
        # Numbers begin anew; what the worker was told on an earlier stream stays told.
        attempt = task.attempts[-1]
        attempt.stop_number = 0
        if attempt.start_number <= worker.sent_number:
            attempt.start_number = 0
    worker.command_number = worker.processed = worker.sent_number = 0
    worker.sent.clear()
    worker.leftovers.clear()
    world.fleet_version += 1
    if worker.stream == NO_STREAM:
        # The stream ended while etcd was asked: the agent's next Hello is judged instead.
        worker.disconnected_at = world.now.boot
        if not joining.same_boot:
            _leave_to_its_term(world, worker)
        return
    _welcome(world, worker, joining)
    world.queue.gained[worker] = None


def _welcome(world: World, worker: Worker, joining: JoinStep) -> None:
    held = joining.hello.held
    welcome = WelcomeWorker(
        worker.name, worker.stream, worker.session, worker.connect, worker.lease_id, worker.live_revision, []
    )
    world.commands.append(welcome)
    worker.pool = Pool(worker.capacity)
    for task in worker.attempts.values():
        worker.pool.take_back(task.attempts[-1].grant)
    welcome.adopted = settle_held(world, worker, held, adopt=joining.same_process)
    _settle_missing(world, worker, joining, set(welcome.adopted))
    tell_relays(world, worker)
    _tell_orphans(world, worker, held)


def _tell_orphans(world: World, worker: Worker, held: list[AttemptReport]) -> None:
    """Attempts of an earlier incarnation are fenced like all that are superseded; people hear of them too."""
    orphans = [report.fence for report in held if report.fence.n != world.n]
    if orphans:
        unknown = sum(1 for fence in orphans if fence.task not in world.tasks)
        world.commands.append(TellOrphans(worker.name, orphans, unknown))


def _leave_to_its_term(world: World, worker: Worker) -> None:
    """The next Hello is of the boot that joined; what runs exclusively on the one before may run on."""
    due = worker.gone_at + world.config.grace
    for task in worker.attempts.values():
        if task.profile.on_disconnect is OnDisconnect.STOP:
            lose_when_safe(world, task, due, LossEvidence.HOST_REBOOTED, worker.gone_saw)


def _settle_missing(world: World, worker: Worker, joining: JoinStep, kept: set[Fence]) -> None:
    """Attempts that the record gives this worker and that it did not keep."""
    evidence = LossEvidence.PROCESS_VANISHED
    if not joining.same_boot:
        evidence = LossEvidence.HOST_REBOOTED
    elif not joining.same_instance:
        evidence = LossEvidence.WORKER_REPLACED
    held = {report.fence for report in joining.hello.held}
    safe_at = worker.gone_at + world.config.grace
    for task in list(worker.attempts.values()):
        attempt = task.attempts[-1]
        fence = world.fence(task, attempt)
        if fence in kept or _waits(world, worker, task):
            continue
        saw = not_in_hello(joining.hello, evidence, attempt)
        exclusive = task.profile.on_disconnect is OnDisconnect.STOP
        if exclusive and safe_at > world.now.boot and (fence in held or not joining.same_boot):
            lose_when_safe(world, task, safe_at, evidence, saw)
        else:
            reason = f"worker {worker.name}: {WORDS[evidence]}"
            miss(world, task, attempt, evidence, reason, saw, foreign=not joining.same_instance)


def _waits(world: World, worker: Worker, task: Task) -> bool:
    """Whether the Hello that began this session left the attempt to its term; a later one changes nothing."""
    resumed = worker.gone_at == NEVER and task.attempts[-1].session != worker.session
    return resumed and world.exclusive.get(task.id, NEVER) > world.now.boot
