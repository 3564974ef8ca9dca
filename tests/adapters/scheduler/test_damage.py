"""What becomes of the rest when a value in etcd is damaged?"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import grpc
import pytest

import tenure
from tenure.v1 import task_service_pb2 as pb
from tenure.v1.task_pb2 import TASK_STATE_PENDING, TASK_STATE_SUCCEEDED
from tenure_core.errors import DataLoss, TenureError
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tenure_state.v1.task_pb2 import TaskRecord
from tests.adapters.scheduler.processes import NOOP, Api, answers
from tests.adapters.scheduler.scripted_agent import Redirected, ScriptedAgent, agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.scheduler.processes import SchedulerProcess, Schedulers
    from tests.support.etcd_server import EtcdServer


def changed(**fields: int) -> Callable[[bytes], bytes]:
    """A record with other values in it."""

    def change(value: bytes) -> bytes:
        record = TaskRecord.FromString(value)
        for name, number in fields.items():
            setattr(record, name, number)
        return record.SerializeToString()

    return change


DAMAGES = {
    "random bytes": lambda value: b"\xff" * 40,
    "nothing": lambda value: b"",
    "cut off": lambda value: value[:-7],
    "a state that does not exist": changed(state=99),
    "a state that contradicts the attempts": changed(state=3),
    "an outcome without an end": changed(outcome=1),
    "an attempt that is missing": changed(attempt=4),
}


async def damage(etcd: EtcdServer, key: bytes, how: Callable[[bytes], bytes]) -> bytes:
    async with EtcdClient([etcd.endpoint]) as client:
        (kv,) = (await client.range(key)).kvs
        value = how(kv.value)
        await client.put(key, value)
        return value


async def value_of(etcd: EtcdServer, key: bytes) -> bytes:
    async with EtcdClient([etcd.endpoint]) as client:
        (kv,) = (await client.range(key)).kvs
        return bytes(kv.value)


async def test_a_damaged_task_is_set_aside_and_everything_else_goes_on(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    keys = Keys(cluster_name)
    first = await schedulers.launch()
    async with Api(first.address) as api:
        ids = await api.submit(*[NOOP] * (len(DAMAGES) + 1), request_id="r")
    first.kill()
    left = {
        keys.task(task_id): await damage(etcd, keys.task(task_id), how)
        for task_id, how in zip(ids, DAMAGES.values(), strict=False)
    }
    second = await schedulers.launch()
    async with Api(second.address) as api, agent("w1", second.address, automatic=True):
        (sound,) = await api.wait(ids[-1])
        assert sound.state == TASK_STATE_SUCCEEDED
        assert (await api.wait(*await api.submit(NOOP)))[0].state == TASK_STATE_SUCCEEDED
        for task_id in ids[:-1]:
            with pytest.raises(DataLoss, match=f"the record of task {task_id} in etcd is damaged: "):
                await api.get(task_id)
            with pytest.raises(DataLoss):
                await api.wait(task_id[:12])
            with pytest.raises(DataLoss):
                await api.cancel(task_id)
            assert keys.task(task_id).decode() in second.said()
        counts = await api.call("CountTasks", pb.CountTasksRequest())
        assert counts.damaged == len(DAMAGES)
        assert {entry.state: entry.count for entry in counts.counts} == {TASK_STATE_SUCCEEDED: 2}
    for key, value in left.items():
        assert await value_of(etcd, key) == value, "a damaged record is left as it is"


async def test_the_request_id_of_a_damaged_task_makes_no_second_one(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    first = await schedulers.launch()
    async with Api(first.address) as api:
        (task_id,) = await api.submit(NOOP, request_id="order-9")
    first.kill()
    await damage(etcd, Keys(cluster_name).task(task_id), changed(state=99))
    second = await schedulers.launch()
    async with tenure.Client(second.address) as client:
        lost, made = await asyncio.gather(
            client.submit(tenure.noop(), request_id="order-9"),
            client.submit(tenure.noop()),
            return_exceptions=True,
        )
        assert isinstance(lost, tenure.errors.DataLoss)
        assert task_id in lost.message
        assert isinstance(made, str), "another caller's task does not suffer"
        assert await client.count() == {TASK_STATE_PENDING: 1}
        assert await client.damaged() == 1


async def test_people_are_told_of_damaged_tasks(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    first = await schedulers.launch()
    async with Api(first.address) as api:
        (task_id,) = await api.submit(NOOP)
    first.kill()
    await damage(etcd, Keys(cluster_name).task(task_id), DAMAGES["random bytes"])
    second = await schedulers.launch()
    code, said = await tenure_command(second, "ps")
    assert (code, "the records of 1 further tasks are damaged" in said) == (0, True)
    code, said = await tenure_command(second, "show", task_id)
    assert code == 125
    assert f"the record of task {task_id} in etcd is damaged: its bytes are not those of a task" in said
    assert "Traceback" not in said


async def tenure_command(scheduler: SchedulerProcess, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tenure.cli", *words),
        env={**os.environ, "TENURE_ADDRESS": scheduler.address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_worker_that_runs_a_damaged_task_is_left_in_peace(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    """Whether its attempt counts is known when the record is restored: it is neither stopped nor dropped."""
    keys = Keys(cluster_name)
    first = await schedulers.launch()
    async with Api(first.address) as api, agent("w1", first.address) as worker:
        (task_id,) = await api.submit(NOOP)
        await eventually(lambda: len(worker.starts) == 1)
        sound = await value_of(etcd, keys.task(task_id))
        first.kill()
        await damage(etcd, keys.task(task_id), DAMAGES["random bytes"])
        first.start()
        await eventually(lambda: reconnected(worker))
        assert list(worker.welcome.adopted) == [worker.starts[0].fence]
        await worker.report_results([worker.starts[0].fence])
        (other,) = await api.submit(NOOP)
        await eventually(lambda: len(worker.starts) == 2)
        await worker.report_results([worker.starts[1].fence])
        await api.wait(other)
        await eventually(lambda: worker.accepted == [worker.starts[1].fence])
        assert worker.fenced == []

        first.kill()
        await damage(etcd, keys.task(task_id), lambda value: sound)
        first.start()
        await eventually(lambda: reconnected(worker))
        await worker.report_results([worker.starts[0].fence])
        (task,) = await api.wait(task_id)
        assert (task.state, task.attempt.number) == (TASK_STATE_SUCCEEDED, 1)


async def reconnected(worker: ScriptedAgent) -> bool:
    try:
        await worker.connect(worker.held())
    except (Redirected, grpc.aio.AioRpcError):
        return False  # nobody leads yet
    return True


async def test_without_a_worker_s_registration_nobody_leads_and_the_key_is_named(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    keys = Keys(cluster_name)
    first = await schedulers.launch()
    async with Api(first.address) as api, agent("w1", first.address):
        await api.submit(NOOP)
    first.kill()
    key = keys.worker_reg("w1")
    sound = await value_of(etcd, key)
    await damage(etcd, key, lambda value: b"\xff" * 40)
    second = schedulers.create()
    second.start()
    await eventually(lambda: f"the value of {key.decode()} in etcd is damaged" in second.said())
    async with Api(second.address) as api:
        with pytest.raises(TenureError):
            await api.submit(NOOP)
        await damage(etcd, key, lambda value: sound)
        await eventually(lambda: answers(api))
        assert await api.submit(NOOP)
    assert "Traceback" not in second.said()
