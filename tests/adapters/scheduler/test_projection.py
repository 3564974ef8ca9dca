"""Does a standby that wins load one state, whatever goes on in the store meanwhile?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure.v1.task_spec_pb2 import CallBody, TaskSpec
from tenure_core.states import TaskState
from tenure_runtime.etcd import ops
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.incarnation import Incarnation
from tenure_runtime.etcd.keys import Keys
from tenure_scheduler.adapters.loading import Facts, load
from tenure_scheduler.adapters.projection import Projection
from tenure_state.v1.task_pb2 import TaskBirth, TaskRecord
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.etcd_server import EtcdServer


LIFE = Incarnation(1, "life").encode()


def record(sequence: int, reason: str) -> bytes:
    """A pending no-op, as a leader writes it."""
    spec = TaskSpec(call=CallBody(type="noop")).SerializeToString()
    birth = TaskBirth(sequence=sequence, spec=spec, created_at_ns=1)
    return TaskRecord(birth=birth, state=TaskState.PENDING, reason=reason).SerializeToString()


async def test_what_a_new_leader_loads_does_not_change_while_it_loads(etcd: EtcdServer) -> None:
    """With many tasks that takes a second, in which a replica may well come or go."""
    keys = Keys("loading")
    async with EtcdClient([etcd.endpoint]) as client:
        await client.put(keys.incarnation, LIFE)
        projection = Projection(client, keys)
        projection.start()
        await client.put(keys.leader, b"")
        (leader,) = (await client.range(keys.leader)).kvs
        found = await projection.at_leadership(leader.mod_revision, LIFE)
        assert found is not None
        known = list(found.raw)
        await client.put(keys.replica("another"), b"")
        (replica,) = (await client.range(keys.replica("another"))).kvs
        await eventually(lambda: projection.revision >= replica.mod_revision, what="the projection goes on")
        assert list(found.raw) == known
        await projection.stop()


async def test_a_standby_has_read_what_it_will_need_and_reads_anew_what_changed(etcd: EtcdServer) -> None:
    keys = Keys("warm")
    async with EtcdClient([etcd.endpoint]) as client:
        await client.put(keys.incarnation, LIFE)
        projection = Projection(client, keys)
        projection.start()
        await client.put(keys.task("kept"), record(1, "pending"))
        await client.put(keys.task("changed"), record(2, "before"))
        await client.put(keys.task("removed"), record(3, "pending"))
        await client.put(keys.task("damaged"), b"\xff" * 40)
        await eventually(lambda: len(projection.warm) == 3, what="all that can be read was read")
        await client.put(keys.task("changed"), record(2, "after"))
        await client.txn((), [ops.delete(keys.task("removed"))])
        await client.put(keys.leader, b"")
        (leader,) = (await client.range(keys.leader)).kvs
        known = await projection.at_leadership(leader.mod_revision, LIFE)
        assert known is not None
        (kept,) = known.warm.tasks.values()
        async with Facts(client, keys, leader.mod_revision) as facts:
            loaded = await load(known, facts, keys)
            assert await facts.agree(known)
        await projection.stop()
    assert {task.id: task.reason for task in loaded.index.tasks.values()} == {
        "kept": "pending",
        "changed": "after",
    }
    assert any(task is kept for task in loaded.index.tasks.values()), "it was decoded a second time"
    assert [each.task_id for each in loaded.damaged] == ["damaged"]
    assert not projection.warm, "what a leader goes on with is nobody else's"
