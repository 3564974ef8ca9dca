"""Does etcd take what a leader seals, however much there is to tell of each task?"""

from __future__ import annotations

from tenure_core.resources import Demand, Grant
from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.commit import CommitChain, Committed
from tenure_runtime.etcd.keys import Keys
from tenure_scheduler.adapters.sealing import Sealer
from tenure_scheduler.domain.model import Attempt, Task
from tenure_scheduler.domain.notes import EventKind, Note, Ruling
from tests.adapters.etcd.conftest import Lead
from tests.domain.scheduler.rig import Rig

TASKS = 700
SENTENCE = "what was seen, and on what it rests that nobody can say any more how this attempt ended. " * 4


def eventful(task: Task) -> None:
    """Let a task have as long a history as one can have."""
    attempts = []
    for number in range(1, 21):
        attempt = Attempt(number, "worker-with-a-name", 7, Grant(Demand()), 1_800_000_000_000_000_000)
        attempt.pid, attempt.ticks, attempt.boot_id = 4_000_000, 1 << 40, "b" * 36
        attempt.started_ns = attempt.ended_ns = 1_800_000_000_000_000_000
        attempt.outcome, attempt.evidence = AttemptOutcome.LOST, LossEvidence.LEASE_EXPIRED
        attempt.reason, attempt.counted = SENTENCE, True
        attempt.ruling = Ruling(3, SENTENCE)
        attempts.append(attempt)
    task.attempts, task.attempt = tuple(attempts), 20
    task.notes = tuple(Note(1, EventKind.HELD, number, SENTENCE) for number in range(10))


async def test_a_great_loss_of_tasks_with_long_histories_is_stored(
    client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    rig = Rig()
    rig.worker()
    tasks = rig.submit(count=TASKS)
    for task in tasks:
        eventful(task)
        rig.core.world.touch(task)
    sealer, chain = Sealer(rig.core, keys), CommitChain(client, keys, await lead(client))
    number = 0
    while rig.core.dirty_marked > rig.core.dirty_taken:
        number += 1
        outcome = await chain.commit(sealer.dirty(number, []).batch)
        assert isinstance(outcome, Committed), outcome
    assert number > 5, "this was meant to be more than one request can hold"
    assert (await client.count(keys.tasks)).total == TASKS
