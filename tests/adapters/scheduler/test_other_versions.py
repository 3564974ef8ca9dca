"""Versions meet while a fleet is upgraded: whoever is older passes over what it does not know yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.keys import Keys
from tests.adapters.scheduler.processes import NOOP, SUCCEEDED, Api, Schedulers, answers
from tests.adapters.scheduler.scripted_agent import ScriptedAgent, agent
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.adapters.scheduler.processes import SchedulerProcess
    from tests.support.etcd_server import EtcdServer

LATER: Final = b"\xa2\x1f\x03new"
"""A field of number 500 on the wire, as a later version may have one in any message."""


class LaterAgent(ScriptedAgent):
    """Says more than this version understands, with every message."""

    async def connect(self, held: Iterable[pb.HeldAttempt] = (), *, counter: int | None = None) -> pb.Welcome:
        welcome = await super().connect(held, counter=counter)
        self._call = _Talkative(self._call)
        return welcome

    def _hello(self, held: Iterable[pb.HeldAttempt]) -> pb.Hello:
        hello = super()._hello(held)
        hello.MergeFromString(LATER)
        return hello


class _Talkative:
    """A stream whose messages have a field more."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def write(self, message: bytes) -> None:
        await self._call.write(message + LATER)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


async def test_an_agent_of_a_later_version_works(api: Api, scheduler: SchedulerProcess) -> None:
    worker = LaterAgent("w1", scheduler.address)
    try:
        await worker.connect()
        (task_id,) = await api.submit(NOOP)
        (fence,) = await worker.started(1)
        await worker.report_started(fence)
        await worker.report_results([fence])
        (task,) = await api.wait(task_id)
        assert task.state == SUCCEEDED
    finally:
        await worker.close()


async def test_records_of_a_later_version_are_read(
    schedulers: Schedulers, etcd: EtcdServer, cluster_name: str
) -> None:
    """As after a new version was tried and taken back."""
    scheduler = await schedulers.launch()
    keys = Keys(cluster_name)
    async with Api(scheduler.address) as api, EtcdClient([etcd.endpoint]) as client:
        async with agent("w1", scheduler.address) as worker:
            (done, waits) = await api.submit(NOOP, NOOP)
            fences = await worker.started(2)
            await worker.report_results([fence for fence in fences if done in fence])
            await api.wait(done)
        scheduler.stop()
        for key in (keys.task(done), keys.task(waits), keys.worker_reg("w1")):
            record = await client.get(key)
            assert record is not None
            await client.put(key, record.value + LATER)
        scheduler.start()
        await eventually(lambda: answers(api), within=20)
        assert (await api.get(done)).state == SUCCEEDED
        async with agent("w1", scheduler.address, automatic=True):
            (task,) = await api.wait(waits, timeout=20)
            assert task.state == SUCCEEDED
        assert "damaged" not in scheduler.said()
