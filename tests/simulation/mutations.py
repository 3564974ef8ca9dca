"""Is every guard of the protocol needed, and would its absence be noticed?

Each mutation takes one guard away, by replacing the function that holds it while a seed runs. The simulation
has to find a violation; a guard whose removal nothing notices is either useless or untested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from tenure.dispatch.v1.log_ingest_service_pb2 import PushAck
from tenure_core.states import OnDisconnect
from tenure_core.timing import NEVER
from tenure_log_relay.adapters.ingest_service import LogIngest
from tenure_runtime.etcd import commit, commit_request
from tenure_runtime.etcd.errors import EtcdLeaseNotFound, EtcdRefused, EtcdUnavailable, EtcdUnknownOutcome
from tenure_runtime.etcd.high_water import HighWater
from tenure_runtime.etcd.leases import WorkerLeases
from tenure_runtime.etcd.ops import created_at, modified_at, value_is
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import core, losses, reports, restored, results, sessions, storm
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain import world as memory
from tenure_scheduler.shell import Shell
from tenure_worker_agent.domain import lease as agent_lease
from tenure_worker_agent.domain import starting
from tests.simulation import moments, plans
from tests.simulation.fleet import Fleet, Outcome
from tests.simulation.users import Load
from tests.simulation.world import World

TASKS: Final = 60
_STORM: Final = memory.Storm
LONG_EXCLUSIVE: Final = {
    "replicas": 2,
    "ttl": 10.0,
    "load": Load(tasks=20, within=3.0, noops=0.0, exclusive=1.0, durations=(60.0,)),
}

LONG: Final = Load(tasks=20, within=3.0, noops=0.0, exclusive=0.0, durations=(60.0,))


@dataclass(frozen=True, slots=True)
class Mutation:
    """One guard, and how to run without it."""

    name: str
    guards: str
    """What it is there for, and what goes wrong without it."""
    apply: Callable[[], Any]
    faults: tuple[str, ...] = ()
    """The kinds of faults that bring its absence to light; drawn more often than others."""
    plan: Callable[[Fleet], None] | None = None
    """Instead of drawn faults: what just has to happen at the right moments."""
    fleet: dict[str, Any] = field(default_factory=dict)
    """How the fleet is to be made."""

    def run(self, seed: int) -> Outcome:
        """Run a seed without the guard."""
        with World(seed) as world, self.apply():
            fleet = Fleet(world, **{"tasks": TASKS, **self.fleet})
            try:
                return fleet.run(self.plan or (lambda fleet: plans.plan_for(fleet, self.faults)))
            finally:
                fleet.close()


# --- commits ----------------------------------------------------------------------------------------------


def _compares_without(left_out: str) -> Any:
    def compares(keys: Any, term: Any, sessions: Any) -> list[Any]:
        found = {
            "chain": [value_is(keys.commit, term.commit)],
            "leader": [modified_at(keys.leader, term.leader_revision)],
            "incarnation": [value_is(keys.incarnation, term.incarnation)],
            "live": [created_at(session.live_key, session.live_revision) for session in sessions],
        }
        return [each for name, some in found.items() if name != left_out for each in some]

    return patch.object(commit_request, "_compares", compares)


async def _settle_assuming(self: Any, request: bytes, own: bytes, sessions: Any) -> Any:
    """Without an answer the batch counts as committed."""
    while (left := self._holder.remaining()) > 0:
        try:
            response = await self._client.txn_bytes(request, timeout=min(self._attempt_timeout, left))
            return self._judge(response, own, sessions)
        except EtcdUnknownOutcome:
            return self._term.leader_revision
        except EtcdUnavailable:
            continue
        except EtcdLeaseNotFound:
            return commit._Gone(await self._dead(sessions))
        except EtcdRefused as error:
            return commit.Refused(error)
    return commit.Deposed("the leadership's term is over")


def _release_at_once(self: Any) -> None:
    while self._queue:
        self._leave(self._queue.popleft().command)


# --- sessions ---------------------------------------------------------------------------------------------


async def _only_renew(self: Any, lease: int, live_key: bytes, create_revision: int, *, timeout: float) -> Any:
    ttl = await self._client.lease_keepalive(lease, timeout=timeout)
    return ttl or None


def _acked_from_receipt(original: Any) -> Any:
    def acked(self: Any, event: Any) -> Any:
        late = type(event)(event.ticket, self._turn.now.boot, event.ttl, event.exclusive, event.leader)
        return original(self, late)

    return acked


def _no_proof_wait(world: Any, worker: Any) -> None:
    for task in list(worker.attempts.values()):
        if task.profile.on_disconnect is OnDisconnect.STOP and task.id not in world.exclusive:
            world.exclusive[task.id] = world.now.boot


def _no_grace(**_: Any) -> memory.Storm:
    """A leadership begins, and whoever is missing is missed at once."""
    return _STORM()


def _chance_of_all(original: Any) -> Any:
    def next_chance(world: Any, worker: Any, **options: Any) -> Any:
        gone, world.storm.all_lost = world.storm.all_lost, False
        try:
            return original(world, worker, **options)
        finally:
            world.storm.all_lost = gone

    return next_chance


def _believe_each(world: Any, worker: Any) -> None:
    """However many are gone, each is believed."""


def _spend_nothing(world: Any) -> None:
    """However many were just given up, the next one need not wait."""


def _forget_hold(world: Any, worker: Any) -> Any:
    return world.now.boot


def _spare_nobody(worker: Any) -> Any:
    """Whoever was just heard is lost all the same."""
    return NEVER


def _take_any_result(original: Any) -> Any:
    def take(world: Any, worker: Any, report: Any) -> None:
        task = world.tasks.get(report.fence.task)
        if task is not None and report.kind is reports.RESULT and task.attempts and not task.finished_ns:
            attempt = task.attempts[-1]
            reports._take_result(world, worker, task, attempt, report)
        else:
            original(world, worker, report)

    return take


def _take_report_of_any_incarnation(original: Any) -> Any:
    def take(world: Any, worker: Any, report: Any) -> None:
        present, world.n = world.n, report.fence.n
        try:
            original(world, worker, report)
        finally:
            world.n = present

    return take


def _lose_at_once(world: Any, task: Any, due: float, evidence: Any, saw: str) -> None:
    results.lose(world, task, task.attempts[-1], evidence, losses.WORDS[evidence], saw)


def _hello_with_any_counter(original: Any) -> Any:
    def on_hello(world: Any, event: Any) -> None:
        worker = world.workers.get(event.hello.worker)
        if worker is not None:
            worker.connect = min(worker.connect, event.hello.connect - 1)
            if worker.joining is not None:
                joined = worker.joining.hello
                joined.connect = min(joined.connect, event.hello.connect - 1)
        original(world, event)

    return on_hello


def _keep_anything(original: Any) -> Any:
    def discard(self: Any) -> None:
        """Starts of an ended stream stay."""

    return discard


def _ack_early(original: Any) -> Any:
    def take(self: Any, request: Any) -> Any:
        pushed = original(self, request)
        pushed.durable = None
        return pushed

    return take


def _ack_taken(self: Any, fence: str, refused: str) -> Any:
    attempt = self._log.attempts.get(fence)
    if attempt is None:
        return PushAck(fence=fence, complete=self._states.is_empty(fence), refused=refused)
    position = attempt.ingest.position
    stdout, stderr, records = position.offsets
    complete = attempt.declared_final is not None and position.number >= attempt.declared_final
    return PushAck(
        fence=fence,
        next_frame=position.number,
        stdout=stdout,
        stderr=stderr,
        records=records,
        complete=complete,
        refused=refused,
    )


def _delete_any_live(original: Any) -> Any:
    def seal(self: Any) -> Any:
        self._lives.clear()
        return original(self)

    return seal


MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "leader compare",
        "a batch of a leader whose key is gone is refused",
        lambda: _compares_without("leader"),
        ("late writes", "lose lease", "pause leader"),
    ),
    Mutation(
        "chained commit value",
        "a batch that was sent twice, or overtaken by another leader's, is refused",
        lambda: _compares_without("chain"),
        ("late writes", "pause leader"),
    ),
    Mutation(
        "live compare",
        "nothing is assigned to a session that has ended",
        lambda: _compares_without("live"),
        ("delete live key", "stall watches", "lag watches"),
    ),
    Mutation(
        "resend until definite",
        "a batch without an answer counts neither as committed nor as lost",
        lambda: patch.object(commit.CommitChain, "_settle", _settle_assuming),
        ("kill etcd member", "late writes", "partition scheduler-etcd"),
    ),
    Mutation(
        "commit before tell",
        "nothing is said that a crash could make untrue",
        lambda: patch.object(Shell, "_release", _release_at_once),
        ("kill leader", "late writes", "pause etcd"),
    ),
    Mutation(
        "later commit for STOP and FENCED",
        "a leader that was deposed without knowing it tells nobody to stop",
        lambda: patch.object(c.SendCommands, "needs_proof", False),
        ("pause leader", "drain worker", "partition scheduler-etcd"),
    ),
    Mutation(
        "attempt compare",
        "the result of an attempt that was given away is refused",
        lambda: patch.object(reports, "take_report", _take_any_result(reports.take_report)),
        ("pause agent", "partition agent-scheduler"),
    ),
    Mutation(
        "read after renew",
        "a renewed lease does not prove that the session holds",
        lambda: patch.object(WorkerLeases, "verify_alive", _only_renew),
        plan=moments.cut_from_leader_with_old_news,
        fleet=LONG_EXCLUSIVE,
    ),
    Mutation(
        "proof wait of exclusive tasks",
        "a stop task goes on elsewhere only when its warden has killed it for certain",
        lambda: patch.object(losses, "arm_exclusive", _no_proof_wait),
        plan=moments.cut_from_leader,
        fleet=LONG_EXCLUSIVE,
    ),
    Mutation(
        "deadline from the send",
        "a worker stops before its lease can have ended",
        lambda: patch.object(agent_lease.Lease, "acked", _acked_from_receipt(agent_lease.Lease.acked)),
        plan=moments.pause_between_beat_and_answer,
        fleet={"ttl": 10.0, "load": Load(tasks=150, within=60.0, noops=0.0, durations=(0.05, 0.2))},
    ),
    Mutation(
        "connect counter",
        "a copy of a worker, or an old hello that comes late, takes no session over",
        lambda: patch.dict(core.HANDLERS, {e.HelloReceived: _hello_with_any_counter(sessions.on_hello)}),
        plan=moments.overtaken_hellos,
        fleet={
            "replicas": 1,
            "ttl": 10.0,
            "load": Load(tasks=200, within=40.0, noops=0.0, exclusive=1.0, durations=(1.0, 3.0)),
        },
    ),
    Mutation(
        "grace of a new leader",
        "who could not say Hello to a leadership yet is not missed by it",
        lambda: patch.object(memory, "Storm", _no_grace),
        ("kill schedulers", "pause etcd", "kill etcd", "kill leader"),
        fleet={"ttl": 3.0},
    ),
    Mutation(
        "grace after a stall of the leader",
        "beats that the leader slept through are not missed by it",
        lambda: patch.object(storm, "MAX_EXTENSIONS", 0),
        plan=moments.stall_the_only_scheduler,
        fleet={"replicas": 1, "ttl": 3.0, "leadership_ttl": 10.0, "load": LONG},
    ),
    Mutation(
        "nothing while all are gone",
        "when all workers went at once, the fault is believed to be ours",
        lambda: patch.object(storm, "next_chance", _chance_of_all(storm.next_chance)),
        plan=moments.schedulers_return_before_the_network,
        fleet={"ttl": 3.0},
    ),
    Mutation(
        "pause of a storm",
        "when many are lost within a minute, nothing is given away for a while",
        lambda: patch.object(storm, "note_gone", _believe_each),
        plan=moments.lose_all_but_one,
        fleet={"nodes": 5, "ttl": 3.0},
    ),
    Mutation(
        "pace of a storm",
        "after its pause one worker after the other is given up, as long as some are missing",
        lambda: patch.object(storm, "spend_chance", _spend_nothing),
        plan=moments.lose_all_but_one,
        fleet={"nodes": 6, "ttl": 3.0},
    ),
    Mutation(
        "hold of a planned restart",
        "who announced to be back is waited for, by the next leader too",
        lambda: patch.object(storm, "hold_of", _forget_hold),
        ("upgrade agent",),
        fleet={"ttl": 3.0},
    ),
    Mutation(
        "a second Hello after a late one",
        "a worker that came back under a lease that it could not renew any more keeps what runs",
        lambda: patch.object(storm, "spared_until", _spare_nobody),
        ("upgrade agent", "stall watches", "lag watches", "late writes"),
        fleet={"ttl": 3.0},
    ),
    Mutation(
        "starts end with their stream",
        "a Start that waited for a beat is void once its stream has ended",
        lambda: patch.object(starting.Starting, "discard", _keep_anything(None)),
        ("kill leader", "partition agent-scheduler", "slow links"),
    ),
    Mutation(
        "output acknowledged when it is on disk",
        "a relay that is killed loses nothing that an agent has forgotten",
        lambda: patch.multiple(LogIngest, _take=_ack_early(LogIngest._take), _ack=_ack_taken),
        plan=moments.kill_relay_with_slow_disk,
        fleet={"relay": True, "load": Load(tasks=60, within=20.0, noops=0.0, lines=20)},
    ),
    Mutation(
        "incarnation compare",
        "what an attempt of before a restore did is not taken for what another one does now",
        lambda: patch.object(reports, "take_report", _take_report_of_any_incarnation(reports.take_report)),
        ("restore a backup",),
    ),
    Mutation(
        "term wait after a restore",
        "a stop task goes on only when every warden of before has killed what the store forgot",
        lambda: patch.multiple(restored, lose_when_safe=_lose_at_once, back_off=lambda *_: None),
        ("restore a backup",),
        fleet=LONG_EXCLUSIVE,
    ),
    Mutation(
        "high-water mark",
        "a process that saw the store go back does not lead as if nothing had happened",
        lambda: patch.object(HighWater, "answered", lambda *_: None),
        plan=moments.restore_under_running_schedulers,
        fleet={"replicas": 2},
    ),
    Mutation(
        "guarded deletion of live",
        "a deletion that had to wait does not meet the live key of a newer session",
        lambda: patch.object(Shell, "_seal", _delete_any_live(Shell._seal)),
        plan=moments.fill_etcd_while_nodes_restart,
        fleet={"ttl": 3.0},
    ),
)
